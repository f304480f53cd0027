"""docs/export.md says what happens: its commands and examples are run."""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from activae.cli.use import main

DOC = Path(__file__).parents[2] / "docs/export.md"


@pytest.mark.filterwarnings("ignore")  # torch's own, about its exporters
def test_commands_and_examples_do_what_they_say(
    train_py: Callable[..., object], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Afterwards the files and folders that it names are there."""
    block, said = re.findall(r"```(?:bash)?\n(.*?)```", DOC.read_text(), re.DOTALL)[:2]
    first, *commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    quick = ("trainer=cpu", "trainer.max_steps=50", "logger.progress_bar=false")
    train_py(*first[2:], *quick)
    capfd.readouterr()
    for command in commands:
        assert main(command[2:], "") == 0

    found = capfd.readouterr().out.splitlines()[0]
    number = re.compile(r"[\d.]+e-\d+")
    assert number.sub("0", found) == number.sub("0", said.strip())
    examples = doctest.testfile(str(DOC), module_relative=False)
    assert examples.attempted > 10
    assert examples.failed == 0
    listed = DOC.read_text().partition("\n```\ngelu/\n")[2].partition("```")[0]
    names = {word for line in listed.splitlines() for word in re.findall(r"[\w.]+", line[:24])}
    assert {file.name for file in (tmp_path / "gelu").iterdir()} == names
