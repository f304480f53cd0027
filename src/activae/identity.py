"""What makes two configs the same run: everything but where it is kept and on what it computes."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from activae.config import container

ID_LENGTH = 16
_BLOCK_BYTES = 1 << 20
_BLOCKS = 64

# Where a run lies, computes and reports: the same numbers come out, to rounding.
_PLACES = ("resume", "trusted_modules", "sweep")
_PLACES_IN = {
    "data": ("root",),
    "trainer": ("accelerator", "strategy", "devices", "threads", "compile"),
    "logger": ("progress_bar",),
}


def job_id(settled: DictConfig) -> str:
    """A hash of a settled config without its paths and device: 16 hexadecimal digits.

    A data file counts by its content, wherever it lies.
    """
    text = json.dumps(identity(settled), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def identity(settled: Any) -> dict[str, Any]:
    """The part of a settled config that the results depend on, as plain dicts and lists."""
    plain = deepcopy(container(settled))
    values = {key: node for key, node in plain.items() if key not in _PLACES}
    for group, keys in _PLACES_IN.items():
        values[group] = {key: value for key, value in values[group].items() if key not in keys}
    values["data"] = _without_paths(values["data"], settled)
    return values


def _without_paths(data: dict[str, Any], settled: Any) -> dict[str, Any]:
    """The data's node with a file's fingerprint for its path, and without the download folder."""
    root, path = settled["data"]["root"], settled["data"]["path"]
    source = {key: value for key, value in data["source"].items() if value != root}
    if path is None:
        return data | {"source": source}
    content = _fingerprint(Path(path))
    source = {key: content if value == path else value for key, value in source.items()}
    return data | {"source": source, "path": content}


def _fingerprint(file: Path) -> str:
    """A hash of a file's content; where there is none, its path: the run will say so."""
    if not file.is_file():
        return str(file)
    found = file.stat()
    return _hash_of(file, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash_of(file: Path, size: int, changed: int) -> str:
    """Of up to 64 MB that is a hash of the whole, of more that of blocks spread over it."""
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as handle:
        for block in range(_BLOCKS):
            handle.seek(max(block * _BLOCK_BYTES, block * size // _BLOCKS))
            digest.update(handle.read(_BLOCK_BYTES))
    return digest.hexdigest()
