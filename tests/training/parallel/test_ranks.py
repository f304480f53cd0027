"""A run on two processes ends where it would on one, however it got there."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest
import torch
from omegaconf import DictConfig

from activae.results.run import TrainingDiverged, train
from activae.results.run_folder import DONE, HISTORY
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.module import Interrupted
from activae.training.parallel.fleet import RankDied

Small = Callable[..., DictConfig]
Odd = Callable[..., list[str]]
Moved = Callable[[Path, DictConfig], None]

CASES = {
    "adam, clipping, weight penalties, early stopping": (
        "trainer.gradient_clip_val=0.05",
        "objective.l1=1e-4",
        "objective.l2=1e-4",
        "trainer.early_stopping_patience=3",
    ),
    "sgd, corruption, penalties of the code, phases": (
        "optimizer=momentum",
        "corruption=masking",
        "regulariser=[code_l1,contractive_hutchinson]",
        "phases=encoder_then_decoder",
        "trainer.precision=64-true",  # a kink of relu makes much of a rounding error
    ),
    "lbfgs, which evaluates the loss several times a step; a callback that monitors SE/val": (
        "optimizer=lbfgs",
        "activation=tanh",
        "trainer.precision=64-true",
        "+callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping",
        "+callbacks.stop.monitor=SE/val",
    ),
}
STEPS_PER_EPOCH = 6


def history(folder: Path) -> dict[str, list[float]]:
    with (folder / HISTORY).open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    names = [name for name in rows[0] if name not in ("seconds", "phase")]
    return {name: [float(row[name] or 0.0) for row in rows] for name in names}


def assert_same(folder: Path, expected: Path, *, exactly: bool) -> None:
    found, wanted = (load_checkpoint(place / LAST) for place in (folder, expected))
    assert found["global_step"] == wanted["global_step"]
    for name, tensor in wanted["state_dict"].items():
        if exactly:
            assert torch.equal(found["state_dict"][name], tensor), name
        else:
            torch.testing.assert_close(found["state_dict"][name], tensor, rtol=1e-4, atol=1e-5)
    for name, column in history(expected).items():
        assert history(folder)[name] == pytest.approx(column, rel=0 if exactly else 1e-4), name
    assert (folder / DONE).exists()


def assert_none_is_left(place: Path) -> None:
    files = sorted(place.glob("rank?.pid"))
    assert len(files) == 2
    deadline = monotonic() + 10
    while any(_runs(int(file.read_text())) for file in files):
        assert monotonic() < deadline, "a process is left"
        sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES)
def test_two_processes_train_what_one_does(
    overrides: tuple[str, ...], small: Small, tmp_path: Path
) -> None:
    one = train(small("trainer=cpu", *overrides), tmp_path / "one")
    two = train(small("trainer=ddp", *overrides), tmp_path / "two")

    assert_same(tmp_path / "two", tmp_path / "one", exactly=False)
    assert two["test"]["SE"] == pytest.approx(one["test"]["SE"], rel=1e-5)
    assert two["steps"] == one["steps"] == 4 * STEPS_PER_EPOCH


def test_ctrl_c_stops_all_after_one_step_and_a_resumed_run_ends_the_same(
    small: Small, odd: Odd, tmp_path: Path
) -> None:
    """With an activation that draws random numbers in the forward pass.

    A rank itself takes no heed of SIGTERM, which batch systems send to all processes of a job.
    """
    noisy = "x * (torch.rand_like(x) if self.training else 0.5)"
    press = "os.kill(os.getpid(), signal.SIGTERM); "
    press += f"os.kill({os.getpid()}, signal.SIGINT); time.sleep(0.5)"
    cfg = small("trainer=ddp", *odd(noisy))
    train(cfg, tmp_path / "uninterrupted")
    odd(noisy, 0, press)

    with pytest.raises(Interrupted):
        train(cfg, tmp_path / "run")
    stopped = load_checkpoint(tmp_path / "run" / LAST)
    assert 2 * STEPS_PER_EPOCH < stopped["global_step"] < 3 * STEPS_PER_EPOCH
    assert_none_is_left(tmp_path)
    odd(noisy)
    train(cfg, tmp_path / "run")

    assert_same(tmp_path / "run", tmp_path / "uninterrupted", exactly=True)


def test_a_second_ctrl_c_ends_at_once_with_the_last_whole_epoch(
    small: Small, odd: Odd, tmp_path: Path
) -> None:
    press = f"os.kill({os.getpid()}, signal.SIGINT); time.sleep(0.5);"
    cfg = small("trainer=ddp", *odd("torch.tanh(x)", 1, press * 2 + "time.sleep(60)"))
    handler = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(cfg, tmp_path / "run")

    assert load_checkpoint(tmp_path / "run" / LAST)["global_step"] == 2 * STEPS_PER_EPOCH
    assert signal.getsignal(signal.SIGINT) is handler
    assert_none_is_left(tmp_path)


def test_a_run_moves_between_one_device_and_several(
    small: Small,
    odd: Odd,
    moved: Moved,
    interrupt: Callable[[DictConfig, Path, int], None],
    tmp_path: Path,
) -> None:
    activation = odd("torch.tanh(x)")
    one, two = (small(f"trainer={name}", *activation) for name in ("cpu", "ddp"))
    train(one, tmp_path / "expected")
    interrupt(one, tmp_path / "run", 3)
    moved(tmp_path / "run", two)
    odd("torch.tanh(x)", 1, f"os.kill({os.getpid()}, signal.SIGINT); time.sleep(0.5)")

    with pytest.raises(Interrupted):
        train(two, tmp_path / "run")
    assert 3 < load_checkpoint(tmp_path / "run" / LAST)["global_step"] < 4 * STEPS_PER_EPOCH
    moved(tmp_path / "run", one)
    train(one, tmp_path / "run")

    assert_same(tmp_path / "run", tmp_path / "expected", exactly=False)


def test_a_process_that_is_killed_ends_the_run_with_a_message_and_its_last_checkpoint(
    small: Small, odd: Odd, tmp_path: Path
) -> None:
    cfg = small("trainer=ddp", *odd("torch.tanh(x)", 1, "os.kill(os.getpid(), signal.SIGKILL)"))

    with pytest.raises(RankDied, match=r"process 2 of 2 .* SIGKILL.*\n?.*resume="):
        train(cfg, tmp_path / "run")

    assert_none_is_left(tmp_path)
    kept = load_checkpoint(tmp_path / "run" / LAST)
    assert kept["global_step"] == 2 * STEPS_PER_EPOCH
    odd("torch.tanh(x)")
    assert train(cfg, tmp_path / "run")["steps"] == 4 * STEPS_PER_EPOCH


def test_an_error_in_one_process_is_told_once(small: Small, odd: Odd, tmp_path: Path) -> None:
    cfg = small("trainer=ddp", *odd("torch.tanh(x)", 1, "raise OSError('no space left')"))

    with pytest.raises(OSError, match="no space left"):
        train(cfg, tmp_path / "run")

    assert_none_is_left(tmp_path)


def test_it_diverges_where_one_process_does(small: Small, tmp_path: Path) -> None:
    overrides = ("optimizer=sgd", "optimizer.lr=1e30")
    told = []
    for name in ("cpu", "ddp"):
        with pytest.raises(TrainingDiverged) as raised:
            train(small(f"trainer={name}", *overrides), tmp_path / "run" / name)
        told.append(str(raised.value).replace(name, "NAME"))

    assert told[0] == told[1]
    assert (tmp_path / "run" / "ddp" / DONE).read_text() == "diverged\n"
