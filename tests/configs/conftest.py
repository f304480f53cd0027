"""Examples of what options need from outside: files, downloads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from pytorch_lightning.loggers.logger import DummyLogger
from scipy.sparse import csr_matrix

from activae.config.instantiating import build, locate, targets
from activae.config.settling import container, settle
from activae.errors import UserError
from activae.training.assembly import build_data
from activae.training.network import demand_of

Compose = Callable[..., DictConfig]

CONFIGS = Path(__file__).parents[2] / "configs"


def stand_in(root: Any, *, train: bool = True, split: str = "", **_: Any) -> SimpleNamespace:
    """Takes the place of a torchvision data set, whose files would have to be downloaded."""
    first = int(train and split != "test")
    images = np.random.default_rng(first).integers(0, 256, (60, 28, 28), dtype=np.uint8)
    return SimpleNamespace(data=images, targets=list(range(10)) * 6, classes=list("abcdefghij"))


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins take the place of whatever fetches a data set."""
    for file in CONFIGS.glob("data/*.yaml"):
        node = OmegaConf.load(file)
        source = node.get("data", node).source  # of digits, which sets more than its group
        if source._target_ == "activae.data.torchvision_images":
            monkeypatch.setattr(f"torchvision.datasets.{source.name}", stand_in)
    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", posts)


@pytest.fixture(autouse=True)
def every_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins take the place of the services that log: their packages may be missing."""
    monkeypatch.setattr("activae.config.settling.find_spec", lambda package: package)
    for name in ("WandbLogger", "MLFlowLogger"):
        monkeypatch.setattr(f"pytorch_lightning.loggers.{name}", Service)


class Service(DummyLogger):
    """Logs nothing, whatever it is made of."""

    def __init__(self, **_: Any) -> None:
        super().__init__()


def posts(**_: Any) -> SimpleNamespace:
    """Takes the place of scikit-learn's newsgroups."""
    texts = [f"the ship number{n % 7} sails a sea number{n % 5}" for n in range(60)]
    groups = np.arange(60) % 3
    return SimpleNamespace(data=texts, target=groups, target_names=["a", "b", "c"])


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A file or folder of each kind that a data set may be made from."""
    folder = tmp_path_factory.mktemp("examples")
    numbers = np.random.default_rng(0)
    np.save(folder / "mine.npy", numbers.normal(size=(80, 12)))
    rows = [f"{n},{n % 7},{'red' if n % 3 else 'blue'}" for n in range(80)]
    (folder / "mine.csv").write_text("\n".join(["weight,size,colour", *rows]))
    (folder / "mine.txt").write_text("\n".join(posts().data))
    (folder / "mine.pictures").mkdir()
    for number, pixels in enumerate(numbers.integers(0, 256, (60, 9, 8, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / "mine.pictures" / f"{number}.png")
    cells = AnnData(csr_matrix(numbers.poisson(1.0, size=(80, 12)).astype(np.float32)))
    cells.write_h5ad(folder / "mine.h5ad")
    return sorted(folder.glob("mine.*"))


@pytest.fixture
def mandatory(examples: list[Path], compose: Compose) -> Callable[[str, str], list[str]]:
    """Overrides for what an option leaves to the user."""

    def overrides(group: str, name: str) -> list[str]:
        text = (CONFIGS / group / f"{name}.yaml").read_text()
        needed = []
        if "path: ???" in text:
            needed.append(f"data.path='{first_accepted(name, examples, compose)}'")
        if "function: ???" in text:
            needed.append("activation.function=torch.nn.functional.gelu")
        if group in ("objective", "regulariser"):  # some need a latent
            node = OmegaConf.load(CONFIGS / group / f"{name}.yaml")
            needs = [
                getattr(locate(n["_target_"], k), "needs", "")
                for k, n in targets(container(node), "")
            ]
            needed += [f"latent={latent}" for latent in needs if latent]
        if (group, name) == ("sampler", "prior"):
            needed.append("latent=gaussian")
        if group == "objective":
            demand = demand_of(
                build(container(OmegaConf.load(CONFIGS / group / f"{name}.yaml")), "")
            )
            if demand.normalisation:
                needed.append(f"data.normalisation={demand.normalisation}")
        return needed

    return overrides


def first_accepted(name: str, files: list[Path], compose: Compose) -> Path:
    """The first of the examples that a data set can be made from."""
    complaints = []
    for file in files:
        try:
            build_data(settle(compose(f"data={name}", f"data.path='{file}'", "trainer=cpu")))
        except UserError as error:
            complaints.append(str(error))
        else:
            return file
    raise AssertionError(f"data={name} takes no example file:\n" + "\n".join(complaints))
