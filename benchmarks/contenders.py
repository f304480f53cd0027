"""Who takes part, by name. Nothing is imported here: each runs in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

INSTALL = 'pip install -e ".[bench]"'


@dataclass(frozen=True)
class Contender:
    """`function` is "module:name" of a (Task, Laps) -> None that loops until the laps end it."""

    name: str
    title: str
    function: str
    packages: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    workloads: tuple[str, ...] = ("article", "mnist")

    def missing(self) -> str | None:
        """Why it cannot take part here, or None."""
        absent = [name for name in self.packages if find_spec(name) is None]
        return f"needs {' and '.join(absent)}: {INSTALL}" if absent else None


_ALL = (
    Contender("ours", "activae, bare loop", "benchmarks.ours:bare"),
    Contender("compiled", "activae, bare, trainer.compile=true", "benchmarks.ours:compiled"),
    Contender("whole", "activae, all that a run records", "benchmarks.ours:whole"),
    Contender("raw", "raw eager torch loop", "benchmarks.torch_loops:raw"),
    Contender(
        "keras",
        "Keras fit, TensorFlow",
        "benchmarks.keras_fit:fit",
        packages=("keras", "tensorflow"),
        environment=(
            ("KERAS_BACKEND", "tensorflow"),
            ("TF_CPP_MIN_LOG_LEVEL", "3"),
            ("CUDA_VISIBLE_DEVICES", ""),  # it would take a GPU without being asked
        ),
    ),
    Contender("usual", "usual Lightning way", "benchmarks.usual:in_process"),
    Contender(
        "usual-workers",
        "usual Lightning way, a loader process a core",
        "benchmarks.usual:with_workers",
        workloads=("mnist",),
    ),
    Contender("products", "bound: the matrix products alone", "benchmarks.torch_loops:products"),
)
CONTENDERS = {contender.name: contender for contender in _ALL}
