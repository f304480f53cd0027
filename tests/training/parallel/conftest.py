"""Small runs on two processes, and activations that do something at a certain moment."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from activae.results.run_folder import CONFIG

Odd = Callable[..., list[str]]

_ODD = """import os, pathlib, signal, time, torch
calls = 0
class Odd(torch.nn.Module):
    def forward(self, x):
        if self.training and torch.distributed.is_initialized():
            at_a_step(torch.distributed.get_rank())
        return {function}
def at_a_step(rank):
    global calls
    calls += 1
    pathlib.Path({place!r}, f"rank{{rank}}.pid").write_text(str(os.getpid()))
    if calls == 60:
        deed = pathlib.Path({place!r}, "deed").read_text()
        exec(deed, globals() | {{"rank": rank}})
"""


@pytest.fixture
def small(compose: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """`small(*overrides)`: 126 samples in 6 steps an epoch, the last one with a single sample."""

    def composed(*overrides: str) -> DictConfig:
        return compose(
            "logger=minimal",
            "logger.progress_bar=false",
            "data.train_fraction=0.1",
            "data.batch_size=25",
            "trainer.max_epochs=4",
            "scheduler=constant",
            "optimizer.lr=0.001",
            "activation@output.activation=identity",
            "encoding=dim32",
            *overrides,
        )

    return composed


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Odd:
    """`odd(function, rank, deed)`: overrides for an activation that does the deed in that rank.

    It does so in the third epoch. Called again, without a deed, it is mended; its source, which
    tells one run from another, stays the same.
    """
    name = f"odd_{tmp_path.name}"
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def write(function: str, rank: int = 0, deed: str = "pass") -> list[str]:
        text = _ODD.format(
            place=str(tmp_path),
            function=function,
        )
        (tmp_path / f"{name}.py").write_text(text)
        (tmp_path / "deed").write_text(f"if rank == {rank}: {deed}")
        return ["activation=custom", f"activation.function={name}.Odd"]

    return write


@pytest.fixture
def moved() -> Callable[[Path, DictConfig], None]:
    """`moved(folder, cfg)`: let the run in the folder go on as another config says."""

    def write(folder: Path, cfg: DictConfig) -> None:
        from activae.config.settling import settle

        OmegaConf.save(settle(cfg), folder / CONFIG)

    return write
