"""The intervals as a picture file, where matplotlib is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from activae.compare.answer import Answer, answer
from activae.compare.collect import read_runs
from activae.compare.report.paper import draw, png
from activae.errors import UserError

WriteRun = Callable[..., Path]


@pytest.fixture
def found(write_run: WriteRun, tmp_path: Path) -> Answer:
    """With a name that means a formula to matplotlib, one far off, and one that diverged."""
    scores = {"gelu": 1.0, "$x_{$": 1.1, "relu": 1.2, "silu": 9.0, "elu": float("inf")}
    for name, score in scores.items():
        for seed in range(2):
            write_run(f"{len(name)}{score}-{seed}", score + seed / 100, name, seed=seed)
    return answer(read_runs([tmp_path]))


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_is_of_the_kind_that_the_name_ends_with(
    ending: str, start: bytes, found: Answer, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    draw(found, tmp_path / f"figure.{ending}")
    assert (tmp_path / f"figure.{ending}").read_bytes().startswith(start)


def test_for_tensorboard_it_is_as_small_as_its_cards(found: Answer) -> None:
    pytest.importorskip("matplotlib")
    drawn = png(found)
    assert drawn.startswith(b"\x89PNG")
    assert int.from_bytes(drawn[16:20], "big") == 440


def test_an_ending_that_matplotlib_does_not_know_is_refused(found: Answer, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(UserError, match=r"figure\.doc: .*doc.*supported"):
        draw(found, tmp_path / "figure.doc")


def test_without_matplotlib_it_says_what_to_do(
    found: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match="pip install matplotlib"):
        draw(found, tmp_path / "figure.png")
