"""How the runs were made: the protocol in words, the commands, the versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from html import escape
from shlex import join
from typing import TYPE_CHECKING, Any

from activae.compare.answer import Answer
from activae.compare.commands import commands
from activae.compare.pairing import LR
from activae.compare.report.markup import Section
from activae.config.program import comparing
from activae.config.wording import counted
from activae.results.machine import versions

if TYPE_CHECKING:
    import pandas as pd

_LISTED = 6
_NAMED = ("init",)  # keys without dots whose values alone would say too little
_SPLIT = "data.split_seed"
# What a reader asks first, by the keys that say it.
_QUESTIONS = {
    "data": ("data", "data.normalisation"),
    "network": (
        "encoder",
        "encoder.hidden",
        "decoder",
        "encoding.dim",
        "output.activation",
        "init",
    ),
    "objective": ("objective", "latent", "corruption", "regulariser"),
    "training": (
        "optimizer",
        "optimizer.lr",
        "optimizer.weight_decay",
        "scheduler",
        "data.batch_size",
        "trainer.max_epochs",
        "trainer.max_steps",
        "phases",
        "trainer.early_stopping_patience",
        "trainer.precision",
    ),
}


def methods(answer: Answer, own: str | None = None) -> Iterator[Section]:
    """What was held equal and what varied, how to repeat it, and with which versions it was run.

    own: the command that made the page, where that is not compare.
    """
    runs = answer.paired.runs
    facts = [*_words(answer), *_settings(runs), ("versions", _versions(runs))]
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(said)}</td></tr>'
        for name, said in facts
        if said
    )
    made_by = [*commands(runs["path"]), own or _own_command(answer)]
    shown = "".join(f"<pre>{escape(command)}</pre>" for command in made_by)
    yield Section(
        "protocol",
        "How it was done",
        f'<table class="facts"><tbody>{rows}</tbody></table><h3>Commands</h3>{shown}',
    )


def _words(answer: Answer) -> Iterator[tuple[str, str]]:
    paired = answer.paired
    yield (
        "compared",
        f"{answer.factor}: {_listed(answer.table['condition'])}"
        + (f"; with it vary {_listed(paired.along)}" if paired.along else ""),
    )
    if paired.averaged:
        yield "averaged over", "; ".join(f"{k}: {_listed(v)}" for k, v in paired.averaged.items())
    if LR in paired.along and LR in paired.runs:
        yield "learning rates", _rates(answer)
    yield "pairs", f"by {counted(len(paired.seeds), 'seed')}: {_listed(paired.seeds)}"
    yield "score", _scored(answer.metric)


def _rates(answer: Answer) -> str:
    """Of each condition, the best first: gelu 0.032; relu 0.016."""
    found = answer.paired.runs.groupby("condition")[LR].unique()
    return "; ".join(
        f"{name} {_listed(f'{rate:g}' for rate in found[name])}"
        for name in answer.table["condition"]
        if name in found.index
    )


def _scored(metric: str) -> str:
    split = metric.partition("/")[0]
    said = f"{metric} of the checkpoint with the lowest SE/val"
    if split == "test":
        return f"{said}; the test split was touched once, with that checkpoint"
    return f"{said}, which the same split chose" if split == "val" else metric


def _settings(runs: pd.DataFrame) -> Iterator[tuple[str, str]]:
    for question, keys in _QUESTIONS.items():
        parts = [_setting(key, runs[key]) for key in keys if key in runs]
        if question == "data":
            parts += _split(runs)
        if question == "training" and "steps" in runs:
            parts.append(f"steps {_span(runs['steps'])}")
        if question == "network" and "parameters" in runs:
            parts.append(f"parameters {_span(runs['parameters'])}")
        yield question, ", ".join(filter(None, parts))


def _setting(key: str, values: pd.Series[Any]) -> str:
    """What a key was; nothing where it was off."""
    found = list(dict.fromkeys(map(str, values)))
    if set(found) <= {"None", "nan", "none", "0.0", "joint"}:
        return ""
    is_named = "." in key or key in _NAMED
    name = key.rpartition(".")[2].replace("_", " ") if is_named else ""
    return f"{name} {_either(found)}".strip()


def _split(runs: pd.DataFrame) -> Iterator[str]:
    """What was kept off training, what of the rest was trained on, and whether all had the same."""
    for key, of in (("test", "test"), ("val", "validation")):
        if f"data.{key}_fraction" in runs:
            yield f"{_percents(runs[f'data.{key}_fraction'])} for {of}"
    if "data.train_fraction" in runs:
        used = _percents(runs["data.train_fraction"])
        yield f"{'all' if used == '100 %' else used} of the rest for training"
    if _SPLIT in runs:
        same = f"one split for all seeds (split seed {runs[_SPLIT].iloc[0]})"
        yield same if runs[_SPLIT].nunique() == 1 else "another split with each seed"


def _percents(fractions: pd.Series[Any]) -> str:
    return _either(f"{100 * float(fraction):g} %" for fraction in fractions.unique())


def _either(values: Iterable[object]) -> str:
    """What one of them each run had: 2, 8 or 16."""
    *first, last = map(str, values)
    if len(first) >= 3 * _LISTED:
        return _listed([*first, last])
    return f"{', '.join(first)} or {last}" if first else last


def _span(values: pd.Series[float]) -> str:
    known = values.dropna()
    if known.empty:
        return "unknown"
    low, high = int(known.min()), int(known.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _listed(values: Iterable[object]) -> str:
    said = [str(value) for value in values]
    more = len(said) - 3 * _LISTED
    return ", ".join(said[: 3 * _LISTED]) + (f" and {more} more" if more > 0 else "")


def _versions(runs: pd.DataFrame) -> str:
    columns = [c for c in runs.columns if c.startswith("versions/")]
    parts = [
        f"{column.partition('/')[2]} {_listed(runs[column].dropna().unique())}"
        for column in columns
        if runs[column].notna().any()
    ]
    if "device" in runs:
        parts += [f"on {_listed(runs['device'].dropna().unique())}"]
    return ", ".join(parts)


def _own_command(answer: Answer) -> str:
    paired = answer.paired
    options = ["--by", ",".join(paired.factor), "--metric", answer.metric]
    return f"{comparing()} FOLDER {join(options)} --html report.html"


def footer() -> str:
    """Who wrote the page, and when."""
    return (
        f"<footer>Written by activae {versions()['activae']} on {date.today().isoformat()}. "
        "Formulas and their sources: docs/statistics.md.</footer>"
    )
