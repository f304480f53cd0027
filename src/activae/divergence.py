"""Which layer was the first to produce something that is not finite, found by replaying the steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from activae.data.module import AutoencoderDataModule
from activae.diagnostics import first_nonfinite, first_nonfinite_parameter
from activae.models.autoencoder import AutoencoderModule
from activae.randomness import batch_order
from activae.steps import EagerStep, total


def locate_divergence(
    model: AutoencoderModule, data: AutoencoderDataModule, snapshot: dict[str, Any], until: int
) -> str:
    """Replay from a finite snapshot to the step `until` (counted from 0); say where it first broke.

    Leaves the model with the snapshot's weights.
    """
    model.restore(snapshot)
    data.to(torch.device("cpu"), torch.float32)
    model.to("cpu", torch.float32)
    optimizer = model.configure_optimizers()
    optimizer.load_state_dict(snapshot["optimizer_states"][0])
    take_step = EagerStep(model.net, model.objective, optimizer, model.clip_norm)
    model.net.train()
    try:
        for step in range(model.step, until + 1):
            batch = _batch(data, step)
            found = _fault(model, batch)
            if found:
                return f"at step {step}, {found}"
            take_step(batch, model.schedule(step, model.total_steps))
        found = _fault(model, data.samples["val"])
        return (
            f"after step {until}, {found}"
            if found
            else "a replay in float32 on the CPU stays finite"
        )
    finally:
        model.restore(snapshot)


def _batch(data: AutoencoderDataModule, step: int) -> Tensor:
    samples = data.samples["train"]
    epoch, position = divmod(step, data.steps_per_epoch)
    order = batch_order(data.seed, epoch, len(samples))
    return samples[order[position * data.batch_size : (position + 1) * data.batch_size]]


def _fault(model: AutoencoderModule, batch: Tensor) -> str | None:
    """The first weight, output or gradient that is not finite, in the order they come about."""
    net = model.net
    parameter = first_nonfinite_parameter(net.named_parameters())
    if parameter:
        return f"the parameter {parameter}"
    layer = first_nonfinite(net, lambda: net(batch))
    if layer:
        return f"the output of {layer}"
    loss = total(model.objective(net, batch))
    if not loss.isfinite():
        return "the loss (all reconstructions are finite)"
    loss.backward()  # type: ignore[no-untyped-call]
    gradient = first_nonfinite_parameter(net.named_parameters())
    net.zero_grad(set_to_none=True)
    return f"the gradient of {gradient.removesuffix('.grad')}" if gradient else None
