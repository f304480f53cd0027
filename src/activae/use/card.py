"""The card of a run that is passed on: README.md, as model hubs show it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from activae.config.instantiating import activation_label, label
from activae.config.settling import CONFIG
from activae.config.trust import trusting
from activae.results.machine import versions

if TYPE_CHECKING:
    from activae.use.run import Run

PICTURE = "reconstructions.png"
FOLDER = "FOLDER"  # where a reader has put it
_SCORES = ("SE", "MSE", "BCE", "PSNR", "SSIM", "explained_variance")
_SPLITS = ("train", "val", "test")
_HEAD = """\
An autoencoder with the activation {activation}, trained with
activae: samples of shape {shape} to codes of {dim} numbers, and back."""
_USE = """\
## Use

```python
import activae

run = activae.load("{name}")  # this folder
codes = run.encode(samples)  # raw, in the units of the data
again = run.decode(codes)
```

`scripts/use.py encode|decode|reconstruct|score|export` do the same for files."""
_AGAIN = """\
## Train it again

`{config}` holds every setting and the seed. In a copy of activae:

```sh
mkdir again
cp {name}/{config} again/
python train.py resume=again{trusted}
```

The data are not in this folder: {data}."""


def card(run: Run, licence: str | None, has_picture: bool) -> str:
    """The text of README.md. licence: that of the model; None: "other", and how to set it."""
    sections = (
        _front(run, licence),
        f"# Autoencoder of {_line(run.spec.name)}",
        _head(run),
        f"![Originals over their reconstructions]({PICTURE})" if has_picture else "",
        _table("Data and network", "", _facts(run)),
        _scores(run),
        _USE.format(name=FOLDER),
        _again(run),
        _table("Versions", "", versions().items()),
        "" if licence else "No licence is named: `--licence NAME` of `scripts/use.py export` does.",
    )
    return "\n\n".join(filter(None, sections)) + "\n"


def _front(run: Run, licence: str | None) -> str:
    """The YAML that hubs read."""
    words = [run.spec.name, run.spec.kind, activation_label(run.config)]
    about = {
        "license": licence or "other",
        "library_name": "activae",
        "tags": ["autoencoder", "activation-function", *map(_line, words)],
        "pipeline_tag": "feature-extraction",
    }
    return f"---\n{OmegaConf.to_yaml(about)}---"


def _head(run: Run) -> str:
    return _HEAD.format(
        activation=_line(activation_label(run.config)),
        shape=" x ".join(map(str, run.spec.shape)),
        dim=" x ".join(map(str, run.code_shape)),
    )


def _facts(run: Run) -> Iterator[tuple[str, Any]]:
    """What was trained on what, in words."""
    spec, config = run.spec, run.config
    low, high = spec.raw_range
    counts = ", ".join(f"{number} {name}" for name, number in spec.samples.items())
    yield "data", f"{spec.name} ({spec.kind}): {counts}"
    yield "raw values", f"{low:g} to {high:g}" + (f" ({spec.units})" if spec.units else "")
    yield "normalisation", config["data"]["normalisation"]
    if run.preparation is not None:
        yield "prepared from", run.preparation.kind
    yield "activation", activation_label(config)
    yield "encoder", label(config["encoder"])
    yield "decoder", label(config["decoder"])
    yield "parameters", sum(p.numel() for p in run.network.parameters())
    yield "objective", label(config["objective"].get("reconstruction", config["objective"]))
    yield "optimizer", label(config["optimizer"])
    yield "epochs", config["trainer"]["max_epochs"]
    yield "seed", config["seed"]


def _scores(run: Run) -> str:
    """Every split's scores beside PCA's, of as many dimensions; none where it was not scored."""
    found = {split: run.metrics.get(split) or {} for split in _SPLITS}
    pca = (run.metrics.get("pca") or {}).get("test") or {}
    columns = {**found, "PCA, test": pca}
    columns = {name: scores for name, scores in columns.items() if scores}
    rows = [
        (name, [_number(scores.get(name)) for scores in columns.values()])
        for name in _SCORES
        if any(scores.get(name) is not None for scores in columns.values())
    ]
    if not rows:
        return ""
    head = " | ".join(("", *columns))
    lines = [f"|{head} |", "|" + " --- |" * (len(columns) + 1)]
    lines += [f"| {name} | {' | '.join(values)} |" for name, values in rows]
    explained = "SE: squared error summed over features, of normalised values; the mean of samples."
    return "\n".join(["## Scores", "", *lines, "", explained])


def _again(run: Run) -> str:
    name = run.spec.name
    source = str(run.config["data"]["source"].get("_target_", name))
    return _AGAIN.format(
        name=FOLDER,
        config=CONFIG,
        trusted="".join(f" {each}" for each in trusting([run.config])),
        data=f"`{_line(name)}`, read by `{_line(source)}`",
    )


def _table(title: str, head: str, rows: Any) -> str:
    lines = [f"| {name} | {_line(value)} |" for name, value in rows]
    return "\n".join([f"## {title}", "", f"|{head} | |", "| --- | --- |", *lines])


def _line(value: Any) -> str:
    """A value as one line of a table, whatever a config calls things."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("`", "'")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
