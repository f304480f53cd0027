"""Evaluating any activation in float64 on the CPU without touching the module it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from activae.errors import ConfigError

Function = Callable[[Tensor], Tensor]
FloatArray = NDArray[np.float64]


def in_float64(activation: Function) -> Function:
    """Return the activation as a function of float64 CPU tensors.

    Of a module, an evaluation-mode copy's `forward`: a random activation is its mean, a learnable
    one has its present parameters, and the hooks of the module are not called.
    """
    if not isinstance(activation, nn.Module):
        return activation
    twin: nn.Module = copy.deepcopy(activation)
    twin.to(device="cpu", dtype=torch.float64).eval()
    forward: Function = twin.forward
    return forward


def describe(activation: Function) -> str:
    """Return one line that tells a user which activation this is, for messages."""
    if isinstance(activation, nn.Module):
        return f"{type(activation).__name__}({activation.extra_repr()})"
    return str(getattr(activation, "__name__", activation))


def values(activation: Function, points: FloatArray) -> FloatArray:
    """Return f(points) for a vector of points.

    Raises ConfigError if f can't be applied, or changes the shape.
    """
    function = in_float64(activation)
    try:
        with torch.no_grad(), one_thread():
            output = function(torch.from_numpy(points.copy()))
    except Exception as error:  # whatever a user's own function raises
        raise ConfigError(
            f"activation {describe(activation)} cannot be applied to a vector: {error}\n"
            "An activation takes a tensor of any shape, element by element."
        ) from error
    if output.shape != points.shape:
        raise ConfigError(
            f"activation {describe(activation)} turns shape {tuple(points.shape)} into "
            f"{tuple(output.shape)}; an activation keeps the shape."
        )
    return output.to(torch.float64).numpy()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep a few milliseconds of work from waiting for a core that another run holds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
