"""Generative runs are resumed where they stopped, and open to the same codes at every call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

import activae
from activae.results.run import train

Compose = Callable[..., DictConfig]
QUIET = ("trainer=cpu", "trainer.max_steps=6", "logger=minimal", "logger.progress_bar=false")


@pytest.mark.parametrize("name", ["vae", "vq_vae", "aae"])
def test_a_resumed_run_is_the_uninterrupted_one(
    name: str,
    compose: Compose,
    interrupt: Callable[[DictConfig, Path, int], None],
    tmp_path: Path,
) -> None:
    cfg = compose(f"experiment={name}", "data.source.binarise=dynamic", *QUIET)
    whole = train(cfg, tmp_path / "whole")
    interrupt(cfg, tmp_path / "parts", 3)

    parts = train(cfg, tmp_path / "parts")

    assert parts["test"] == whole["test"]
    x = torch.rand(5, 1, 8, 8) * 16
    first, second = (activae.load(tmp_path / folder) for folder in ("whole", "parts"))
    assert torch.as_tensor(first.encode(x)).equal(torch.as_tensor(second.encode(x)))
    assert torch.as_tensor(first.reconstruct(x)).equal(torch.as_tensor(first.reconstruct(x)))
