"""What a run sets in its process, and sets back."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from activae.errors import UserError
from activae.models import Autoencoder, ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from activae.results.run import train
from activae.training.process import choose_threads, process_state

Compose = Callable[..., DictConfig]


@pytest.fixture
def run(compose: Compose, tmp_path: Path) -> Callable[..., None]:
    """Trains a small model with overrides, in another folder each time."""
    count = 0

    def train_once(*overrides: str) -> None:
        nonlocal count
        count += 1
        small = ("trainer=cpu", "logger.progress_bar=false", "data.train_fraction=0.1")
        cfg = compose(*small, "logger=minimal", "trainer.max_epochs=2", *overrides)
        train(cfg, tmp_path / f"run{count}")

    return train_once


def state_of_the_process() -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "matmul": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly detection": torch.is_anomaly_enabled(),
        "gradients": torch.is_grad_enabled(),
        "torch's generator": torch.get_rng_state().tolist(),
        "numpy's generator": np.random.get_state()[1].tolist(),  # type: ignore[union-attr]
        "python's generator": random.getstate(),
        "filters": list(warnings.filters),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "log levels": {
            name: logging.getLogger(name).level
            for name in ("", "activae", "pytorch_lightning", "lightning_fabric")
        },
    }


@pytest.fixture
def settings_of_its_own(run: Callable[..., None]) -> Iterator[None]:
    """Another number of threads and other log levels than any run here sets."""
    run("trainer.max_steps=1", "logger=tensorboard")  # imports set things up once
    threads = torch.get_num_threads()
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    torch.set_num_threads(1)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield
    torch.set_num_threads(threads)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.usefixtures("settings_of_its_own")
@pytest.mark.parametrize(
    "overrides",
    [
        ("trainer.precision=64-true", "trainer.threads=2", "trainer.max_steps=2"),
        ("trainer=debug", "trainer.precision=bf16-mixed", "activation=rrelu"),
        ("logger=tensorboard", "trainer.early_stopping_patience=1"),
    ],
    ids=" ".join,
)
def test_it_is_left_as_it_was(overrides: tuple[str, ...], run: Callable[..., None]) -> None:
    before = state_of_the_process()

    run(*overrides)

    after = state_of_the_process()
    assert {part for part in before if after[part] != before[part]} == set()


@pytest.mark.usefixtures("settings_of_its_own")
def test_it_is_left_as_it_was_after_a_failure(run: Callable[..., None]) -> None:
    before = state_of_the_process()

    with pytest.raises(UserError, match="diverged"):
        run("trainer.threads=2", "optimizer=sgd", "optimizer.lr=1e30")

    after = state_of_the_process()
    assert {part for part in before if after[part] != before[part]} == set()


def test_a_run_within_another_thread_works(run: Callable[..., None]) -> None:
    """Only the main thread may set signal handlers."""
    failures: list[BaseException] = []

    def body() -> None:
        try:
            run()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()

    assert failures == []


def test_small_networks_run_on_one_thread_and_large_ones_on_every_core() -> None:
    def network(width: int) -> Autoencoder:
        half: dict[str, Any] = {"hidden": [width], "activation": nn.ReLU}
        shape = (784,)
        return Autoencoder(MLPEncoder(shape, 8, **half), MLPDecoder(8, shape, **half), shape=shape)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert choose_threads(network(64), 32) == 1
    assert choose_threads(network(2000), 256) == cores


def test_a_convolution_works_at_every_position() -> None:
    half: dict[str, Any] = {"channels": [8, 16], "activation": nn.ReLU}
    shape = (1, 28, 28)
    net = Autoencoder(ConvEncoder(shape, 4, **half), ConvDecoder(4, shape, **half), shape=shape)

    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, *shape))
    assert net.multiply_adds == counter.get_total_flops() / 2


def test_a_cpu_run_does_not_initialise_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with GPUs: a pool's processes are forked from here, and could not use it."""

    def initialise() -> None:
        raise AssertionError("CUDA is initialised")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "_lazy_init", initialise)

    with process_state(0):
        first = torch.rand(3)
    with process_state(0):
        assert torch.equal(torch.rand(3), first)


def test_asking_for_a_gpu_is_quick_while_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's optimizers ask at every step; Lightning's setting makes that 20 times as slow."""
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    with process_state(0):
        assert "PYTORCH_NVML_BASED_CUDA_CHECK" not in os.environ
    assert os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] == "1"
