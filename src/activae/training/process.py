"""What a run sets in its process, and sets back: threads, random state, global torch settings."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

import joblib
import torch

from activae.models import Autoencoder

# Multiply-adds in a forward pass up to which a second thread costs more than it brings; measured
# with the article's network, which gains nothing at batch 32 and a third at batch 256.
SINGLE_THREAD_WORK = 10_000_000


@contextmanager
def process_state(seed: int) -> Iterator[None]:
    """Seed torch's global generator, and leave every global setting as it was found.

    The global generator serves only stochastic layers such as RReLU and dropout; everything else
    draws from generators of its own.
    """
    threads = torch.get_num_threads()
    dtype = torch.get_default_dtype()
    precision = torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    # A CPU's pool forks from here, which CUDA once initialised does not survive: its
    # generators are left alone until something has used it.
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with _quiet_lightning(), _quick_cuda_check(), torch.random.fork_rng(list(devices)):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_default_dtype(dtype)
            torch.set_float32_matmul_precision(precision)
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn


@contextmanager
def _quick_cuda_check() -> Iterator[None]:
    """Undo a setting of Lightning's that makes torch.cuda.is_available() 20 times as slow.

    torch's optimizers ask that at every step; only processes that fork afterwards need the setting.
    """
    name = "PYTORCH_NVML_BASED_CUDA_CHECK"
    before = os.environ.pop(name, None)
    try:
        yield
    finally:
        if before is not None:
            os.environ[name] = before


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Hide Lightning's advice, which is about loaders and loggers that a run does not have."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for package in ("pytorch_lightning", "lightning_fabric"):
                warnings.filterwarnings("ignore", module=package)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def choose_threads(net: Autoencoder, batch_size: int) -> int:
    """One thread for small networks, where starting the others costs more; else every core."""
    work = batch_size * net.multiply_adds
    return 1 if work < SINGLE_THREAD_WORK else cores()


def cores() -> int:
    """How many cores the process may use: in a container or a batch job, fewer than there are."""
    return int(joblib.cpu_count())


class Stoppable(Protocol):
    """What ends between two steps once it is asked to."""

    stop_requested: bool


@contextmanager
def stopping_on_interrupt(fit: Stoppable) -> Iterator[None]:
    """Let the first Ctrl-C end the fit between two steps; a second one is a KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def request_stop(signum: int, frame: FrameType | None) -> None:
        fit.stop_requested = True
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, request_stop)
    try:
        yield
    except SystemExit:  # what Lightning makes of a KeyboardInterrupt
        if fit.stop_requested:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, previous)
