"""Ctrl-C: the first ends the run after its step, the second at once; nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from activae.results.run import train
from activae.results.run_folder import CONFIG, HISTORY
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.eager_step import EagerStep
from activae.training.module import Interrupted

Small = Callable[..., DictConfig]

STEPS_PER_EPOCH = 4


@contextmanager
def ctrl_c_during(step: int, *, times: int) -> Iterator[None]:
    """Press Ctrl-C, really, during that step (counted from 0)."""
    take_step = EagerStep.__call__
    taken = 0

    def interrupted(self: EagerStep, batch: Tensor, factor: float) -> dict[str, Tensor]:
        nonlocal taken
        if taken == step:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        taken += 1
        return take_step(self, batch, factor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EagerStep, "__call__", interrupted)
        yield


def test_the_step_is_finished(small: Small, tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)

    with ctrl_c_during(5, times=1), pytest.raises(Interrupted):
        train(small(), tmp_path)

    assert load_checkpoint(tmp_path / LAST)["global_step"] == 6
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_second_one_ends_at_once_with_the_last_whole_epoch(
    uninterrupted: Callable[..., Path],
    small: Small,
    assert_same_end: Callable[[Path, Path], None],
    tmp_path: Path,
) -> None:
    expected, folder = uninterrupted(), tmp_path / "interrupted"
    handler = signal.getsignal(signal.SIGINT)

    with ctrl_c_during(5, times=2), pytest.raises(KeyboardInterrupt):
        train(small(), folder)

    assert load_checkpoint(folder / LAST)["global_step"] == STEPS_PER_EPOCH
    assert signal.getsignal(signal.SIGINT) is handler
    train(small(), folder)
    assert_same_end(folder, expected)


@pytest.mark.parametrize(
    ("request_to_end", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_command_saves_says_how_to_go_on_and_exits_with_128_and_the_signal(
    request_to_end: int, code: int, tmp_path: Path
) -> None:
    root = Path(__file__).parents[3]
    arguments = ["trainer=cpu", "logger=minimal", "data.train_fraction=0.1"]
    process = subprocess.Popen(
        [sys.executable, root / "train.py", *arguments, "trainer.max_epochs=1000000"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        stdout=subprocess.PIPE,
        text=True,
        # Under nohup it would be ignored, here as there.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    try:
        deadline = monotonic() + 300
        while not (started := list(tmp_path.glob(f"outputs/*/*/{HISTORY}"))):
            assert process.poll() is None
            assert monotonic() < deadline
            sleep(0.05)
        process.send_signal(request_to_end)
        output, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    (folder,) = (file.parent for file in started)

    assert process.returncode == code
    assert "Traceback" not in output
    assert "resume=" in output
    step = load_checkpoint(folder / LAST)["global_step"]
    assert step > 0
    cfg = OmegaConf.load(folder / CONFIG)
    assert isinstance(cfg, DictConfig)
    cfg.trainer.max_epochs = step // STEPS_PER_EPOCH + 2
    OmegaConf.save(cfg, folder / CONFIG)
    assert train(cfg, folder)["steps"] == cfg.trainer.max_epochs * STEPS_PER_EPOCH
