"""Real runs whose truth is known: what is the same thing under two names does not differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from activae.compare.answer import Answer, answer
from activae.compare.collect import read_runs

SMALL = (
    *("-m", "sweep=s", "logger=minimal", "hydra.launcher.workers=1"),
    *("data.train_fraction=0.3", "trainer.max_epochs=3"),
)


@pytest.fixture
def compared(train_py: Callable[..., Any], tmp_path: Path) -> Callable[..., Answer]:
    """`compared(*arguments)`: the answer of a sweep on digits."""

    def run(*arguments: str) -> Answer:
        outcome = train_py(*SMALL, *arguments)
        assert outcome.code == 0, outcome.text
        return answer(read_runs([tmp_path / "outputs" / "sweeps" / "s"]))

    return run


def test_relu_under_two_names_does_not_differ(compared: Callable[..., Answer]) -> None:
    found = compared(
        "activation=custom",
        "activation.function=torch.relu,torch.nn.functional.relu",
        "seed=range(6)",
    )
    assert list(found.table["n"]) == [6, 6]
    assert list(found.table["difference"]) == [0, 0]
    assert list(found.table["p"]) == [1, 1]
    assert found.verdict.startswith("no clear winner: nothing separates")
    assert found.plan == []


def test_gelu_and_its_tanh_form_do_not_differ(compared: Callable[..., Answer]) -> None:
    found = compared("activation=gelu,gelu_tanh", "seed=range(6)")
    assert abs(found.table["relative"]).max() < 0.01
    assert found.verdict.startswith("no clear winner: nothing separates")


def test_what_cannot_learn_is_told_from_what_can(compared: Callable[..., Answer]) -> None:
    found = compared("activation=tanh,threshold", "seed=range(6)")
    assert found.best == ["tanh"]
