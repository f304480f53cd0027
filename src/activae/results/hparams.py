"""What TensorBoard's HPARAMS page shows: a line for each run, a column for what tells runs apart.

A run writes its line, a session, when it has ended; it knows nothing of other runs. Which columns
the page opens on is said once, by an experiment: a sweep's when it is launched, a single run's own.
Where TensorBoard finds several experiments it takes any one of them for all runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from activae.config.instantiating import activation_label, label
from activae.config.names import place_of
from activae.results.events import Events, Value, without_tensorflow
from activae.results.samples.told import NAMES as OF_SAMPLES

if TYPE_CHECKING:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

_ENDING = ".activae-hparams"  # of the file that holds a sweep's experiment
# Scores of the best checkpoint, in the order of their columns: the page opens on the first five.
TEST, BEST, PCA = "test/", "best/SE/val", "ratio_to_pca"
_OF_TEST = ("SE", "explained_variance", "PSNR", "SSIM", "MSE", "BCE")
METRICS = (f"{TEST}{_OF_TEST[0]}", BEST, PCA, *(f"{TEST}{name}" for name in _OF_TEST[1:]))
SAMPLES, NLL = "samples/", "nll/"  # where runs score them
# Columns of keys that are too long to be one.
_SHORT = {
    "optimizer.lr": "lr",
    "optimizer.weight_decay": "weight_decay",
    "objective.l1": "l1",
    "objective.l2": "l2",
    "data.batch_size": "batch_size",
    "data.train_fraction": "train_fraction",
    "data.normalisation": "normalisation",
    "trainer.max_epochs": "max_epochs",
}
_OF_LAUNCHING = ("logger", "resume", "sweep", "trainer", "trusted_modules")


def scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a finished run that have a column, by their tags."""
    test = metrics["test"] or {}
    found = {f"{TEST}{name}": test.get(name) for name in _OF_TEST}
    found |= {BEST: metrics["val"]["SE"], PCA: metrics["ratio_to_pca"]}
    made, nll = metrics.get("samples") or {}, metrics.get("nll") or {}
    found |= {f"{SAMPLES}{name}": made.get(name) for name in OF_SAMPLES}
    found |= {f"{NLL}{split}": nll.get(split) for split in ("test", "val")}
    return {tag: value for tag, value in found.items() if value is not None}


def tags(score: Mapping[str, Any]) -> list[str]:
    """The columns of scores, by a config's `score`: what was asked for beside SE comes before."""
    split = "test" if score["test"] else "val"
    best, *others = (tag for tag in METRICS if score["test"] or not tag.startswith(TEST))
    nll = [f"{NLL}{split}"] if score.get("nll") else []
    made = [f"{SAMPLES}{name}" for name in OF_SAMPLES] if score.get("samples") else []
    return [best, *nll, *made[:1], *others, *made[1:]]


def hyper_parameters(cfg: DictConfig) -> dict[str, Any]:
    """What tells runs apart, a short word for each."""
    return {
        "activation": activation_label(cfg),
        "encoder": label(cfg.encoder),
        "encoder.activation": label(cfg.encoder.get("activation")),
        "decoder": label(cfg.decoder),
        "decoder.activation": label(cfg.decoder.get("activation")),
        "encoding.dim": cfg.encoding.dim,
        "encoding.activation": label(cfg.encoding.activation),
        "output.activation": label(cfg.output.activation or "by the data's range"),
        "init": label(cfg.init),
        "objective": label(cfg.objective.get("reconstruction", cfg.objective)),
        "l1": cfg.objective.get("l1", 0.0),
        "l2": cfg.objective.get("l2", 0.0),
        "regulariser": ", ".join(label(node) for node in cfg.regulariser.values()) or "none",
        "corruption": label(cfg.corruption),
        "phases": label(cfg.phases),
        "optimizer": str(cfg.optimizer["_target_"]).rsplit(".", 1)[-1],
        "lr": cfg.optimizer.get("lr"),
        "weight_decay": cfg.optimizer.get("weight_decay", 0.0),
        "scheduler": label(cfg.scheduler),
        "data": cfg.data.name,
        "batch_size": cfg.data.batch_size,
        "train_fraction": cfg.data.train_fraction,
        "normalisation": cfg.data.normalisation,
        "max_epochs": cfg.trainer.max_epochs,
        "seed": cfg.seed,
    }


def chosen(lines: Iterable[str]) -> dict[str, Any]:
    """What override lines choose, by column, in the words of the command; null is left out.

    A seed is a word, not a number: TensorBoard would write 4.0000.
    """
    found: dict[str, Any] = {}
    for line in lines:
        key, _, word = line.lstrip("+").partition("=")
        number = None if key == "seed" else _number(word)
        is_file = key == "lr" and number is None  # of rates, each activation's own
        if is_file or key in _OF_LAUNCHING or key.startswith(("~", "hydra", "logger.")):
            continue
        found[column(key)] = word if number is None else number
    return {name: value for name, value in found.items() if value not in ("", "null")}


def column(key: str) -> str:
    """The column of a config key, as an override names it."""
    place = place_of(key)
    return _SHORT.get(place, place)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def session(cfg: DictConfig, lines: Iterable[str]) -> list[Value]:
    """A finished run's line: all its hyper-parameters, in the words of its overrides if it can."""
    from tensorboard.plugins.hparams import api_pb2, metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import (
        HParamsPluginData,
        SessionEndInfo,
        SessionStartInfo,
    )

    start = SessionStartInfo(start_time_secs=time.time())
    for name, value in _parameters(cfg, lines).items():
        if isinstance(value, str):
            start.hparams[name].string_value = value
        elif value is not None:
            start.hparams[name].number_value = value
    end = SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    return [
        _value(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start)),
        _value(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end)),
    ]


def _parameters(cfg: DictConfig, lines: Iterable[str]) -> dict[str, Any]:
    known = hyper_parameters(cfg) | {"seed": str(cfg.seed)}
    numbers = {name for name, value in known.items() if not isinstance(value, str | None)}
    return known | {n: value for n, value in chosen(lines).items() if n not in numbers}


def experiment_of_run(cfg: DictConfig, lines: Iterable[str]) -> Value:
    """A single run's columns: what its command chose opens the page, the rest can be ticked."""
    first = {"activation", "seed", *chosen(lines := list(lines))}
    columns = {name: value for name, value in _parameters(cfg, lines).items() if value is not None}
    values = {name: [value] for name, value in columns.items()}
    return _experiment(values, first, tags(cfg.score))


def write_experiment(
    folder: Path,
    keys: Iterable[str],
    jobs: Iterable[Iterable[str]],
    score: Mapping[str, Any],
) -> None:
    """Write a sweep's experiment into a folder of events, in place of an earlier launch's.

    See `experiment_of_sweep`. Raises OSError.
    """
    page = experiment_of_sweep(keys, jobs, score)
    content = page["metadata"].plugin_data.content
    earlier = list(folder.glob(f"*{_ENDING}"))
    if any(content in file.read_bytes() for file in earlier):
        return
    with Events(folder, _ENDING) as events:
        events.add(page)
    for file in earlier:
        file.unlink(missing_ok=True)


def experiment_of_sweep(
    keys: Iterable[str], jobs: Iterable[Iterable[str]], score: Mapping[str, Any]
) -> Value:
    """A sweep's columns: the keys that vary among its jobs, each a list of override lines.

    score: what its runs are scored by, as `ScoreConfig` has it.
    """
    varying = {column(key) for key in keys}
    columns: dict[str, list[Any]] = {}
    for lines in jobs:
        for name, value in chosen(lines).items():
            if name in varying:
                columns.setdefault(name, []).append(value)
    return _experiment(columns, columns, tags(score))


def _experiment(
    columns: Mapping[str, Iterable[Any]], first: Iterable[str], scored: Iterable[str]
) -> Value:
    """The columns of the page, with values in each; it opens on those named, then on the scores.

    No values are listed for TensorBoard to tick: it would hide the runs of other sweeps below the
    same folder that have others.
    """
    without_tensorflow()
    from tensorboard.plugins.hparams import api_pb2, metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    opened = set(first)
    page = api_pb2.Experiment()
    for name, values in columns.items():
        words = any(isinstance(value, str) for value in values)
        kind = api_pb2.DATA_TYPE_STRING if words else api_pb2.DATA_TYPE_FLOAT64
        page.hparam_infos.add(name=name, type=kind, differs=name in opened)
    for tag in scored:
        page.metric_infos.add(name=api_pb2.MetricName(tag=tag))
    return _value(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=page))


def _value(tag: str, data: HParamsPluginData) -> Value:
    from tensorboard.plugins.hparams import metadata

    about = metadata.create_summary_metadata(data)
    return {"tag": tag, "metadata": about, "tensor": metadata.NULL_TENSOR}
