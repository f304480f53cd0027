"""docs/activations.md: what every activation is, looks like, and costs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from catalogue.cost import Cost
from catalogue.figures import Figures
from catalogue.options import Option
from catalogue.terminal import cells

_INTRODUCTION = """\
# Activations

<!-- Written by `python scripts/activations.py --docs`, from the yamls and the docstrings. -->

Every option of `configs/activation`, at the parameters of its yaml. Choose one by
`python train.py activation=NAME`, change a parameter by `activation.PARAMETER=VALUE`.
`python scripts/activations.py` prints this table, timed on your machine.

## How to read the figures

They come from the mean-field theory of wide networks ([Poole et al.
2016](https://arxiv.org/abs/1606.05340), [Schoenholz et al.
2017](https://arxiv.org/abs/1611.01232)). In a wide layer of random weights pre-activations are
nearly normal, so that what a layer does to them is an average over z ~ N(0, 1), computed here by
quadrature.

- **gain** = 1 / √E[f(z)²]. With weights of standard deviation gain / √(fan-in) and biases 0, which
  `init=fitted` draws, pre-activations have second moment 1 in every layer: neither vanish nor
  explode. √2 is He et al.'s (2015), of ReLU.
- **chi_1** = E[f′(z)²] / E[f(z)²], with that gain. From layer to layer the squared gradient is
  multiplied by chi_1 on its way back, and on the way forward so is the squared distance between two
  nearly equal inputs. Over 10 layers tanh's 1.178 makes 5.1; sigmoid's 0.153 makes 7e-9, so that
  the first layers hardly learn and all inputs come to look alike. 1 is best. Far below 1 are those
  whose mean output is large beside its spread (sigmoid, softplus).
- **s** = E[z f(z) f′(z)] / E[f(z)²]. A small relative error of the second moment is multiplied by s
  in each layer. Between -1 and 1 the gain's fixed point is stable, and the closer to 0 the faster
  an error heals (data are not normal, weights drift in training); above 1 it grows: relu_squared
  doubles it.
- **range**: the least and the largest output, attained or approached. The output activation must
  reach the data's range.
- **ns** and **x ReLU**: forward and backward of one element, uncompiled, in float32 on one thread:
  the fastest of many interleaved passes. Both change with the machine, and shrink where
  `trainer.compile=true` fuses an activation into its neighbours.
- **parameters**: what is learned, for each layer, which owns its activation. They count as no
  weights: neither decay nor penalties apply to them. The figures are those at the start.

Random activations count as their mean, but are timed in training. Where f jumps (hardshrink,
threshold), f′ is what autograd passes on, which knows nothing of the jump. Where a unit has several
inputs or outputs only the gain is defined in this form. Pictures show f, and f′ dashed, on equal
axes; of several inputs, f along the last (a gate's), the others held.
"""
_HEADINGS = ("activation", "gain", "chi_1", "s", "range", "ns", "x ReLU", "parameters", "f(x)")
_MEASURED = re.compile(r"^Timed on (.*)\.$", re.MULTILINE)
_ROW = re.compile(r"^\| \[(\w+)\].*?\| (\d+\.\d) \| (\d+\.\d) \| \d+ \|", re.MULTILINE)


def page(
    options: Mapping[str, Option],
    figures: Mapping[str, Figures],
    costs: Mapping[str, Cost],
    machine: str,
    images: str,
) -> str:
    """Return the page. `machine` is what was timed on, `images` the pictures' folder beside it."""
    lines = [_INTRODUCTION, *_table(options, figures, costs), "", f"Timed on {machine}.", ""]
    for name, option in options.items():
        lines += _section(option, figures.get(name), costs.get(name), images)
    return "\n".join(lines)


def timings(text: str) -> tuple[dict[str, Cost], str]:
    """Return the costs in a page, as rounded there, and the machine: all that chance decides."""
    costs = {name: Cost(float(ns), float(relus)) for name, ns, relus in _ROW.findall(text)}
    measured = _MEASURED.search(text)
    return costs, measured[1] if measured else ""


def _table(
    options: Mapping[str, Option], figures: Mapping[str, Figures], costs: Mapping[str, Cost]
) -> Iterator[str]:
    yield _cells(_HEADINGS)
    yield _cells(["---", *["---:"] * 7, "---"])
    for name, of_one in figures.items():
        formula = f"`{options[name].formula}`".replace("|", "\\|")
        yield _cells([f"[{name}](#{name})", *cells(of_one, costs.get(name)), formula])


def _section(
    option: Option, figures: Figures | None, cost: Cost | None, images: str
) -> Iterator[str]:
    yield f"## {option.name}\n"
    if figures:
        yield f"![f and its slope: {option.name}]({images}/{option.name}.svg)\n"
    notes = option.notes
    named = not option.source or any(option.source in paragraph for paragraph in notes)
    source = "" if named else f" {option.source[0].upper()}{option.source[1:]}."
    yield f"**{option.title}**: `{option.formula}`.{source}\n"
    for paragraph in notes:
        yield f"{paragraph}\n"
    if option.parameters:
        yield _cells(["parameter", "default", "meaning"])
        yield _cells(["---"] * 3)
        for parameter in option.parameters:
            yield _cells([f"`{parameter.name}`", f"`{parameter.default}`", parameter.meaning])
        yield ""
    if figures:
        shown = zip(_HEADINGS[1:], cells(figures, cost), strict=False)
        yield " · ".join(f"{heading} {value}" for heading, value in shown) + "\n"
    else:
        yield f"Needs `activation.{'`, `activation.'.join(option.missing)}`: no figures.\n"


def _cells(texts: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(texts)} |"
