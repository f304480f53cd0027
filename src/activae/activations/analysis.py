"""What is known about any activation, found from its values: gain, slope, range, chi_1.

In: an activation, which is a function or a module. It is evaluated in float64 on the CPU, in
evaluation mode, and left as it is. Out: numbers. Errors: ConfigError that names the activation.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from activae.errors import ConfigError

Function = Callable[[Tensor], Tensor]
FloatArray = NDArray[np.float64]

# The midpoint rule on equal cells: exact to rounding for smooth f, and where f has a kink or a jump
# the error is that of one cell, below 5e-5 of the gain. Cell edges lie on 0, 1/2, 1, 3 and 6, where
# torch's own activations have theirs; z = 0 itself, where f may be 0/0, is never evaluated.
_HALF_WIDTH = 12
_CELLS_PER_UNIT = 8192
_NORM = _CELLS_PER_UNIT * math.sqrt(2 * math.pi)
_DECADES = range(2, 9)  # |x| up to 10^2, 10^3, ... 10^8: far enough to tell a limit from growth
_POINTS_PER_DECADE = 1000


def values_per_unit(activation: nn.Module) -> tuple[int, int]:
    """Inputs and outputs for each unit: (1, 1) of elementwise activations.

    Any other declares them by its attributes `inputs_per_unit` (2 of the gated ones, k of
    maxout) and `outputs_per_unit` (2 of crelu), whole numbers of 1 or more. It acts along dimension
    1 of [B, D] and [B, C, H, W], and layers that it follows or feeds are sized accordingly.
    """
    inputs = getattr(activation, "inputs_per_unit", 1)
    outputs = getattr(activation, "outputs_per_unit", 1)
    assert isinstance(inputs, int), f"{activation}: inputs_per_unit={inputs!r}"
    assert isinstance(outputs, int), f"{activation}: outputs_per_unit={outputs!r}"
    assert min(inputs, outputs) >= 1, f"{activation}: at least one value for each unit"
    return inputs, outputs


def is_elementwise(activation: nn.Module) -> bool:
    """Whether it takes and gives one value for each unit."""
    return values_per_unit(activation) == (1, 1)


def acts_by_unit(module: nn.Module) -> bool:
    """Whether a module without weights does something to every value, or declared unit, for itself.

    So an activation does, and what reshapes, pools, shuffles, normalises or attends does not. Found
    by trying it on maps [2, 3, 2, 2]; one that refuses them is taken at its word if it has
    parameters, which may be made for another number of channels.
    """
    if type(module).__module__.startswith("activae.activations"):
        return True
    if hasattr(module, "inputs_per_unit") or hasattr(module, "outputs_per_unit"):
        return True
    x = torch.linspace(-2, 2, 24, dtype=torch.float64).view(2, 3, 2, 2)
    other = x.clone()
    other[1, 2, 1, 1] += 1
    function = in_float64(module)
    try:
        with torch.no_grad():
            y, changed = function(x.clone()), function(other)
    except Exception:  # whatever somebody's module raises
        return any(True for _ in module.parameters())
    if not isinstance(y, Tensor) or y.shape != x.shape or torch.equal(y, x):
        return False
    return torch.equal(y.flatten()[:-1], changed.flatten()[:-1])


def normal_grid() -> FloatArray:
    """Return the midpoints of the cells, ascending from -12 to 12."""
    cells = 2 * _HALF_WIDTH * _CELLS_PER_UNIT
    return (np.arange(cells) + 0.5) / _CELLS_PER_UNIT - _HALF_WIDTH


def normal_expectation(function: Function) -> float:
    """Return E[f(z)], z ~ N(0, 1), of an elementwise f: exact to rounding where f is smooth."""
    z = normal_grid()
    return float((values(function, z) * np.exp(-(z**2) / 2)).sum() / _NORM)


def gain(activation: Function) -> float:
    """Return 1 / sqrt(E[f(z)^2]), z ~ N(0, 1): weights of std gain / sqrt(fan_in) keep the scale.

    This is He et al.'s (2015) argument for any f. The module is left as it is: the value is that of
    evaluation mode (a random slope counts as its mean), at the present parameters. Where a unit has
    several inputs or outputs (see `values_per_unit`), the class needs a method
    `second_moment() -> float`, E[f^2] of independent N(0, 1) inputs. Raises ConfigError, naming the
    activation, if E[f(z)^2] is 0, infinite or not a number, or that method is missing.
    """
    if isinstance(activation, nn.Module) and not is_elementwise(activation):
        return 1 / math.sqrt(_told_moment(activation))
    z = normal_grid()
    output = values(activation, z)
    if not np.isfinite(output).all():
        where = z[np.argmin(np.isfinite(output))]
        raise ConfigError(
            f"activation {describe(activation)} is not finite at x = {where:.4g}, so it has no "
            "initialisation gain. Make it finite for every x, or use init=torch."
        )
    with np.errstate(over="ignore"):
        mass = output**2 * np.exp(-(z**2) / 2)
    moment = float(mass.sum()) / _NORM
    if moment == 0:
        raise ConfigError(
            f"activation {describe(activation)} is 0 for all inputs of ordinary size, so it has no "
            "initialisation gain. Choose a function that lets some input through."
        )
    if _diverges(mass, z):
        raise ConfigError(
            f"activation {describe(activation)} has an infinite second moment: it has a pole, or "
            "grows as fast as exp(x^2 / 4). Choose a tamer function, or use init=torch."
        )
    return 1 / math.sqrt(moment)


def _told_moment(activation: nn.Module) -> float:
    told = getattr(activation, "second_moment", None)
    if told is None:
        raise ConfigError(
            f"activation {describe(activation)} has several inputs or outputs for each unit: give "
            "its class a method second_moment() that returns E[f^2] of N(0, 1) inputs, or use "
            "init=torch."
        )
    moment = float(told())
    if not 0 < moment < math.inf:
        raise ConfigError(
            f"activation {describe(activation)}: second_moment() is {moment}, so it has no "
            "initialisation gain. Correct it, or use init=torch."
        )
    return moment


def _diverges(mass: FloatArray, z: FloatArray) -> bool:
    """Whether the integral depends on the grid: on where it ends, or on the width of one cell."""
    total = mass.sum()
    tail = mass[np.abs(z) > _HALF_WIDTH - 1].sum()
    return bool(not np.isfinite(total) or tail > 1e-6 * total or mass.max() > 1e-2 * total)


@dataclass(frozen=True)
class Moments:
    """The figures by which mean-field theory describes an activation.

    Of z ~ N(0, 1), for wide layers with weights of std gain / sqrt(fan_in) and biases 0.

    gain: 1 / sqrt(E[f(z)^2]), which keeps the second moment of pre-activations at 1.
    chi_1: E[f'(z)^2] / E[f(z)^2], the factor by which each layer scales the squared gradient, and
      the squared distance between two nearly equal inputs (Poole et al. 2016, Schoenholz et al.
      2017): below 1 they vanish with depth, above 1 they explode.
    s: E[z f(z) f'(z)] / E[f(z)^2], the factor by which each layer scales a small relative error of
      the second moment: below 1 in size it heals, above 1 it grows.
    """

    gain: float
    chi_1: float
    s: float


def moments(activation: Function) -> Moments:
    """Return gain, chi_1 and s of any elementwise f, by the quadrature of `gain`, f' by autograd.

    In evaluation mode, at the present parameters; the module is left as it is. Where f jumps, f' is
    autograd's, which doesn't see the jump. Raises ConfigError as `gain` does, and where E[f'(z)^2]
    is infinite or not a number.
    """
    result = gain(activation)
    z = normal_grid()
    weights = np.exp(-(z**2) / 2)
    output = values(activation, z)
    # A copy in float64, so that a module's parameters match z.
    derivative = slope(in_float64(activation), torch.from_numpy(z)).numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        mass = derivative**2 * weights
    if not np.isfinite(mass).all() or mass.max() > 1e-2 * mass.sum() > 0:
        raise ConfigError(
            f"activation {describe(activation)} has a slope with an infinite second moment, so it "
            "has no chi_1: give it a slope that is finite everywhere."
        )
    second_moment = (output**2 * weights).sum()
    return Moments(
        gain=result,
        chi_1=float(mass.sum() / second_moment),
        s=float((z * output * derivative * weights).sum() / second_moment),
    )


def slope(activation: Function, z: Tensor) -> Tensor:
    """Return f'(z), elementwise and detached, in z's shape, dtype and device.

    Where a unit has several inputs or outputs, that of their sum by each input: a gate that is shut
    and a piece of a maxout that another exceeds have slope 0.
    Taken by autograd in evaluation mode (a random slope is its mean), also inside `no_grad` and
    `inference_mode`. The module's mode and the `.grad` of its parameters stay as they are; its
    forward hooks are not called, so that one of them may call this.
    """
    function = activation.forward if isinstance(activation, nn.Module) else activation
    with torch.inference_mode(False), torch.enable_grad(), _evaluation_mode(activation):
        leaf = z.detach().clone().requires_grad_()
        # An in-place activation may not write on a leaf, hence the second copy.
        output = function(leaf.clone())
        (derivative,) = torch.autograd.grad(output, leaf, torch.ones_like(output))
    return derivative


@contextmanager
def _evaluation_mode(activation: Function) -> Iterator[None]:
    """Put a module and all within it into evaluation mode; restore each one's mode after."""
    modules = list(activation.modules()) if isinstance(activation, nn.Module) else []
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def output_range(activation: Function) -> tuple[float, float]:
    """Return (infimum, supremum) of f over the real line, accurate to 1e-6 of the larger of them.

    Found from values alone: a bound that still grows at |x| = 10^8 is inf, one that is approached
    (softsign's 1) is given like one that is attained. Points where f is NaN
    are ignored. Raises ConfigError if f is NaN for all |x| <= 100.
    """
    far = np.logspace(1, _DECADES[-1], _POINTS_PER_DECADE * _DECADES[-1])
    points = np.concatenate([normal_grid(), [0.0], far, -far])
    output = values(activation, points)
    known = ~np.isnan(output)
    reach, output = np.abs(points[known]), output[known]
    if not (reach <= 10.0 ** _DECADES[0]).any():
        raise ConfigError(f"activation {describe(activation)} is not a number for any x.")
    upper = _supremum(output, reach)
    lower = -_supremum(-output, reach)
    scale = max((abs(bound) for bound in (lower, upper) if math.isfinite(bound)), default=0.0)
    digits = 6 - math.floor(math.log10(scale)) if scale > 0 else 6
    return round(lower, digits) + 0.0, round(upper, digits) + 0.0  # + 0.0: no -0.0


def _supremum(output: FloatArray, reach: FloatArray) -> float:
    """Return the limit of max f over |x| <= 10^k for growing k, inf if it doesn't settle."""
    *_, before, previous, last = (float(output[reach <= 10.0**k].max()) for k in _DECADES)
    if math.isinf(last):
        return last
    step, earlier_step = last - previous, previous - before
    if step <= 1e-7 * abs(last):
        return last
    if step >= earlier_step / 2:
        return math.inf
    return last + step**2 / (earlier_step - step)  # the rest of a geometric series


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
        with torch.no_grad(), threads(1):
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
def threads(number: int | None) -> Iterator[None]:
    """With so many threads within torch's operations; None: as many as before.

    With one, a few milliseconds of work do not wait for another run's core.
    """
    before = torch.get_num_threads()
    if number is None or number == before:
        yield
        return
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
