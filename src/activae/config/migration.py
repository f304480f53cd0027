"""Configs of older versions in today's form, so that their run folders can be opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from activae.config.schema import VERSION
from activae.errors import ConfigError

# Where the modules that configs of version 1 name lie in version 2.
_MOVED = {
    "activae.corruption": "activae.objectives.corruptions",
    "activae.models.lsuv": "activae.models.initialisation",
    "activae.models.residual": "activae.models.mlp",
    "activae.phases": "activae.training.phases",
    "activae.regularisers": "activae.objectives.regularisers",
    "activae.schedules": "activae.training.schedules",
}
_NAMES_OF_OBJECTS = ("_target_", "function")
# Losses that choose the output themselves; with others a null output was linear in version 1.
_CHOOSE_OUTPUT = [
    f"activae.objectives.{n}" for n in ("bce", "multinomial", "nb", "poisson", "zinb")
]
_LINEAR = {"_target_": "torch.nn.Identity", "_partial_": True}


def migrated(values: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """A saved config's plain values in the form of this version; imports nothing that they name.

    Keys that are new are left to the schema's defaults. Raises ConfigError for a newer version.
    """
    version = values.get("version", 1)
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise ConfigError(
            f"{file}: version={version} of the config: this activae knows versions 1 to {VERSION}; "
            "open the run with the activae that wrote it, or a newer one"
        )
    new = dict(values)
    if version == 1:
        new = _renamed(new)
        _keep_linear_output(new)
    return new | {"version": VERSION}


def _renamed(node: Any) -> Any:
    """The node with today's names of the objects in it."""
    if isinstance(node, Mapping):
        return {
            key: _new_path(value)
            if key in _NAMES_OF_OBJECTS and isinstance(value, str)
            else _renamed(value)
            for key, value in node.items()
        }
    return [_renamed(inner) for inner in node] if isinstance(node, list) else node


def _new_path(path: str) -> str:
    module, _, name = path.rpartition(".")
    return f"{_MOVED.get(module, module)}.{name}"


def _keep_linear_output(values: dict[str, Any]) -> None:
    """Name the output that null stood for, where it now follows the range of the data."""
    output, objective = values.get("output"), values.get("objective")
    if not isinstance(output, Mapping) or output.get("activation") is not None:
        return
    node = objective if isinstance(objective, Mapping) else {}
    loss = node.get("reconstruction", node)
    if not (isinstance(loss, Mapping) and loss.get("_target_") in _CHOOSE_OUTPUT):
        values["output"] = {**output, "activation": dict(_LINEAR)}
