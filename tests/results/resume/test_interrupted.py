"""A run that was interrupted between two steps ends, once resumed, as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from activae.config.settling import read, settle
from activae.errors import ConfigError, DataError
from activae.results.run import TrainingDiverged, train
from activae.results.run_folder import DONE, METRICS
from activae.training.assembly import build_data
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.fitting import refuse_other_data

Small = Callable[..., DictConfig]
Interrupt = Callable[[DictConfig, Path, int], None]
SameEnd = Callable[[Path, Path], None]

STEPS_PER_EPOCH = 4
CASES = {
    "adam, noise in training, cosine with warm-up": (
        "activation=rrelu",
        "scheduler=cosine",
        "scheduler.warmup=0.3",
    ),
    "momentum, one cycle, penalties, clipping": (
        "optimizer=momentum",
        "scheduler=onecycle",
        "objective.l1=1e-5",
        "objective.l2=1e-5",
        "trainer.gradient_clip_val=0.05",
    ),
    "dropout and batch normalisation, lsuv": (
        "encoder.dropout=0.2",
        "decoder.dropout=0.1",
        "encoder.normalisation=batch",
        "activation=glu",
        "init=lsuv",
    ),
    "early stopping, its patience counting": (
        "optimizer.lr=0.1",
        "trainer.max_epochs=40",
        "trainer.early_stopping_patience=3",
    ),
    "lion, a plateau reached, noise in training": (
        "optimizer=lion",
        "optimizer.weight_decay=0.1",
        "activation=rrelu",
        "scheduler=plateau",
        "scheduler.patience=0",
        "scheduler.threshold=0.3",
        "scheduler.cooldown=1",
        "trainer.max_epochs=9",
    ),
    "lbfgs, which searches, noise in training, clipping": (
        "optimizer=lbfgs",
        "optimizer.history_size=3",
        "activation=rrelu",
        "trainer.gradient_clip_val=0.5",
        "scheduler=step",
    ),
    "learnable activations, nadam, float64, a last epoch cut short": (
        "activation=prelu",
        "optimizer=nadam",
        "trainer.precision=64-true",
        "trainer.max_steps=22",
    ),
}


@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES)
def test_interrupted_anywhere_it_ends_the_same(
    overrides: tuple[str, ...],
    uninterrupted: Callable[..., Path],
    small: Small,
    interrupt: Interrupt,
    history: Callable[[Path], list[Any]],
    assert_same_end: SameEnd,
    tmp_path: Path,
) -> None:
    expected = uninterrupted(*overrides)
    last_step = int(history(expected)[-1]["step"])
    cfg = small(*overrides)
    # The first step, a chunk's last, before a short batch, an epoch's last, near the end.
    chains = ([1, 3, 11, 3 * STEPS_PER_EPOCH, last_step - 6], [5, 6, STEPS_PER_EPOCH + 3])
    for steps in chains:
        folder = tmp_path / f"{steps}"
        for step in steps:
            interrupt(cfg, folder, step)
        train(cfg, folder)
        assert_same_end(folder, expected)


@pytest.mark.parametrize("optimizer", ["adam", "momentum", "nadam", "lion", "adagrad"])
def test_steps_taken_as_one_function_resume_too(
    optimizer: str,
    uninterrupted: Callable[..., Path],
    small: Small,
    interrupt: Interrupt,
    assert_same_end: SameEnd,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What trainer.compile keeps between steps, without the seconds that compiling takes."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    overrides = (
        "trainer.compile=true",
        f"optimizer={optimizer}",
        "activation=rrelu",
        "encoder.dropout=0.1",
    )
    expected, folder = uninterrupted(*overrides), tmp_path / "interrupted"

    for step in (2, 7, 2 * STEPS_PER_EPOCH):
        interrupt(small(*overrides), folder, step)
    train(small(*overrides), folder)

    assert_same_end(folder, expected)


def test_the_plateau_in_these_cases_is_reached(
    uninterrupted: Callable[..., Path], history: Callable[[Path], list[Any]]
) -> None:
    folder = uninterrupted(*CASES["lion, a plateau reached, noise in training"])

    rates = [float(row["lr"]) for row in history(folder)]
    assert len(set(rates)) >= 3
    assert rates == sorted(rates, reverse=True)
    assert load_checkpoint(folder / LAST)["schedule"]["reduced_at"]


def test_early_stopping_in_these_cases_does_stop_early(
    uninterrupted: Callable[..., Path], history: Callable[[Path], list[Any]]
) -> None:
    folder = uninterrupted(*CASES["early stopping, its patience counting"])

    assert 6 < len(history(folder)) < 40


def test_a_stop_during_the_last_step_comes_too_late(
    small: Small, stopping_after: Callable[[int], AbstractContextManager[None]], tmp_path: Path
) -> None:
    with stopping_after(6 * STEPS_PER_EPOCH):
        assert train(small(), tmp_path)["steps"] == 6 * STEPS_PER_EPOCH


def test_a_stop_does_not_hide_that_the_step_before_it_diverged(
    small: Small, stopping_after: Callable[[int], AbstractContextManager[None]], tmp_path: Path
) -> None:
    cfg = small("optimizer=sgd", "optimizer.lr=1e30")

    with stopping_after(3), pytest.raises(TrainingDiverged):
        train(cfg, tmp_path)

    kept = load_checkpoint(tmp_path / LAST)["state_dict"]
    assert all(tensor.isfinite().all() for tensor in kept.values())


@pytest.mark.parametrize("logger", ["minimal", "tensorboard"])
def test_a_finished_run_is_only_scored_again(
    logger: str, small: Small, metrics: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    cfg = small("trainer.precision=64-true", f"logger={logger}")
    train(cfg, tmp_path)
    scored, written = metrics(tmp_path), (tmp_path / LAST).stat().st_mtime_ns
    (tmp_path / DONE).unlink()
    (tmp_path / METRICS).unlink()

    train(cfg, tmp_path)

    assert metrics(tmp_path) == scored
    assert (tmp_path / LAST).stat().st_mtime_ns == written


def test_the_time_spent_adds_up(small: Small, interrupt: Interrupt, tmp_path: Path) -> None:
    interrupt(small(), tmp_path, 2 * STEPS_PER_EPOCH)
    before = load_checkpoint(tmp_path / LAST)["seconds"]

    metrics = train(small(), tmp_path)

    assert metrics["seconds"]["fit"] > before > 0


def test_resuming_leaves_the_global_generator_alone(
    small: Small, interrupt: Interrupt, tmp_path: Path
) -> None:
    interrupt(small("activation=rrelu"), tmp_path, 2)
    before = torch.get_rng_state()

    train(small("activation=rrelu"), tmp_path)

    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_whose_data_have_changed_since_is_not_resumed(
    small: Small, interrupt: Interrupt, tmp_path: Path
) -> None:
    """The checkpoint holds the normalisation of the old file, which would mis-scale the new."""
    file = tmp_path / "mine.npy"
    values = np.random.default_rng(0).normal(size=(200, 5))
    np.save(file, values)
    data = ("data=array", f"data.path={file}", "encoding.dim=2", "data.train_fraction=1")
    cfg = small(*data)
    interrupt(cfg, tmp_path / "run", 3)
    np.save(file, 100 + 5 * values)

    with pytest.raises(DataError, match=r"mine\.npy: has changed since this run was interrupted"):
        train(cfg, tmp_path / "run")

    np.save(file, values)

    assert train(cfg, tmp_path / "run")["status"] == "completed"


def test_reordered_columns_are_noticed_by_checkpoints_that_know_only_their_names(
    small: Small, tmp_path: Path
) -> None:
    file = tmp_path / "mine.csv"
    rows = "".join(f"{n},{n * n % 7},{n % 3}\n" for n in range(50))
    file.write_text("a,b,c\n" + rows)
    cfg = settle(small("data=array", f"data.path={file}"))
    spec = build_data(cfg).spec

    refuse_other_data(cfg, {"spec": spec.to_dict()}, spec)
    older = spec.to_dict() | {"features": ["a", "c", "b"]}
    with pytest.raises(DataError, match=r"mine\.csv: its column b stands where .* trained on c"):
        refuse_other_data(cfg, {"spec": older}, spec)


def test_a_run_whose_own_function_was_edited_is_not_resumed(
    small: Small, interrupt: Interrupt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "mine_edited.py"
    file.write_text("import torch\ndef f(x):\n    return torch.tanh(x)\n")
    overrides = ("activation=custom", "activation.function=mine_edited.f")
    interrupt(small(*overrides), tmp_path / "run", 2)

    file.write_text("import torch\ndef f(x):\n    return torch.sin(x)\n")
    with pytest.raises(
        ConfigError, match=r"mine_edited\.f: has been edited since .* old code back"
    ):
        train(read(tmp_path / "run" / "config.yaml"), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"mine_edited\.f: has been edited since"):
        train(small(*overrides), tmp_path / "run")

    file.write_text("import torch\ndef f(x):\n    # as before\n    return torch.tanh(x)\n")
    ended = train(read(tmp_path / "run" / "config.yaml"), tmp_path / "run")
    assert ended["status"] == "completed"


def test_a_run_of_an_earlier_version_which_noted_no_code_is_resumed(
    small: Small, interrupt: Interrupt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_older.py").write_text("import torch\ndef f(x):\n    return torch.tanh(x)\n")
    file = tmp_path / "run" / "config.yaml"
    interrupt(small("activation=custom", "activation.function=mine_older.f"), file.parent, 2)
    lines = file.read_text().splitlines(keepends=True)
    others = [line for line in lines if not line.startswith(("own_code", "- mine_older.f"))]
    file.write_text("".join(others))

    assert train(read(file), file.parent)["status"] == "completed"
