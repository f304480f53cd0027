"""The network of a run as one graph, raw units in and out, for programs without activae.

A `Graph` has the normalisation inside of it and nothing that needs Python. `exported` is the same
as torch's ExportedProgram, for any batch size; `deviation` says how far another program's results
are from the run's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from activae.config.instantiating import activation_label
from activae.errors import ConfigError, UserError
from activae.models.counts import totals
from activae.randomness import generator

if TYPE_CHECKING:
    from activae.use.run import Run

WHOLE, ENCODER, DECODER = "whole", "encoder", "decoder"
TOLERANCE = 1e-5
BATCHES = (1, 2, 7)  # sizes that an exported graph is tried with
_EXAMPLE_ROWS = 3  # of one, exporters make a constant

Program = Callable[[Sequence[Tensor]], Tensor]


class Graph(nn.Module):
    """Samples in raw units to what a part of the network makes of them.

    whole: samples [B, *shape] -> reconstructions [B, *shape], raw too; encoder: samples -> codes
    [B, k]; decoder: codes, and of a network that shares out totals those [B] -> samples. They are
    float32, as the run computes; samples are float64 where float32 would lose their differences.
    """

    offset: Tensor
    rest: Tensor | None
    scale: Tensor

    def __init__(self, run: Run, part: str) -> None:
        super().__init__()
        self.part = part
        self.network = deepcopy(run.network).cpu().requires_grad_(False)
        known = {name: value.cpu() for name, value in run.normalisation.state_dict().items()}
        has_rest = bool(known["offset_rest"].any())
        self.dtype: torch.dtype = known["scale"].dtype
        self.raw_dtype = torch.float64 if has_rest else self.dtype
        self.register_buffer("offset", known["offset"].to(self.raw_dtype))
        self.register_buffer("rest", known["offset_rest"].to(self.raw_dtype) if has_rest else None)
        self.register_buffer("scale", known["scale"].to(self.raw_dtype))
        self.shares_totals = run.shares_totals

    def forward(self, x: Tensor, sample_totals: Tensor | None = None) -> Tensor:
        """As described; x are samples, or codes for the decoder."""
        if self.part == DECODER:
            return self._raw(self.network.decode(x, sample_totals))
        normalised = self._normalised(x)
        if self.part == ENCODER:
            return self.network.encode(normalised)
        return self._raw(self.network(normalised))

    @property
    def names(self) -> tuple[tuple[str, ...], str]:
        """Names of the inputs and of the output."""
        if self.part == DECODER:
            return (("codes", "totals") if self.shares_totals else ("codes",)), "samples"
        return ("samples",), "codes" if self.part == ENCODER else "reconstructions"

    def _normalised(self, raw: Tensor) -> Tensor:
        shifted = raw - self.offset
        if self.rest is not None:
            shifted = shifted - self.rest
        return (shifted / self.scale).to(self.dtype)

    def _raw(self, normalised: Tensor) -> Tensor:
        scaled = normalised.to(self.raw_dtype) * self.scale
        if self.rest is not None:
            scaled = scaled + self.rest
        return scaled + self.offset


@dataclass(frozen=True, eq=False)
class Portable:
    """A graph, its program for any batch size, and the run that it must agree with."""

    run: Run
    graph: Graph
    program: torch.export.ExportedProgram

    def inputs(self, rows: int) -> tuple[Tensor, ...]:
        """Inputs of so many random samples in the range of the data, for trying a program out."""
        return _inputs(self.run, self.graph, rows)[0]

    def deviation(self, program: Program) -> float:
        """The largest difference of a program to the run itself, over batches of some sizes.

        In units of the normalised values (or codes), or of the largest of them if that is more
        than 1. Raises UserError where it is beyond the tolerance.
        """
        found = max(self._deviation(program, rows) for rows in BATCHES)
        if not found <= TOLERANCE:  # NaN is beyond it too
            raise UserError(
                f"the exported {_named(self.graph.part)} of {self.run.folder} (activation "
                f"{_activation(self.run)}) differs by {found:.2g} from the run's, which is more "
                f"than {TOLERANCE:g}: nothing was written"
            )
        return found

    def _deviation(self, program: Program, rows: int) -> float:
        given, expected = _inputs(self.run, self.graph, rows)
        output = program(given)
        if output.shape != expected.shape:
            return float("inf")
        scale = 1.0 if self.graph.part == ENCODER else self.graph.scale.double()
        difference = (output.double() - expected.double()).abs() / scale
        largest = self.run.normalisation(expected) if self.graph.part != ENCODER else expected
        return float(difference.max() / largest.abs().max().clamp_min(1))


def portable(run: Run, part: str) -> Portable:
    """The graph of a run's part, exported. Raises ConfigError where it cannot be, with the reason.

    part: whole, encoder or decoder.
    """
    graph = Graph(run, part).eval()
    inputs = _inputs(run, graph, _EXAMPLE_ROWS)[0]
    try:
        program = exported(graph, inputs)
    except Exception as error:  # of torch's exporter there are many, without a base of their own
        refusal = _refusal(run, part, error)
        if refusal is None:
            raise
        raise refusal from error
    return Portable(run, graph, program)


def exported(module: nn.Module, inputs: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """A module of tensors [B, ...] as a program for any B of 1 or more."""
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        return torch.export.export(module, inputs, dynamic_shapes=tuple({0: batch} for _ in inputs))


@torch.no_grad()
def _inputs(run: Run, graph: Graph, rows: int) -> tuple[tuple[Tensor, ...], Tensor]:
    """Inputs of a graph, and what the run makes of them, in the like of the graph's output."""
    noise = generator(rows, "trying out an exported network")
    low, high = run.spec.normalised_range
    x = torch.rand(rows, *run.spec.shape, generator=noise) * (high - low) + low
    raw = run.from_network(x.to(run.normalisation.scale)).to("cpu", graph.raw_dtype)  # type: ignore[arg-type]
    normalised = run.normalisation(raw.to(run.device))
    codes = run.encode_normalised(normalised).cpu()
    if graph.part == ENCODER:
        return (raw,), codes
    if graph.part == WHOLE:
        return (raw,), run.from_network(run.reconstruct_normalised(normalised)).cpu()
    sums = totals(normalised).cpu() if run.shares_totals else None
    given = (codes,) if sums is None else (codes, sums)
    return given, run.from_network(run.decode_normalised(codes, sums)).cpu()


def _refusal(run: Run, part: str, error: Exception) -> ConfigError | None:
    """Names what torch cannot export: a layer that fails alone, or else the part.

    None where the error is not of torch's exporter: then it is our own.
    """
    failing = [
        f"{name} ({type(module).__name__})"
        for name, module in run.network.named_modules()
        if not any(module.children()) and not type(module).__module__.startswith("torch.")
        if type(_failure_of(module)) is type(error)
    ]
    if not failing and not type(error).__module__.startswith("torch"):
        return None
    what = f"its layer {failing[0]}" if failing else f"its {_named(part)}"
    return cannot_be_exported(run, what, error)


def cannot_be_exported(run: Run, what: str, error: Exception) -> ConfigError:
    """Says what of a run cannot be exported, and what the exporter said of it."""
    reason = next(iter(str(error).strip().splitlines()), "")
    return ConfigError(
        f"{run.folder}: {what}, with activation {_activation(run)}, cannot be exported "
        f"({type(error).__name__}: {reason})"
    )


def _failure_of(module: nn.Module) -> Exception | None:
    """Why torch cannot export a layer by itself; None where it can."""
    try:
        exported(deepcopy(module).cpu(), (torch.ones(_EXAMPLE_ROWS, 12),))
    except Exception as error:
        return error
    return None


def _named(part: str) -> str:
    return "network" if part == WHOLE else part


def _activation(run: Run) -> str:
    return activation_label(run.config)


def described(run: Run, graph: Graph) -> dict[str, Any]:
    """What a reader of the file alone should know: plain values."""
    spec = run.spec
    return {
        "data": spec.name,
        "part": graph.part,
        "activation": _activation(run),
        "shape": list(spec.shape),
        "raw_range": list(spec.raw_range),
        "units": spec.units,
        "features": list(spec.features) if spec.features else None,
        "prepared_from": run.preparation.kind if run.preparation is not None else None,
    }
