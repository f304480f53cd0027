"""What makes two configs the same run: everything but where it is kept and on what it computes."""

from __future__ import annotations

import hashlib
import json
import os
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Any

from omegaconf import DictConfig

from activae.config.settling import container

ID_LENGTH = 16
_BLOCK_BYTES = 1 << 20
_BLOCKS = 64
_FILES_READ = 2000  # of a folder
_SECONDS = 5  # for which a folder is taken to be as it was

# Where a run lies, computes and reports: the same numbers come out, to rounding.
_PLACES = ("resume", "trusted_modules", "sweep")
_PLACES_IN = {
    "data": ("root",),
    "trainer": ("accelerator", "strategy", "devices", "threads", "compile"),
    "logger": ("progress_bar",),
}


def job_id(settled: DictConfig) -> str:
    """A hash of a settled config without its paths and device: 16 hexadecimal digits.

    A data file, or a folder of such, counts by its content, wherever it lies.
    """
    text = json.dumps(identity(settled), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def identity(settled: Any) -> dict[str, Any]:
    """The part of a settled config that the results depend on, as plain dicts and lists."""
    plain = deepcopy(container(settled))
    values = {key: node for key, node in plain.items() if key not in _PLACES}
    if not values.get("callbacks"):  # as in runs from before there were any
        values.pop("callbacks", None)
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


def _fingerprint(path: Path) -> str:
    """A hash of a file's or folder's content; where there is none, its path: the run will say so.

    A sweep asks for it several times a job, and a folder may hold 100,000 files.
    """
    if path.is_dir():
        return _hash_of_folder(path, int(monotonic() // _SECONDS))
    if not path.is_file():
        return str(path)
    found = path.stat()
    return _hash_of(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash_of(file: Path, size: int, changed: int) -> str:
    """Of up to 64 MB that is a hash of the whole, of more that of blocks spread over it."""
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as handle:
        for block in range(_BLOCKS):
            handle.seek(max(block * _BLOCK_BYTES, block * size // _BLOCKS))
            digest.update(handle.read(_BLOCK_BYTES))
    return digest.hexdigest()


@lru_cache(maxsize=8)
def _hash_of_folder(folder: Path, moment: int) -> str:
    """Of all names and sizes, and of the content of files spread evenly: about 64 MB, or all."""
    files = sorted(
        (Path(place, name).relative_to(folder).as_posix(), os.stat(Path(place, name)).st_size)
        for place, _, names in os.walk(folder)
        for name in names
        if Path(place, name).exists()  # not so a link to nowhere
    )
    digest = hashlib.sha256(json.dumps(files).encode())
    size = sum(size for _, size in files)
    every = max(1, -(-size // (_BLOCKS * _BLOCK_BYTES)), -(-len(files) // _FILES_READ))
    for name, _ in files[::every]:
        with (folder / name).open("rb") as handle:
            digest.update(handle.read(_BLOCK_BYTES))
    return digest.hexdigest()
