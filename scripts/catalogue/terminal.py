"""The catalogue in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from catalogue.cost import Cost
from catalogue.figures import Figures
from catalogue.reference import Verdict


def show_figures(
    figures: Mapping[str, Figures],
    costs: Mapping[str, Cost],
    left_out: Mapping[str, Sequence[str]],
    console: Console,
) -> None:
    """Print a row for each activation, and why one has none."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("activation", no_wrap=True)
    for heading in ("gain", "chi_1", "s", "range", "ns", "x ReLU", "params"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, of_one in figures.items():
        table.add_row(name, *cells(of_one, costs.get(name)))
    console.print(table)
    if costs:
        console.print(
            "ns: forward and backward of one element, uncompiled, on one thread of this machine; "
            "x ReLU: the same in ReLUs"
        )
    for name, keys in left_out.items():
        console.print(f"left out {name}: needs activation.{', activation.'.join(keys)}")


def cells(figures: Figures, cost: Cost | None) -> list[str]:
    """gain, chi_1, s, range, ns, x ReLU, parameters as texts; - for what there is not."""
    return [
        _number(figures.gain, 4),
        _number(figures.chi_1, 3),
        _number(figures.s, 3),
        output_interval(figures),
        _number(cost.nanoseconds if cost else None, 1),
        _number(cost.relus if cost else None, 1),
        str(figures.parameters),
    ]


def output_interval(figures: Figures) -> str:
    """From the least output to the largest, whether they are attained or not."""
    if figures.low is None or figures.high is None:
        return "-"
    return f"{_bound(figures.low)} to {_bound(figures.high)}"


def show_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """Print ok or mismatch for each row, and a count."""
    for verdict in verdicts:
        if verdict.differences:
            console.print(f"[red]mismatch[/red]  {verdict.label}: {'; '.join(verdict.differences)}")
        else:
            console.print(f"ok        {verdict.label}: {', '.join(verdict.compared)}")
    wrong = sum(bool(verdict.differences) for verdict in verdicts)
    console.print(f"{len(verdicts) - wrong} of {len(verdicts)} rows agree")


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value + 0.0:.{decimals}f}"


def _bound(value: float) -> str:
    return f"{round(value, 4) + 0.0:.4g}"  # + 0.0: no -0
