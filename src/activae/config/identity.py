"""Which config keys matter to what: the ids of runs, and what runs may share.

One table answers it. From it follow the id of a run (`job_id`), what runs agree on that train on
the same tensors (`data_key`), take their steps with the same compiled graph (`graph_key`) or in the
same stack (`stack_key`), and what seeds of one condition agree on (`condition_key`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Any

from activae.config.settling import container

ID_LENGTH = 16
_BLOCK_BYTES = 1 << 20
_BLOCKS = 64
_FILES_READ = 2000  # of a folder
_SECONDS = 5  # for which a folder is taken to be as it was

# What a key matters to, and with it all keys below it that are not listed. A key that is not listed
# at all matters to everything: one that was forgotten costs sharing, never a result.
# "graph?": only whether the value is on matters, because the number itself is an input.
_ALL = "identity condition data graph stack"
_MATTERS = {
    "seed": "identity",
    "init": "identity condition",
    "activation": "identity condition graph stack",
    "encoding": "identity condition graph stack",
    "encoder": "identity condition graph stack",
    "decoder": "identity condition graph stack",
    "output": "identity condition graph stack",
    "objective": "identity condition graph stack",
    "objective.l[12]": "identity condition graph?",  # only of `_OBJECTIVE`
    "regulariser": "identity condition graph stack",
    "regulariser.*.weight": "identity condition graph? stack?",
    "regulariser.*.beta": "identity condition graph? stack?",
    "corruption": "identity condition graph? stack",
    "phases": "identity condition graph stack",
    "optimizer": "identity condition graph stack",
    "optimizer.lr": "identity condition",
    "optimizer.weight_decay": "identity condition graph?",
    "scheduler": "identity condition",
    "data.name": "identity condition data stack",
    "data.root": "data stack",  # in identities the content of a file stands for its path
    "data.batch_size": "identity condition graph stack",
    "data.normalisation": "identity condition data graph",
    "data.*_fraction": "identity condition data",
    "data.split_seed": "identity condition data",
    "data.value_range": "identity condition data stack",
    "trainer": "identity condition graph stack",
    "trainer.accelerator": "graph stack",
    "trainer.strategy": "stack",
    "trainer.devices": "stack",
    "trainer.threads": "stack",
    "trainer.compile": "stack",
    "trainer.max_*": "identity condition",
    "trainer.min_epochs": "identity condition",
    "trainer.check_val_every_n_epoch": "identity condition",
    "trainer.log_every_n_steps": "stack",
    "trainer.deterministic": "stack",
    "trainer.benchmark": "stack",
    "trainer.profiler": "stack",
    "trainer.early_stopping_patience": "identity condition",
    "callbacks": "identity condition stack",
    "init_from": "identity condition",
    "freeze": "identity condition graph stack",
    "own_code": "identity condition",
    "logger": "identity",
    "score": "identity",
    "logger.progress_bar": "",
    "logger.others": "stack",
    # Fitted to the codes of a finished run, and again to those of one that is done; of the identity
    # only where samples are scored.
    "sampler": "condition",
    "race": "",
    "lr": "",
    "version": "",
    "sweep": "",
    "resume": "",
    "trusted_modules": "",
    "choices": "",
}
_WEIGHTS = "checkpoints/best.ckpt"
_OBJECTIVE = "activae.objectives.Objective"  # l1 and l2 of another objective are its own affair


def job_id(settled: Any) -> str:
    """A hash of a settled config without its paths and device: 16 hexadecimal digits.

    A data file, or a folder of such, counts by its content, wherever it lies.
    """
    text = _text(identity(settled))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def identity(settled: Any) -> dict[str, Any]:
    """The part of a settled config that the results depend on, as plain dicts and lists."""
    part = _without_paths(_part(settled, "identity"), settled)
    # Without any a run is what it was before there were.
    for added in ("callbacks", "own_code", "init_from", "freeze"):
        if not part.get(added):
            part.pop(added, None)
    scored = part.get("score", {})
    wholes = {"probe": ["probe"], "nll": ["nll", "nll_samples"], "samples": ["samples"]}
    for wanted, keys in wholes.items():  # likewise
        if not scored.get(wanted):
            part["score"] = scored = {k: v for k, v in scored.items() if k not in keys}
    if scored.get("samples"):  # figures that depend on what draws them
        part["sampler"] = container(settled)["sampler"]
    return part


def condition_key(settled: Any) -> str:
    """What runs have in common that repeat one condition with other seeds."""
    return _text(_without_paths(_part(settled, "condition"), settled))


def matters_to_condition(key: str) -> bool:
    """Whether runs that differ in a key, given by its dotted path, are of different conditions."""
    parts = key.split(".")
    matters = _ALL
    for depth in range(1, len(parts) + 1):
        listed = _listed(".".join(parts[:depth]))
        matters = matters if listed is None else listed
    return "condition" in matters.split()


def data_key(settled: Any) -> str:
    """What runs must agree on to train on the same tensors."""
    return _text(_part(settled, "data"))


def graph_key(settled: Any) -> str:
    """What runs must agree on to take their steps with the same compiled graph.

    Seed, learning rate and the strengths of weight decay and penalties are inputs of the graph;
    whether there are any is part of it.
    """
    return _text(_without_paths(_part(settled, "graph"), settled))


def stack_key(settled: Any) -> str:
    """What runs must agree on to take their steps in one stack.

    They may differ in what belongs to each member: its seed, initial weights and schedule, the
    numbers of learning rate, weight decay and penalties, how long it trains, how its data are split
    and normalised.
    """
    return _text(_part(settled, "stack"))


# Of the trainer's keys, those that there were not always: at these values a run is what it was.
_ADDED = (
    "limit_train_batches",
    "limit_val_batches",
    "check_val_every_n_epoch",
    "accumulate_grad_batches",
    "gradient_clip_algorithm",
    "fast_dev_run",
    "min_epochs",
    "max_time",
)


def _part(settled: Any, purpose: str) -> dict[str, Any]:
    plain = container(settled)
    if not _has_latent(plain.get("latent")):  # as it was before there were any
        plain = {key: value for key, value in plain.items() if key != "latent"}
    kept = {k: v for k, v in plain["trainer"].items() if v or k not in _ADDED}
    source = {k: v for k, v in plain["data"]["source"].items() if v or k != "binarise"}
    plain = plain | {"trainer": kept, "data": plain["data"] | {"source": source}}
    own_l1 = plain["objective"].get("_target_") != _OBJECTIVE
    return _kept(plain, purpose, "", _ALL, "objective.l" if own_l1 else None)


def _has_latent(node: Any) -> bool:
    return node is not None and not str(node.get("_target_")).endswith(".deterministic")


def _kept(
    node: Mapping[str, Any], purpose: str, place: str, inherited: str, unlisted: str | None
) -> dict[str, Any]:
    """What matters of a node; keys that start with `unlisted` matter as the node does."""
    kept: dict[str, Any] = {}
    for name, value in node.items():
        key = f"{place}{name}"
        listed = None if unlisted and key.startswith(unlisted) else _listed(key)
        matters = inherited if listed is None else listed
        purposes = matters.split()
        if f"{purpose}?" in purposes:
            kept[name] = _is_on(value)
        elif purpose in purposes and isinstance(value, Mapping):
            kept[name] = _kept(value, purpose, f"{key}.", matters, unlisted)
        elif purpose in purposes:
            kept[name] = value
    return kept


@lru_cache(maxsize=4096)
def _listed(key: str) -> str | None:
    return next((what for pattern, what in _MATTERS.items() if fnmatchcase(key, pattern)), None)


def _is_on(value: Any) -> bool:
    """Whether a strength is not 0, or an option another than a group's `none`."""
    if isinstance(value, Mapping):
        return not str(value.get("_target_")).endswith(".none")
    return bool(value)


def _without_paths(part: dict[str, Any], settled: Any) -> dict[str, Any]:
    """The part with a file's fingerprint for its path, and without the download folder."""
    if part.get("init_from"):
        part = part | {"init_from": _fingerprint(Path(part["init_from"], _WEIGHTS))}
    root, path = settled["data"]["root"], settled["data"]["path"]
    data = part["data"]
    source = {key: value for key, value in data["source"].items() if value != root}
    if path is None:
        return part | {"data": data | {"source": source}}
    content = _fingerprint(Path(path))
    source = {key: content if value == path else value for key, value in source.items()}
    return part | {"data": data | {"source": source, "path": content}}


def data_content(settled: Any) -> str | None:
    """A hash of the content of the run's own data file or folder; None where it has none."""
    path = settled["data"]["path"]
    return None if path is None or not Path(path).exists() else _fingerprint(Path(path))


def data_changed(settled: Any, recorded: str | None) -> bool:
    """Whether the data file is another than that of the run whose metrics.json recorded its hash.

    Where there is no file, or none was recorded, nothing is known to have changed.
    """
    content = data_content(settled)
    return content is not None and recorded is not None and content[:ID_LENGTH] != recorded


def _text(values: Any) -> str:
    return json.dumps(values, sort_keys=True, default=str)


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
