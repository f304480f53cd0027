"""What a race says: the table while it runs, a line for a look, the answer with its guarantee."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from shutil import get_terminal_size
from typing import Any

import numpy as np

from activae.compare import statistics
from activae.compare.pairing import enumerated
from activae.compare.race.evidence import Standing
from activae.compare.statistics import Array
from activae.compare.terminal import WIDTH
from activae.config.program import comparing, training
from activae.config.wording import clipped_apart, counted, decimals_for, wrapped

_HEAD = ("", "lr", "seeds", "test/SE", "difference", "evidence", "")
_SHORTEST_NAME = 8
_MOST = 999  # of evidence, as it is shown
_NAMED = 8  # of those that are in
_LONGEST = 6  # decimals
_BELOW = 4  # lines of a terminal, for the bar and what comes next


@dataclass(frozen=True)
class Scored:
    """A race after some seeds.

    names, rates: of the conditions, the rate NaN where it is not known; scores [seeds, conditions];
    failed: conditions that are not judged, because a run of theirs failed.
    """

    names: list[str]
    rates: list[float]
    scores: Array
    standing: Standing
    failed: set[int]
    alpha: float

    def best(self) -> list[int]:
        """The conditions that are in, from best to worst."""
        still_in = [index for index in self.standing.still_in if index not in self.failed]
        if len(still_in) < 2 or not len(self.scores):
            return still_in
        return [still_in[place] for place in statistics.ranking(self.scores[:, still_in])]

    def order(self) -> list[int]:
        """Those that are in, then those that left, the last of them first, then the failed."""
        best = self.best()
        means = [_mean(column) for column in self.scores.T]
        worst = [math.inf if mean is None else mean for mean in means]
        left = self.standing.left.tolist()
        others = sorted(range(len(left)), key=lambda index: (-left[index], worst[index]))
        return [*best, *(index for index in others if index not in best)]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each condition; test/SE and difference: None without, or with an infinite one.

        difference: to the one that leads, over the seeds that both have.
        """
        leader = next(iter(self.best()), 0)
        d = statistics.minus(self.scores, self.scores[:, [leader]])
        return [self._row(index, d[:, index]) for index in range(len(self.names))]

    def _row(self, index: int, d: Array) -> dict[str, Any]:
        own, standing = self.scores[:, index], self.standing
        against = int(standing.rival[index])
        return {
            "condition": self.names[index],
            "lr": _finite(self.rates[index]),
            "seeds": int((~np.isnan(own)).sum()),
            "diverged": int(np.isinf(own).sum()),
            "test/SE": _mean(own),
            "difference": _mean(d),
            "evidence": float(standing.evidence[index]),
            "most from": None if against == index else self.names[against],
            "left after": int(standing.left[index]) or None,
            "failed": index in self.failed,
        }

    def verdict(self) -> str:
        """The answer in a sentence."""
        best, out = self.best(), int((self.standing.left > 0).sum())
        unjudged = enumerated([self.names[index] for index in sorted(self.failed)])
        but = f"; {unjudged} cannot be judged, because runs failed" if self.failed else ""
        names, seeds = [self.names[index] for index in best], counted(len(self.scores), "seed")
        if len(names) > _NAMED:
            names[_NAMED:] = [f"{len(names) - _NAMED} more"]
        if not best:
            return "no answer: runs of all conditions failed"
        if len(best) == 1 and not out:
            return f"no answer: {names[0]} alone can be judged{but}"
        if len(best) == 1:
            others = self.names[self.order()[1]] if out == 1 else f"the other {out}"
            how = f": {others} {'has' if out == 1 else 'have'} left the race" if out else ""
            return f"{names[0]} is best{how}{but}"
        if len(self.scores) and np.isinf(self.scores[:, best]).all():
            return f"no clear winner: all runs of {enumerated(names)} diverged{but}"
        if not out:
            return f"no clear winner: after {seeds} all {len(best)} are in; {names[0]} leads{but}"
        return (
            f"the best is one of {enumerated(names)}: {seeds} cannot tell these apart; "
            f"{names[0]} leads{but}"
        )

    def guarantee(self) -> str:
        """What the answer may be relied on for."""
        return guarantee(len(self.names), self.alpha)


def guarantee(conditions: int, alpha: float) -> str:
    """What the answer of a race of so many conditions may be relied on for."""
    return (
        f"the chance that the best of the {conditions} has left is "
        f"{100 * alpha:g} % at most, although scores were looked at after every seed"
    )


def told_while_racing(scored: Scored, seeds: int, seconds: float) -> str:
    """The table, of at most 80 columns, under a line that says how far the race is.

    On a terminal that is not high enough the worst are left out.
    """
    done, still_in = len(scored.scores), len(scored.best())
    took = f" in {seconds / 60:.1f} minutes" if seconds else ""
    head = f"race   {done} of {seeds} seeds{took}; {still_in} of {len(scored.names)} are in"
    lines = [f"{head}; out at evidence {1 / scored.alpha:g}", *table(scored)]
    room = get_terminal_size().lines - _BELOW
    if len(lines) > room + 1:
        lines[room:] = [f"and {len(lines) - room} more"]
    return "\n".join(lines)


def told_of_a_look(scored: Scored, before: Standing) -> str:
    """A line about a seed, and who left by it; on a terminal, where the table stands, that alone.

    Empty where there is nothing to tell.
    """
    best, rows = scored.best(), scored.rows()
    gone = [
        f"{row['condition']} (evidence {_evidence(row)}, most from {row['most from']})"
        for index, row in enumerate(rows)
        if row["left after"] and not before.left[index]
    ]
    if not gone and sys.stdout.isatty():
        return ""
    leads = f", {scored.names[best[0]]} leads" if best else ""
    line = f"race   seed {len(scored.scores)}: {len(best)} of {len(rows)} in{leads}"
    return wrapped("; out: ".join([line, ", ".join(gone)]) if gone else line, WIDTH)


def told_at_the_end(scored: Scored, folder: Path, more: str, command: str) -> str:
    """The answer, what it may be relied on for, the table, and what to do next.

    more: sets a larger budget; command: trains the one that leads.
    """
    best = [scored.names[index] for index in scored.best()]
    lines = [
        wrapped(f"answer {scored.verdict()}", WIDTH),
        wrapped(f"       {scored.guarantee()}", WIDTH),
        "",
        *table(scored, whole=True),
        wrapped(
            f"difference: to {best[0] if best else scored.names[0]}, on the seeds of both; "
            "evidence: what bets on its being worse than a rival made of 1, on average over the "
            f"rivals; out at {1 / scored.alpha:g}",
            WIDTH,
        ).replace("\n       ", "\n"),
        "",
    ]
    if len(best) > 1:
        lines.append(f"longer {training()} {quote(f'resume={folder}')} {more}")
    if best:
        lines.append(f"use    {command}")
    lines.append(f"more   {comparing()} {quote(str(folder))}")
    return "\n".join(lines)


def table(scored: Scored, *, whole: bool = False) -> Iterator[str]:
    """A line for each condition, the best first.

    Names that are too long are cut, or with `whole` stand above their figures.
    """
    rows = scored.rows()
    means = [row[key] for row in rows for key in ("test/SE", "difference") if row[key] is not None]
    decimals = decimals_for(means, 4)
    cells = [list(_HEAD), *(_cells(rows[index], decimals) for index in scored.order())]
    if scored.best():
        cells[1][4] = ""  # of the one that leads, to itself
    widths = [max(len(line[column]) for line in cells) for column in range(1, len(_HEAD))]
    room = WIDTH - sum(2 + width for width in widths)
    longest = max(_SHORTEST_NAME, min(room, max(len(line[0]) for line in cells)))
    names = [line[0] for line in cells]
    for name, line in zip(names if whole else clipped_apart(names, longest), cells, strict=True):
        if len(name) > longest:
            yield name
        figures = (c.rjust(width) for c, width in zip(line[1:-1], widths[:-1], strict=True))
        own = "" if len(name) > longest else name
        yield "  ".join([own.ljust(longest), *figures, line[-1]]).rstrip()


def _cells(row: dict[str, Any], decimals: int) -> list[str]:
    state = "in"
    if row["left after"]:
        state = f"out, seed {row['left after']}"
    elif row["failed"]:
        state = "failed"
    elif not row["seeds"]:
        state = ""
    diverged = "diverged" if row["diverged"] else "-"
    mean, difference = (
        diverged if row[key] is None else _fixed(row[key], decimals)
        for key in ("test/SE", "difference")
    )
    lr = "-" if row["lr"] is None else f"{row['lr']:.4g}"
    seeds = str(row["seeds"])
    return [row["condition"], lr, seeds, mean, difference, _evidence(row), state]


def _fixed(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if decimals <= _LONGEST else f"{value:.2e}"


def _evidence(row: dict[str, Any]) -> str:
    found = row["evidence"]
    return f"> {_MOST}" if found > _MOST else f"{found:.1f}" if found < 100 else f"{found:.0f}"


def _mean(values: Array) -> float | None:
    present = values[~np.isnan(values)]
    return _finite(float(present.mean())) if len(present) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
