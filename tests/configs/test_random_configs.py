"""Any valid config trains to a finite loss, or is refused by a message that names a key of it."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hydra.errors import HydraException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from activae.config.messages import explain
from activae.errors import UserError
from activae.models.densities import learning
from activae.results.run import train

Compose = Callable[..., DictConfig]

CONFIGS = Path(__file__).parents[2] / "configs"
# Chosen apart: what is trained with, what is written, and the way that sweeps are launched.
APART = ("trainer", "logger", "experiment", "hydra")
GROUPS = {
    folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
    for folder in sorted(CONFIGS.iterdir())
    if folder.is_dir() and folder.name not in APART
}
ALWAYS = (
    "trainer=cpu",
    "trainer.max_steps=2",
    "logger.progress_bar=false",
    "logger.images=2",
    "logger.projector_samples=10",
)
PLACES = ("encoder.activation", "decoder.activation", "encoding.activation", "output.activation")
VALUES = {
    "encoding.dim": st.sampled_from([1, 2, 5, 64, 200]),
    "data.batch_size": st.sampled_from([2, 7, 32, 5000]),
    "data.normalisation": st.sampled_from(["unit_range", "standardise", "none"]),
    "data.train_fraction": st.sampled_from([0.1, 0.5, 1.0]),
    "data.val_fraction": st.sampled_from([0.1, 0.4]),
    "objective.l1": st.sampled_from([0.0, 1e-5]),
    "objective.l2": st.sampled_from([0.0, 1e-4]),
    "seed": st.integers(0, 2**40),
    "trainer.precision": st.sampled_from(["32-true", "64-true", "bf16-mixed"]),
    "trainer.gradient_clip_val": st.sampled_from(["null", 0.1, 1.0]),
    "trainer.early_stopping_patience": st.sampled_from(["null", 1]),
    "trainer.max_epochs": st.sampled_from([1, 2]),
    "logger.tensorboard": st.booleans(),
    "logger.snapshots": st.sampled_from([0, 1, 3]),
    "optimizer.lr": st.sampled_from([1e-5, 1e-3, 1e-2]),
    "scheduler.warmup": st.sampled_from([0.0, 0.5]),
    "encoder.dropout": st.sampled_from([0.0, 0.3]),
    "decoder.normalisation": st.sampled_from(["null", "batch", "layer", "group"]),
    "encoder.match_parameters": st.booleans(),
}


@st.composite
def overrides(draw: Any) -> list[str]:
    """Options of some groups, activations in some places, values of some keys."""
    chosen = [
        f"{group}={draw(st.sampled_from(options))}"
        for group, options in GROUPS.items()
        if draw(st.booleans())
    ]
    if draw(st.integers(0, 4)) == 0:
        several = draw(st.lists(st.sampled_from(GROUPS["regulariser"]), unique=True, max_size=3))
        chosen = [o for o in chosen if not o.startswith("regulariser=")]
        chosen.append(f"regulariser=[{','.join(several)}]")
    for place in PLACES:
        if draw(st.integers(0, 3)) == 0:
            chosen.append(f"activation@{place}={draw(st.sampled_from(GROUPS['activation']))}")
    keys = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=4))
    return chosen + [f"{key}={draw(VALUES[key])}" for key in keys]


def complete(chosen: list[str], mandatory: Callable[[str, str], list[str]]) -> list[str]:
    """The overrides, with what the options among them leave to the user, unless that is given."""
    given = {override.split("=")[0] for override in chosen}
    needed = []
    for override in chosen:
        group, _, name = override.partition("=")
        place = group.partition("@")[2]
        group = group.partition("@")[0]
        if group in GROUPS and name in GROUPS[group]:
            for line in mandatory(group, name):
                line = line.replace("activation.", f"{place}.", 1) if place else line
                if line.split("=")[0] not in given:
                    needed.append(line)
    return [*chosen, *needed]


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(chosen=overrides())
def test_a_valid_config_trains_or_is_refused_by_name(
    chosen: list[str], compose: Compose, mandatory: Callable[[str, str], list[str]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "_MOST_STEPS", 20)  # of a sampler, as two are of the network
        outcome = trained_or_refused(compose, complete(chosen, mandatory))

    if isinstance(outcome, str):
        keys = [line.split("=")[0].split("@")[-1] for line in chosen]
        named = [key for key in keys if key in outcome]
        assert named, f"{chosen}: refused without naming any of them: {outcome}"
    else:
        assert isfinite(outcome)


def trained_or_refused(compose: Compose, chosen: list[str]) -> float | str:
    """The test SE after two steps, or what is said against the config."""
    try:
        with TemporaryDirectory() as folder:
            metrics = train(compose(*ALWAYS, *chosen), Path(folder) / "run")
    except UserError as error:
        return str(error)
    except (HydraException, OmegaConfBaseException) as error:
        return explain(error)
    found: float = metrics["test"]["SE"]
    return found
