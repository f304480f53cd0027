"""What becomes of each member of a stack: its own end, its own folder, its own mishaps."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from activae.errors import ConfigError
from activae.results.run import TrainingDiverged, train, train_settled
from activae.results.run_folder import DONE
from activae.sweeps.stack import train_stack
from activae.sweeps.stack.member import Member
from activae.training.assembly import build_data
from activae.training.checkpoint import BEST, LAST, load_checkpoint
from activae.training.shared import Shared

Settled = Callable[..., DictConfig]
STEPS_PER_EPOCH = 4


def keys(tree: Any) -> Any:
    """The names and shapes within a checkpoint, without its values."""
    if isinstance(tree, dict):
        return {key: keys(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [keys(value) for value in tree]
    return (tree.shape, tree.dtype) if isinstance(tree, torch.Tensor) else type(tree)


@pytest.mark.parametrize(
    "overrides",
    [
        ("trainer.early_stopping_patience=2",),
        ("optimizer=nadam", "optimizer.weight_decay=0.1", "objective.l2=1e-4"),
        ("optimizer=momentum", "logger=tensorboard", "logger.snapshots=2"),
    ],
    ids=" ".join,
)
def test_the_folder_is_that_of_a_plain_run(
    overrides: tuple[str, ...], settled: Settled, runs: Any, history: Callable, metrics: Callable
) -> None:
    configs = [settled(*overrides, f"seed={seed}") for seed in (0, 1)]

    stacked, (plain, _) = runs.stacked(configs), runs.plain(configs)

    for folder in stacked:
        names = [_names(one) for one in (folder, plain)]
        assert names[0] == names[1]
        assert list(history(folder)[0]) == list(history(plain)[0])
        assert keys(metrics(folder)) == keys(metrics(plain))
        assert (folder / DONE).read_text() == "completed\n"
        for name in (BEST, LAST):
            one, other = (load_checkpoint(where / name) for where in (folder, plain))
            assert keys(one) == keys(other)


def test_tensorboard_shows_what_it_shows_of_another_run_of_a_sweep(
    settled: Settled, runs: Any
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    cfg = settled("logger=tensorboard", "logger.snapshots=2", "logger.projector_samples=50")
    tags = []
    (stacked,), (pooled,) = runs.stacked([cfg]), runs.folders(1)
    train_settled(cfg, pooled, Shared(watchers=()))
    for folder in (stacked, pooled):
        events = EventAccumulator(str(folder))
        events.Reload()
        tags.append(events.Tags())
        assert [event.step for event in events.Scalars("SE/val")] == [4, 8, 12]

    assert tags[0] == tags[1]
    assert "SE/train" in tags[0]["scalars"]
    assert "custom_scalars__config__" not in tags[0]["tensors"]


def test_each_stops_early_on_its_own_and_keeps_its_own_best(
    settled: Settled, runs: Any, history: Callable, metrics: Callable
) -> None:
    rates = ("1e-3", "0.1", "0.05")
    configs = [
        settled(f"optimizer.lr={lr}", "trainer.max_epochs=20", "trainer.early_stopping_patience=2")
        for lr in rates
    ]

    folders = runs.stacked(configs)

    lengths = [len(history(folder)) for folder in folders]
    assert lengths[0] == 20
    assert lengths[1] < 20
    for folder, cfg, length in zip(folders, configs, lengths, strict=True):
        errors = [row["SE/val"] for row in history(folder)]
        best = errors.index(min(errors))
        assert metrics(folder)["best_epoch"] == load_checkpoint(folder / BEST)["epoch"] == best
        assert metrics(folder)["steps"] == length * STEPS_PER_EPOCH
        assert length in (best + 1 + 2, cfg.trainer.max_epochs)


def test_one_that_diverges_is_closed_so_and_disturbs_nobody(
    settled: Settled, runs: Any, tmp_path: Path, weights: Callable, metrics: Callable
) -> None:
    healthy = [settled("optimizer=sgd", f"seed={seed}") for seed in (0, 1, 2)]
    wild = settled("optimizer=sgd", "optimizer.lr=1e30")
    expected = runs.stacked(healthy)
    configs = [healthy[0], wild, *healthy[1:]]
    folders = [tmp_path / f"with{place}" for place in range(4)]

    outcomes = train_stack(list(zip(configs, folders, strict=True)))

    with pytest.raises(TrainingDiverged) as alone:
        train(wild, tmp_path / "alone")
    assert isinstance(outcomes[1], TrainingDiverged)
    assert str(outcomes[1]) == str(alone.value).replace("alone", "with1")
    assert (folders[1] / DONE).read_text() == "diverged\n"
    assert metrics(folders[1]) == metrics(tmp_path / "alone")
    for folder, reference in zip([folders[0], *folders[2:]], expected, strict=True):
        assert (folder / DONE).read_text() == "completed\n"
        for name, tensor in weights(folder).items():
            # Matrix products of four networks may be summed in another order than those of three.
            torch.testing.assert_close(tensor, weights(reference)[name], rtol=1e-4, atol=1e-6)


def test_a_run_that_cannot_be_built_or_taken_up_fails_alone(
    settled: Settled, tmp_path: Path
) -> None:
    good = settled()
    unbuildable = settled("scheduler.warmup=2")
    (tmp_path / "damaged" / "checkpoints").mkdir(parents=True)
    (tmp_path / "damaged" / LAST).write_text("no checkpoint")
    names = ("unbuildable", "good", "damaged", "done")
    configs = (unbuildable, good, good, good)
    jobs = [(cfg, tmp_path / name) for cfg, name in zip(configs, names, strict=True)]
    train(good, tmp_path / "done")
    told: list[int] = []

    outcomes = train_stack(jobs, on_end=lambda place, outcome: told.append(place))

    assert "scheduler.warmup=2" in str(outcomes[0])
    assert isinstance(outcomes[1], dict)
    assert "cannot be read" in str(outcomes[2])
    assert isinstance(outcomes[3], ConfigError)
    assert sorted(told) == [0, 1, 2, 3]


def test_a_callback_that_fails_ends_its_member_alone(settled: Settled, tmp_path: Path) -> None:
    folders = [tmp_path / "good", tmp_path / "bad"]
    (folders[1] / "history.csv").mkdir(parents=True)  # cannot be written to

    outcomes = train_stack([(settled(), folder) for folder in folders])

    assert isinstance(outcomes[0], dict)
    assert isinstance(outcomes[1], OSError)
    assert not (folders[1] / DONE).exists()


def test_data_can_be_shared_between_seeds(
    settled: Settled, runs: Any, tmp_path: Path, history: Callable
) -> None:
    linear = ("optimizer.lr=1e-3", "activation@output.activation=identity")
    configs = [settled(*linear, f"seed={seed}") for seed in (0, 1)]
    data = build_data(configs[0])
    expected = runs.plain(configs)

    folders = [tmp_path / "0", tmp_path / "1"]
    train_stack(list(zip(configs, folders, strict=True)), data_for=lambda cfg: data)

    for folder, reference in zip(folders, expected, strict=True):
        for row, wanted in zip(history(folder), history(reference), strict=True):
            assert row == pytest.approx(wanted, rel=1e-4)


def test_progress_is_told_and_everything_of_a_member_happens_inside(
    settled: Settled, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    inside: list[int] = []
    lines: set[tuple[int, str]] = set()

    @contextmanager
    def entered(place: int) -> Iterator[None]:
        caplog.clear()
        inside.append(place)
        yield
        lines.update((place, record.name) for record in caplog.records)

    steps: list[int] = []
    ends: list[tuple[int, Any]] = []
    jobs = [(settled(f"seed={seed}"), tmp_path / f"{seed}") for seed in (0, 1)]

    outcomes = train_stack(
        jobs,
        inside=entered,
        on_steps=lambda members: steps.append(sum(member.model.step for member in members)),
        on_end=lambda place, outcome: ends.append((place, outcome)),
    )

    assert set(inside) == {0, 1}
    assert {place for place, name in lines if name == "activae.training.assembly"} == {0, 1}
    assert steps == sorted(steps)
    assert steps[-1] == 24
    assert dict(ends) == dict(enumerate(outcomes))


def test_global_settings_are_left_as_they_were(settled: Settled, tmp_path: Path) -> None:
    before = torch.get_rng_state(), signal.getsignal(signal.SIGINT)

    train_stack([(settled("trainer.precision=64-true"), tmp_path)])

    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_default_dtype() == torch.float32
    assert signal.getsignal(signal.SIGINT) == before[1]


def test_those_who_have_ended_hold_on_to_no_memory_of_the_stack(
    settled: Settled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members: dict[int, Member] = {}
    start = Member.start

    def started(self: Member, *arguments: Any) -> None:
        members[self.place] = self
        start(self, *arguments)

    monkeypatch.setattr(Member, "start", started)
    jobs = [(settled(f"trainer.max_epochs={n}"), tmp_path / f"{n}") for n in (1, 2, 3)]
    seen: list[int] = []

    def ended(place: int, outcome: Any) -> None:
        seen.append(place)
        member = members[place]
        assert not hasattr(member.model, "optimizer")
        for parameter in member.model.net.parameters():
            assert parameter.untyped_storage().nbytes() == 4 * parameter.numel()

    train_stack(jobs, on_end=ended)

    assert seen == [0, 1, 2]


def _names(folder: Path) -> set[str]:
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return {"events" if "tfevents" in file.name else str(file) for file in files}
