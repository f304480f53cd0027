r"""An answer as a table for a paper: LaTeX with booktabs (`\usepackage{booktabs}`)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from activae.compare.answer import Answer, percent
from activae.compare.terminal import divergence, fixed, p_value

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: rf"\{letter}" for letter in "&%$#_{}"},
    "[": "{[}",  # or a row before it would take it for its own
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def latex(answer: Answer) -> str:
    """The table with its caption; those that cannot be told from the best are in bold."""
    caption = (
        f"{tex(answer.metric)} by {tex(answer.factor)}: mean and standard deviation over seeds, "
        f"paired difference to {tex(answer.reference)} with its 95\\,\\% interval (Student's $t$), "
        "and $p$ adjusted for all comparisons. Bold: those that cannot be told from the best."
    )
    heads = [tex(answer.factor), "seeds", tex(answer.metric), "difference", "relative", "$p$"]
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{caption}}}",
        r"  \begin{tabular}{lrrrrr}",
        r"    \toprule",
        rf"    {' & '.join(heads)} \\",
        r"    \midrule",
        *(f"    {row}" for row in _rows(answer)),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def tex(said: str) -> str:
    """Words as LaTeX takes them literally."""
    return "".join(_SPECIAL.get(letter, letter) for letter in said)


def _rows(answer: Answer) -> Iterator[str]:
    rows = list(answer.table.itertuples())
    number = fixed(rows)
    for row in rows:
        name = tex(str(row.condition))
        name = rf"\textbf{{{name}}}" if row.condition in answer.best else name
        mean = "--" if row.diverged else number(row.mean)
        if math.isfinite(row.mean):
            mean = f"${mean}$" if math.isnan(row.sd) else rf"${mean} \pm {number(row.sd)}$"
        cells = [name, str(row.n), mean]
        p = "--" if math.isnan(row.p) else f"${p_value(row.p)}$"
        if row.condition == answer.reference:
            cells += [divergence(row) or "reference", "", ""]
        elif row.diverged:
            cells += [divergence(row), "", p]
        elif math.isfinite(row.difference):
            span = f" [{number(row.low)}, {number(row.high)}]" if math.isfinite(row.low) else ""
            relative = f"${percent(row.relative)}\\,\\%$" if math.isfinite(row.relative) else ""
            cells += [f"${number(row.difference)}{span}$", relative, p]
        else:
            cells += ["--", "", p]
        yield " & ".join(cells) + r" \\"
