"""The house: which room may use which, and that no import goes against that order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "activae"
# A room uses those before it, and what is loose on top.
ORDER = (
    *("config", "data", "activations", "models", "objectives", "training", "results", "sweeps"),
    *("compare", "use"),
)
LOOSE = {"__init__", "errors", "randomness"}
COMMAND = "__main__"  # which nobody imports
ROOMS = (*ORDER, "cli")


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted path of each import of activae, wherever in the file it stands."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def room_of(dotted: str) -> str | None:
    """The room that an import leads to; None outside of activae."""
    package, _, rest = dotted.partition(".")
    return rest.split(".")[0] if package == "activae" else None


def test_nothing_is_loose_but_errors_randomness_and_the_command() -> None:
    assert {file.stem for file in PACKAGE.glob("*.py")} == {*LOOSE, COMMAND}


def test_the_rooms_are_those_of_the_order() -> None:
    assert {folder.parent.name for folder in PACKAGE.glob("*/__init__.py")} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_uses_only_rooms_before_it(room: str) -> None:
    allowed = {*ROOMS[: ROOMS.index(room) + 1], *LOOSE}
    wrong = [
        f"{file.relative_to(PACKAGE)}:{line} imports {dotted}"
        for file in sorted((PACKAGE / room).rglob("*.py"))
        for line, dotted in imports(file)
        if (target := room_of(dotted)) is not None and target not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("loose", ["errors", "randomness"])
def test_what_is_loose_uses_no_room(loose: str) -> None:
    used = {room_of(dotted) for _, dotted in imports(PACKAGE / f"{loose}.py")} - {None}
    assert used <= LOOSE


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_lives_in_it(room: str) -> None:
    assert ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
