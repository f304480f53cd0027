"""On how many devices a run trains, and what numbers they know."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from activae.errors import ConfigError

if TYPE_CHECKING:
    import torch

STRATEGIES = ("auto", "ddp")
_GPUS = ("gpu", "cuda", "mps")
ALL = -1  # as Lightning has it
_WITHOUT_FLOAT64 = ("mps",)


def device_count(trainer: Any) -> int:
    """How many devices, each with a process, the settled `trainer` of a config asks for."""
    return gpus() if trainer.devices == ALL else int(trainer.devices)


def on_cuda(trainer: Any) -> bool:
    """Whether they are CUDA's; several devices otherwise are processes on the CPU."""
    import torch  # here, so that composing a config does without

    return trainer.accelerator not in ("cpu", "mps") and torch.cuda.is_available()


def gpus() -> int:
    """How many GPUs torch finds; Apple's is one."""
    import torch

    return torch.cuda.device_count() or int(torch.backends.mps.is_available())


def widest_float(device: torch.device) -> torch.dtype:
    """The type for sums of many numbers on a device: float64, which Apple's MPS does not know."""
    import torch

    return torch.float32 if device.type in _WITHOUT_FLOAT64 else torch.float64


def device_faults(cfg: Any) -> Iterator[str]:
    """A line for each key of a settled config that asks for devices in a way that cannot work."""
    trainer = cfg.trainer
    if trainer.devices == 1 or (trainer.accelerator in _GPUS and not gpus()):
        return  # the latter is told already
    shown = f"trainer.devices={trainer.devices}"
    on_gpu = trainer.accelerator in _GPUS or on_cuda(trainer)
    if not on_gpu and trainer.devices == ALL:
        yield f"{shown}: takes every GPU, and this run is on the CPU; give a number of processes"
        return
    if on_gpu and trainer.devices > gpus():
        yield f"{shown}: torch finds {gpus()} GPU(s) here; trainer.devices=-1 takes all there are"
        return
    count = device_count(trainer)
    if count == 1:
        return
    if trainer.compile:
        yield (
            f"trainer.compile=true: does not go with {shown}: a compiled step applies its "
            "gradient at once, before it could be averaged over the devices; use one of the two"
        )
    if cfg.data.batch_size < count:
        yield (
            f"data.batch_size={cfg.data.batch_size}: a batch is shared by {count} devices "
            f"({shown}), and needs a sample for each"
        )


def half_precision_faults(trainer: Any) -> Iterator[str]:
    """What does not go with float16, whose gradients are of a scaled loss: a line for each."""
    if not on_cuda(trainer):
        yield (
            "trainer.precision=16-mixed: needs an NVIDIA GPU, and this run is not on one; "
            "bf16-mixed works on any device"
        )
    elif device_count(trainer) > 1:
        yield (
            f"trainer.precision=16-mixed: trains on one device, not trainer.devices="
            f"{trainer.devices}; bf16-mixed trains on several"
        )
    if trainer.compile:
        yield (
            "trainer.precision=16-mixed: scales its loss outside a compiled step; leave out "
            "trainer.compile=true, or use bf16-mixed"
        )


def refuse_several_in_a_sweep(trainer: Any) -> None:
    """Raise ConfigError where a run of a sweep asks for several devices."""
    if trainer.strategy == "ddp" or trainer.devices != 1:
        raise ConfigError(
            f"trainer.strategy={trainer.strategy} trainer.devices={trainer.devices}: a sweep gives "
            "each device runs of its own, which is quicker than several devices at one run, and "
            "would wait for processes that each run starts; use trainer=auto (or trainer=cpu, "
            "trainer=gpu), or train the run by itself, without --multirun"
        )


def refuse_torchrun() -> None:
    """Raise ConfigError where this process is one of several that torchrun has started.

    Each of them would train the whole run, or go through the whole sweep, by itself: in the same
    folder, and with the variables that tell torch to average its gradients with the others'.
    """
    ranks = os.environ.get("WORLD_SIZE", "1")
    if ranks != "1" and "TORCHELASTIC_RUN_ID" in os.environ:
        raise ConfigError(
            f"WORLD_SIZE={ranks}: training cannot run in processes that torchrun has started: "
            "each of them would train by itself; start it with plain python: a sweep uses all "
            f"cores, and for one run trainer=ddp trainer.devices={ranks} starts its own processes"
        )
