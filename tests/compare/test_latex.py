"""The table for a paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from activae.compare.answer import answer
from activae.compare.collect import read_runs
from activae.compare.latex import latex, tex

WriteRun = Callable[..., Path]


def test_has_a_row_for_each_condition_and_the_best_in_bold(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for seed in range(6):
        write_run(f"r{seed}", 2 + 0.01 * seed**2, "relu", seed=seed)
        write_run(f"g{seed}", 1 + 0.01 * seed, "gelu", seed=seed)
    said = latex(answer(read_runs([tmp_path])))
    best, worse = said.split("\\midrule\n")[1].split("\n    \\bottomrule")[0].splitlines()
    assert best.strip() == r"\textbf{gelu} & 6 & $1.025 \pm 0.019$ & reference &  &  \\"
    assert worse.strip() == (
        r"relu & 6 & $2.092 \pm 0.097$ & $1.067 [0.983, 1.150]$ & $104\,\%$ & $.031$ \\"
    )


def test_a_name_is_taken_literally() -> None:
    assert tex(r"a_b & 50% \input{x} [2]") == (r"a\_b \& 50\% \textbackslash{}input\{x\} {[}2]")
