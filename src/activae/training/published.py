"""A run as it is passed on: weights as safetensors, and what belongs to them as JSON.

Beside them in the folder lies the run's config. `activae.use.publishing` writes such a folder, and
`activae.training.restoring` opens it: together they hold what a best checkpoint does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from activae.errors import ConfigError, DataError
from activae.training.files import BEST

WEIGHTS = "model.safetensors"
DATA = "data.json"  # the DataSpec and the preparation


def published_in(folder: Path) -> Path | None:
    """The file of weights in a folder that was passed on; None where a run's own folder it is."""
    file = folder / WEIGHTS
    return file if file.is_file() and not (folder / BEST).exists() else None


def serialised(state: dict[str, Tensor]) -> bytes:
    """Tensors by name in the format of safetensors. Raises ConfigError where that is missing."""
    own = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    content: bytes = _safetensors().save(own, {"format": "pt"})
    return content


def load_published(weights: Path) -> dict[str, Any]:
    """What a checkpoint holds of network and data, of the files in the folder of these weights.

    state_dict, spec and preparation, on the CPU. No format that is read here can hold code. Raises
    DataError where a file is missing or damaged, ConfigError where safetensors is not installed.
    """
    file = weights
    library = _safetensors()
    try:
        state = library.load(weights.read_bytes())
        if not state["normalisation.scale"].is_floating_point():
            raise TypeError("its normalisation is of integers")
        file = weights.with_name(DATA)
        data = json.loads(file.read_text(encoding="utf-8"))
        return {"state_dict": state, "spec": data["spec"], "preparation": data["preparation"]}
    except Exception as error:  # safetensors has an exception of its own, beside Python's
        raise DataError(
            f"{file}: is missing or damaged ({type(error).__name__}: {error}); get the folder again"
        ) from error


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ConfigError(f"{WEIGHTS}: needs safetensors: pip install 'activae[share]'") from error
    return safetensors.torch
