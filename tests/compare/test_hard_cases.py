"""What is hardly a comparison: a sound answer in the terminal, the page and TensorBoard."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from activae.compare.answer import Answer, answer
from activae.compare.collect import read_runs
from activae.compare.report.page import page
from activae.compare.summary import markdown, write_summary
from activae.compare.terminal import shown
from activae.errors import UserError

WriteRun = Callable[..., Path]
Scores = dict[str, list[float | None]]
CASES: dict[str, tuple[Scores, str]] = {
    "one seed": ({"relu": [2], "gelu": [1]}, "no clear winner: 1 seed can show none"),
    "ties": ({"relu": [1] * 8, "gelu": [1] * 8}, "no clear winner: nothing separates"),
    "ties of some": ({"relu": [1, 2] * 4, "gelu": [1, 1] * 4}, "no clear winner: nothing"),
    "all diverged": ({"relu": [math.inf] * 7, "gelu": [math.inf] * 7}, "no clear winner: every"),
    "one always diverged": ({"relu": [math.inf] * 7, "gelu": [1] * 7}, "gelu is best; relu is"),
    "a missing pair": ({"relu": [2] * 6, "gelu": [1] * 7}, "gelu is best; relu is worse by 100 %"),
    "no pair at all": ({"relu": [2, None], "gelu": [None, 1]}, "no clear winner: no other"),
    "zero": ({"relu": [0] * 7, "gelu": [1e-9] * 7}, "relu is best; gelu is worse"),
}


@pytest.fixture
def answered(
    write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Scores], Answer]:
    """Of each activation a run with each seed, its history of two epochs beside it."""
    monkeypatch.setattr("activae.compare.summary.png", lambda _: b"\x89PNG\r\n\x1a\n" + bytes(16))

    def write(scores: Scores) -> Answer:
        for name, each in scores.items():
            for seed, score in enumerate(each):
                if score is not None:
                    run = write_run(f"runs/{name}{seed}", score, name, seed=seed)
                    (run / "history.csv").write_text(f"step,SE/val\n1,3\n2,{score}\n")
        return answer(read_runs([tmp_path / "runs"]))

    return write


@pytest.mark.parametrize("case", CASES)
def test_is_answered_everywhere(
    case: str, answered: Callable[[Scores], Answer], tmp_path: Path
) -> None:
    scores, verdict = CASES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = answered(scores)
        assert found.verdict.startswith(verdict)
        lines = shown(found).splitlines()
        assert max(map(len, lines)) <= 80
        write_summary(found, tmp_path / "summary")
        for text in (*lines, markdown(found), page(found)):
            assert not {"nan", "inf", "None"} & set(text.replace(",", " ").split())


def test_a_metric_that_some_runs_lack_is_compared_by_the_others(
    answered: Callable[[Scores], Answer], tmp_path: Path
) -> None:
    answered({"relu": [2] * 7, "gelu": [1] * 7})
    for run in sorted((tmp_path / "runs").iterdir()):
        metrics = json.loads((run / "metrics.json").read_text())
        metrics["test"]["SSIM"] = None if run.name == "gelu3" else metrics["test"]["SE"]
        (run / "metrics.json").write_text(json.dumps(metrics))
    found = answer(read_runs([tmp_path / "runs"]), metric="test/SSIM")
    assert list(found.table["n"]) == [7, 6]
    assert "1 run is left out that lack test/SSIM" in " ".join(found.caveats)


def test_sixty_activations_are_ranked_and_fit_the_terminal(
    answered: Callable[[Scores], Answer],
) -> None:
    found = answered({f"activation_with_a_long_name_{turn}": [turn] for turn in range(60)})
    assert len(found.table) == 60
    assert max(map(len, shown(found).splitlines())) <= 80


def test_a_single_activation_is_refused(answered: Callable[[Scores], Answer]) -> None:
    with pytest.raises(UserError, match="7 runs of one condition"):
        answered({"relu": [1] * 7})
