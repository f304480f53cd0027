"""What importing activae imports, and that torchmetrics is whole for whoever asks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import activae


def run(code: str) -> list[str]:
    """The words that a fresh Python prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def loaded(code: str) -> set[str]:
    return set(run(f"{code}; import sys; print(*sys.modules)"))


def test_the_package_alone_imports_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "pytorch_lightning", "omegaconf", "hydra"}

    assert not heavy & loaded("import activae")


def test_every_public_name_is_there() -> None:
    assert all(getattr(activae, name).__name__ == name for name in activae.__all__)
    assert set(activae.__all__) <= set(dir(activae))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        activae.nothing  # noqa: B018


def test_the_module_to_train_leaves_out_what_lightning_does_not_use() -> None:
    unused = {"torchvision", "matplotlib", "scipy.signal", "sklearn", "pandas"}

    modules = loaded("import activae.training.module")

    assert "torchmetrics.metric" in modules
    assert not (unused | {"torch.utils.tensorboard", "torchmetrics.functional"}) & modules


def test_a_run_imports_tensorboard_only_for_events_and_scikit_learn_for_no_digits() -> None:
    modules = loaded("import activae.results.run; from activae.data import digits; digits()")

    assert not {"torch.utils.tensorboard", "sklearn", "pandas", "scipy"} & modules


TORCHMETRICS = {
    "a metric": "import torchmetrics; found = torchmetrics.MeanSquaredError",
    "its own module": "from torchmetrics.regression import MeanSquaredError as found",
    "everything": "from torchmetrics import *; found = MeanSquaredError",
    "functions first": """
from torchmetrics.functional import mean_squared_error
from torchmetrics.regression.mse import MeanSquaredError as found""",
}


@pytest.mark.parametrize(
    ("first", "way"),
    [("activae", "a metric"), *(("activae.training.module", way) for way in TORCHMETRICS)],
)
def test_torchmetrics_is_whole_afterwards(first: str, way: str) -> None:
    code = f"""
import warnings
import {first}
{TORCHMETRICS[way]}
warnings.simplefilter("ignore")
import pickle, sys, torch, torchmetrics
import pytorch_lightning as pl
from pytorch_lightning.core import module
metric = found()
metric.update(torch.zeros(2), torch.ones(2))
again = pickle.loads(pickle.dumps(metric))
print(float(again.compute()))
print(isinstance(again, module.Metric), torchmetrics.Metric is module.Metric)
print(torchmetrics.MeanSquaredError is found, type(torchmetrics).__name__)
print(all(hasattr(torchmetrics, name) for name in torchmetrics.__all__))
print(torchmetrics.functional.mean_squared_error(torch.zeros(2), torch.ones(2)).item())
"""
    assert run(code) == ["1.0", "True", "True", "True", "module", "True", "1.0"]


def test_a_metric_can_still_be_drawn() -> None:
    code = """
import activae.training.module
import warnings
warnings.simplefilter("ignore")
import matplotlib; matplotlib.use("agg")
from torchmetrics import MeanMetric
metric = MeanMetric()
metric.update(1.0)
figure, axes = metric.plot()
print(type(figure).__name__)
"""
    assert run(code) == ["Figure"]


def test_torchmetrics_of_another_layout_is_imported_as_it_is() -> None:
    code = """
from activae.training import light_imports
light_imports._LAYOUT = ("elsewhere.py",)
import warnings
warnings.simplefilter("ignore")
import torchmetrics, sys
print(type(torchmetrics).__name__, "MeanSquaredError" in vars(torchmetrics))
"""
    assert run(code) == ["module", "True"]


def test_a_base_class_that_has_moved_is_found_by_importing_it_all() -> None:
    code = """
from activae.training import light_imports
light_imports.import_module = lambda name: __import__("json")  # has no Metric
import warnings
warnings.simplefilter("ignore")
import torchmetrics
print(type(torchmetrics).__name__, torchmetrics.Metric.__name__)
"""
    assert run(code) == ["module", "Metric"]
