"""How a run tells how far it is."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from activae.results import progress
from activae.results.run import train
from activae.training.eager_step import EagerStep
from activae.training.module import Interrupted

Compose = Callable[..., DictConfig]

SMALL = ("trainer=cpu", "logger=minimal", "data.train_fraction=0.1")


class Terminal(io.StringIO):
    """A place to print to that people look at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("epochs", "lines"), [(3, 3), (25, 13), (40, 10)])
def test_a_log_gets_some_ten_lines_whatever_the_length(
    epochs: int, lines: int, compose: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    train(compose(*SMALL, f"trainer.max_epochs={epochs}"), tmp_path)

    said = [r.getMessage() for r in caplog.records if r.name == progress.__name__]
    assert len(said) == lines
    steps = 4 * epochs
    assert re.match(rf"step +{steps} of {steps} +epoch {epochs} +SE train [\d.]+ +val ", said[-1])


def test_a_terminal_gets_a_bar_that_ends_full(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "200")

    train(compose(*SMALL, "trainer.max_epochs=3"), tmp_path)

    assert "100%" in terminal.getvalue()
    assert "epoch 3  SE train" in terminal.getvalue()


def test_an_interrupted_bar_gives_the_terminal_back(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")

    def stop(*_: object) -> None:
        raise Interrupted

    monkeypatch.setattr(EagerStep, "__call__", stop)
    with pytest.raises(Interrupted):
        train(compose(*SMALL), tmp_path)

    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert terminal.getvalue().count(hidden) == terminal.getvalue().count(shown)


def test_it_can_be_turned_off(
    compose: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    train(compose(*SMALL, "trainer.max_epochs=3", "logger.progress_bar=false"), tmp_path)

    assert not [record for record in caplog.records if record.name == progress.__name__]
