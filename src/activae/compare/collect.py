"""From folders to a table: every run below them, one row each.

In: folders that hold run folders at any depth. Out: a pandas DataFrame. Files are read as data:
nothing that a config names is imported.
"""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from activae.config.migration import migrated
from activae.config.settling import CONFIG
from activae.errors import DataError, UserError
from activae.results.run_folder import METRICS, overrides

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

ACTIVATION = "activation"
DONE, DIVERGED, PRUNED, UNFINISHED = "done", "diverged", "pruned", "unfinished"
_STATUS = {"completed": DONE, "diverged": DIVERGED, "pruned": PRUNED}
_STAGES = ("train", "val", "test")
_OF_A_RUN = {"seed", "data", "encoder", "decoder"}  # keys without which it is another program's
_BUILDING = ("_target_", "_partial_")
# libyaml's is 10 times as fast, and not everywhere.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Runs:
    """The table of runs.

    keys: the columns that are of the config; damaged: a line for each file that cannot be read.
    """

    table: pd.DataFrame
    keys: list[str]
    damaged: list[str]


@dataclass
class _Run:
    folder: Path
    config: dict[str, Any]
    metrics: dict[str, Any]
    chosen: dict[str, Any] = field(default_factory=dict)  # place of a node -> option


def collect(*paths: str | os.PathLike[str]) -> pd.DataFrame:
    """Read all runs in the folders: sweeps, single runs, whatever holds them, finished or not.

    Returns a pandas DataFrame with a row for each run, sorted by path, and these columns:

    - `path`, `job id` (None before the run has ended) and `status`: done, diverged, pruned or
      unfinished;
    - each config key by its dotted path (`optimizer.lr`, `seed`); lists as Hydra writes them;
    - each node that builds something by the short name of what it builds (`optimizer`, `encoder`,
      `encoder.activation`): the option's name where a run's config or command says it, otherwise
      that of the class. `activation` is that of the hidden layers: "gelu / tanh" where the halves
      differ;
    - `data.content`: a hash of the data file's content, which may have been edited under its path;
    - each figure of metrics.json by its path there (`val/SE`, `test/SE`, `pca/test/SE`,
      `diagnostics/dead/encoder.activation1`); NaN where a run lacks it.

    A file that cannot be read is named in a warning of the log, and the other runs are kept. Raises
    UserError where a folder is missing or holds no run.
    """
    runs = read_runs(paths)
    for line in runs.damaged:
        log.warning("%s", line)
    return runs.table


def read_runs(paths: Sequence[str | os.PathLike[str]]) -> Runs:
    """What `collect` returns, and what it warns of."""
    import pandas as pd

    damaged: list[str] = []
    runs: list[_Run] = []
    for folder in _run_folders(paths):
        try:
            runs.append(_read(folder))
        except DataError as error:
            damaged.append(str(error))
    if not runs:
        raise UserError("no run can be read:\n" + "\n".join(damaged))
    names = _node_names(runs)
    about = [_about(run) for run in runs]
    configs = [_settings(run, names) for run in runs]
    figures = [_figures(run.metrics) for run in runs]
    rows = [a | b | c for a, b, c in zip(about, configs, figures, strict=True)]
    columns = [*_columns(about), *_columns(configs), *_columns(figures)]
    return Runs(pd.DataFrame(rows, columns=columns), _columns(configs), damaged)


def _run_folders(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The folders of runs at or below the paths, each once, sorted."""
    if not paths:
        raise UserError("no folder was given: name one that holds runs, as outputs/sweeps/NAME")
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            raise UserError(f"{path}: is not a folder; give one that holds runs")
        here = list(_below(path))
        if not here:
            raise UserError(
                f"{path}: holds no run: no folder at or below it has a {CONFIG}; give a run's "
                "folder, a sweep's (outputs/sweeps/NAME), or any that holds such"
            )
        found |= {folder.resolve(): folder for folder in here if folder.resolve() not in found}
    return sorted(found.values())


def _below(path: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(path):
        if CONFIG in files:
            folders.clear()
            yield Path(place)
        # .hydra has a config.yaml too: the composed one.
        folders[:] = [name for name in folders if not name.startswith(".")]


def _read(folder: Path) -> _Run:
    """Raises DataError with one line that names the file and what is wrong with it."""
    file = folder / CONFIG
    values = _parsed(file)
    if not isinstance(values, dict) or not values.keys() >= _OF_A_RUN:
        raise DataError(f"{file}: is not the config of a run; it was left out")
    try:
        config = migrated(values, file)
    except UserError as error:
        raise DataError(f"{error}; it was left out") from error
    config.pop("lr", None)  # how the rate was given: it is at optimizer.lr
    chosen = config.pop("choices", None)
    if not (chosen and isinstance(chosen, dict)):  # an older version's
        chosen = _chosen(folder)
    _tell_code(config)
    return _Run(folder, config, _metrics(folder / METRICS), chosen)


def _tell_code(config: dict[str, Any]) -> None:
    """Move the hashes of the user's own code to the nodes that name it, as one more parameter.

    So an edited function is another condition than the old one, and its name says so.
    """
    hashes = dict(str(line).partition(" ")[::2] for line in config.pop("own_code", None) or ())
    for _, node in _nodes(config, ""):
        for key in ("_target_", "function"):
            if node.get(key) in hashes:
                node["source"] = hashes[node[key]]


def _parsed(file: Path) -> Any:
    try:
        return yaml.load(file.read_bytes(), Loader=_Loader)
    except (OSError, yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{file}: cannot be read ({reason}); it was left out") from error


def _metrics(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error}); it was left out") from error
    if not isinstance(found, dict) or not all(_is_score(found.get(s)) for s in _STAGES):
        raise DataError(f"{file}: holds no metrics; it was left out")
    return found


def _is_score(scores: Any) -> bool:
    """Whether these can be the scores of a split: numbers by name, or null; or not there."""
    return scores is None or (
        isinstance(scores, dict)
        and all(value is None or isinstance(value, (int, float)) for value in scores.values())
    )


def _chosen(folder: Path) -> dict[str, str]:
    """Which option fills a node, by the run's command: {"encoder.activation": "gelu"}.

    An aid to naming only: what cannot be read here costs no run.
    """
    chosen = {}
    for line in overrides(folder) or ():
        key, _, option = line.lstrip("+").partition("=")
        group, at, package = key.partition("@")
        if option and "." not in group:
            chosen[package if at else group] = option
    return chosen


_Names = Mapping[tuple[str, str], str]


def _node_names(runs: Iterable[_Run]) -> _Names:
    """Short names: (group, node as text) -> name.

    Runs whose command names the option lend the name to those that have the same by default.
    Activations that differ have different names.
    """
    nodes: dict[tuple[str, str], dict[str, Any]] = {}
    options: dict[tuple[str, str], str] = {}
    for run in runs:
        for place, node in _nodes(run.config, ""):
            key = (_group(place), _text(node))
            nodes[key] = node
            if place in run.chosen:
                options.setdefault(key, str(run.chosen[place]))
    names = {key: options.get(key) or _class_name(node) for key, node in nodes.items()}
    alike: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for key, node in nodes.items():
        if key[0] == ACTIVATION:
            alike[names[key]].append(node)
    return {
        key: name + _telling(nodes[key], alike[name]) if key[0] == ACTIVATION else name
        for key, name in names.items()
    }


def _class_name(node: Mapping[str, Any]) -> str:
    """The name of what a node builds; an objective goes by its loss."""
    loss = node.get("reconstruction")
    named = loss if isinstance(loss, Mapping) and "_target_" in loss else node
    return str(named["_target_"]).rpartition(".")[2]


def _telling(node: Mapping[str, Any], alike: Sequence[Mapping[str, Any]]) -> str:
    """The parameters that tell a node from others of its name: (negative_slope=0.2)."""
    flat = [dict(_leaves(other, "")) for other in alike]
    telling = [
        f"{key}={value}"
        for key, value in _leaves(node, "")
        if key not in _BUILDING and len({_text(other.get(key)) for other in flat}) > 1
    ]
    return f"({', '.join(telling)})" if telling else ""


def _group(place: str) -> str:
    """Nodes of one group share names: an encoder's activation and the hidden layers' are alike."""
    return place.rpartition(".")[2]


def _nodes(node: Mapping[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each place below a node that builds something, and its node."""
    for key, value in node.items():
        if isinstance(value, dict):
            if "_target_" in value:
                yield f"{place}{key}", value
            yield from _nodes(value, f"{place}{key}.")


def _leaves(node: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    """Each config key below a node, and its value; lists as text."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", _listed(value)


def _listed(value: Any) -> Any:
    return f"[{','.join(str(_listed(v)) for v in value)}]" if isinstance(value, list) else value


def _about(run: _Run) -> dict[str, Any]:
    status = _STATUS.get(str(run.metrics.get("status")), UNFINISHED)
    return {"path": str(run.folder), "job id": run.metrics.get("id"), "status": status}


def _settings(run: _Run, names: _Names) -> dict[str, Any]:
    """Each config key and each node's short name."""
    row = dict(_leaves(run.config, ""))
    row |= {place: names[_group(place), _text(node)] for place, node in _nodes(run.config, "")}
    halves = [row.get(f"{half}.activation") for half in ("encoder", "decoder")]
    used = dict.fromkeys(half for half in halves if half is not None)
    if used:
        row[ACTIVATION] = " / ".join(used)
    if isinstance(run.config.get("data"), Mapping):
        row["data"] = run.config["data"].get("name")
        if content := run.metrics.get("data_content"):
            row["data.content"] = str(content)
    return row


def _figures(node: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Each figure of metrics.json by its path; null is NaN, as it is a number that was not had."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        if not place and key in ("id", "seed", "status", "data_content"):
            continue
        if isinstance(value, Mapping):
            found |= _figures(value, f"{place}{key}/")
        else:
            found[f"{place}{key}"] = float("nan") if value is None else _listed(value)
    return found


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every column once, in the order in which runs have them."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
