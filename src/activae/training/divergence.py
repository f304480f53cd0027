"""What was the first not to be finite in a training that diverged, found by replaying its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from activae.data.module import EVALUATION_ROWS, AutoencoderDataModule
from activae.objectives.batch import Batch, samples_of
from activae.objectives.declared import total
from activae.training.module import AutoencoderModule


def locate_divergence(
    model: AutoencoderModule, data: AutoencoderDataModule, snapshot: dict[str, Any], until: int
) -> str:
    """Replay from a finite snapshot to the step `until` (counted from 0); say what broke first.

    On the CPU, in the precision of the weights. Leaves the model with the snapshot's weights.
    """
    model.cpu().restore(snapshot)
    data.to(torch.device("cpu"), next(model.parameters()).dtype)
    model.net.train().zero_grad(set_to_none=True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(snapshot["rng_state"])
            step, found = _replay(model, data, snapshot, until)
    finally:
        model.restore(snapshot)
    if found is None:
        return "repeated on the CPU, these steps stay finite"
    return f"{found}, at step {step}, is the first that is not finite"


def _replay(
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    snapshot: dict[str, Any],
    until: int,
) -> tuple[int, str | None]:
    optimizer = model.current_optimizer()
    model.load_optimizer(optimizer, snapshot)
    take_step = model.eager_step(optimizer)
    samples = data.batches(model.step, until + 1)
    for step, x in zip(range(model.step, until), samples, strict=False):
        if step == model.phase.end:
            model.enter_next_phase()
            optimizer = model.new_optimizer()
            take_step = model.eager_step(optimizer)
        batch = model.training_batch(x, step)
        found = _fault(model, batch)
        if found:
            return step, found
        take_step(batch, model.factor(step), *model.varying_strengths())
        model.step += 1
    # What is not finite after the last step may have shown in training or in validation.
    last = (model.training_batch(x, until) for x in samples)
    validation = map(model.evaluation_batch, data.samples["val"].split(EVALUATION_ROWS))
    return until, next(
        filter(None, (_fault(model, batch) for batch in chain(last, validation))), None
    )


def _fault(model: AutoencoderModule, batch: Batch) -> str | None:
    """The first weight, output or gradient that is not finite, in the order they come about."""
    net = model.net
    x = samples_of(batch)
    seen = x if isinstance(batch, torch.Tensor) else batch.get("seen", x)
    parameter = first_nonfinite_parameter(net.named_parameters())
    if parameter:
        return f"the parameter {parameter}"
    with torch.random.fork_rng(devices=[]):  # the loss and the step draw these numbers again
        layer = first_nonfinite(net, lambda: net(seen))
    if layer:
        return f"the output of {layer}"
    with torch.random.fork_rng(devices=[]):
        loss = total(model.terms_of(batch))
    if not loss.isfinite():
        return "the loss (of reconstructions that are finite)"
    loss.backward()
    # Gradients come about from the output backwards.
    gradient = first_nonfinite_parameter(reversed(list(net.named_parameters())))
    net.zero_grad(set_to_none=True)
    return f"the gradient of {gradient.removesuffix('.grad')}" if gradient else None


def first_nonfinite(module: nn.Module, forward: Callable[[], Any]) -> str | None:
    """Run `forward()` without gradients; name the first submodule whose output is not finite.

    First to finish, so that a layer is named before the modules that contain it, and a container
    only where it did the damage itself. A module without a name (`module` itself) goes by its
    class. None where all outputs are finite; put a batch in that is finite.
    """
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def check(layer: nn.Module, _: Any, output: Any) -> None:
            if not found and not _is_finite(output):
                found.append(name or type(layer).__name__)

        return check

    with ExitStack() as hooks, torch.no_grad():
        for name, layer in module.named_modules():
            hooks.enter_context(layer.register_forward_hook(watch(name)))
        forward()
    return found[0] if found else None


def first_nonfinite_parameter(named_parameters: Iterable[tuple[str, nn.Parameter]]) -> str | None:
    """Name the first parameter, in definition order, with a value or gradient that is not finite.

    `encoder.0.weight` for its value, `encoder.0.weight.grad` for its gradient; None where all are
    finite. Parameters without a gradient count by their value alone.
    """
    for name, parameter in named_parameters:
        if not _is_finite(parameter):
            return name
        if parameter.grad is not None and not _is_finite(parameter.grad):
            return f"{name}.grad"
    return None


def _is_finite(output: Any) -> bool:
    """Whether a tensor, or each tensor of a tuple or list, is finite; anything else is."""
    if isinstance(output, (tuple, list)):
        return all(_is_finite(part) for part in output)
    return not isinstance(output, Tensor) or bool(output.isfinite().all())
