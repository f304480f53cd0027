"""The network of a run as a file for other programs: ONNX, or torch's own .pt2.

Both are checked against the run before they are written: a file that computes something else is
not left behind.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from activae.errors import ConfigError
from activae.training.files import write_whole
from activae.use.graphs import Portable, cannot_be_exported, described, portable

if TYPE_CHECKING:
    from activae.use.run import Run

KEY = "activae"  # of what a file says of itself
_LARGEST_ONNX = (1 << 31) - (1 << 20)  # bytes: what one protobuf can hold
_EXACT = (torch.float32, torch.float64)


def write_onnx(run: Run, target: Path, part: str = "whole") -> float:
    """Write a run's network, encoder or decoder as one ONNX file, raw units in and out.

    Returns the largest difference between ONNX Runtime and the run, over batches of several sizes,
    on the scale of normalised values. Raises ConfigError where onnx is not installed or something
    cannot be exported, UserError where the difference is beyond 1e-5; then nothing is written.
    """
    library = _onnx()
    _refuse_half_precision(run)
    found = portable(run, part)
    content = onnx_of(library, found)
    deviation = found.deviation(onnx_program(content))
    write_whole(target, content)
    return deviation


def write_torch(run: Run, target: Path, part: str = "whole") -> float:
    """The same as torch's ExportedProgram: `torch.export.load(FILE).module()(samples)`."""
    found = portable(run, part)
    content = io.BytesIO()
    about = {f"{KEY}.json": json.dumps(described(run, found.graph))}
    torch.export.save(found.program, content, extra_files=about)
    content.seek(0)
    program = torch.export.load(content).module()

    def again(inputs: Sequence[Tensor]) -> Tensor:
        with torch.no_grad():
            output: Tensor = program(*inputs)
        return output

    deviation = found.deviation(again)
    write_whole(target, content.getbuffer())
    return deviation


def onnx_of(library: Any, found: Portable) -> bytes:
    """The graph as an ONNX model, serialised, with what it should say of itself."""
    size = sum(value.nbytes for value in found.graph.state_dict().values())
    if size > _LARGEST_ONNX:
        raise ConfigError(
            f"{found.run.folder}: has {size / 1e9:.1f} GB of weights, and one ONNX file holds 2; "
            "export it as .pt2"
        )
    inputs, output = found.graph.names
    try:
        model = convert(found.program, inputs, (output,))
    except torch.onnx.errors.OnnxExporterError as error:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise cannot_be_exported(found.run, "an operation of it", cause) from error
    about = {KEY: json.dumps(described(found.run, found.graph))}
    library.helper.set_model_props(model, about)
    model.doc_string = f"{found.graph.part} of an autoencoder of {found.run.spec.name}, by activae"
    content: bytes = model.SerializeToString()
    return content


def convert(
    program: torch.export.ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]
) -> Any:
    """An exported program as ONNX's ModelProto, with these names."""
    stable = _with_stable_logarithms(program)
    with _quietly():
        converted = torch.onnx.export(
            stable,
            dynamo=True,
            external_data=False,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: "batch"} for _ in inputs),  # the dimension's name
            verbose=False,
        )
    assert converted is not None
    return converted.model_proto


def onnx_program(content: bytes) -> Any:
    """A function of the inputs that computes a serialised model with ONNX Runtime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def computed(inputs: Sequence[Tensor]) -> Tensor:
        arrays = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, arrays)[0])

    return computed


def _with_stable_logarithms(
    program: torch.export.ExportedProgram,
) -> torch.export.ExportedProgram:
    """log(sigmoid(x)) as -softplus(-x): ONNX Runtime's sigmoid is too coarse for its logarithm."""
    log_sigmoid = torch.ops.aten.log_sigmoid.default
    table = torch.export.default_decompositions()
    table[log_sigmoid] = lambda x: -nn.functional.softplus(-x)
    if not any(node.target == log_sigmoid for node in program.graph.nodes):
        return program
    return program.run_decompositions(table)


def _refuse_half_precision(run: Run) -> None:
    dtype = run.normalisation.scale.dtype
    if dtype not in _EXACT:
        raise ConfigError(
            f"{run.folder}: computes in {dtype}, which ONNX Runtime does not know on CPUs: export "
            "it as .pt2"
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch's exporter says of its own insides."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for category in (DeprecationWarning, FutureWarning):
                warnings.filterwarnings("ignore", category=category, module=r"torch\.|onnx|copyreg")
            yield
    finally:
        log.setLevel(level)


def _onnx() -> Any:
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"export to .onnx needs onnx, onnxscript and onnxruntime ({error.name} is missing): "
            "pip install 'activae[onnx]'"
        ) from error
    return onnx
