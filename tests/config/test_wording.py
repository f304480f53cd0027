"""Which values of a config an annotation admits."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from torch import Tensor

from activae.config.wording import as_error, clipped_apart, describe, fits, shown

Pair = tuple[float | Tensor, float | Tensor]


@pytest.mark.parametrize(
    ("hint", "fitting", "unfit"),
    [
        (int, [0, -3], [1.0, "1", True, None, [1], {}]),
        (float, [0, 0.5, float("nan")], ["0.5", False, None, [0.5], {}]),
        (bool, [True, False], [0, "true", None]),
        (str, ["", "a"], [1, None, ["a"], {}]),
        (float | None, [1, 0.5, None], ["a", True]),
        (float | Tensor, [1, 0.5], ["a", None]),
        (Pair, [[0.9, 0.999]], [[0.9], 0.9, ["a", 0.9], [1, 2, 3], "ab"]),
        (tuple[int, ...], [[], [1, 2, 3]], [[1.5], 1]),
        (Sequence[int], [[], [64, 32]], [[64, "x"], 64, None, "64"]),
        (list[float], [[1, 0.5]], [["x"], 1]),
        (Mapping[str, Any] | None, [{"a": 1}, None], [3, "a", [1]]),
        (Literal["none", "tanh"], ["none"], ["relu", None]),
        (str | Path, ["a", None, 3], []),  # a Path can be anything, for all that is known
        (Callable[[], int], ["a", None, {}], []),
        (Any, ["a", None, [], {}, 1], []),
    ],
)
def test_what_fits(hint: Any, fitting: list[Any], unfit: list[Any]) -> None:
    assert [value for value in fitting if not fits(value, hint)] == []
    assert [value for value in unfit if fits(value, hint)] == []


@pytest.mark.parametrize("hint", [Sequence[int], Tensor, Callable[[], int], dict[str, int], Path])
def test_a_mapping_may_describe_an_object_of_any_class(hint: Any) -> None:
    assert fits({"_target_": "some.Class"}, hint)


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "a whole number"),
        (float | Tensor, "a number"),
        (int | None, "a whole number or null"),
        (bool | None, "true or false or null"),
        (Pair, "a list of 2 numbers"),
        (tuple[int, ...], "a list of whole numbers"),
        (Sequence[int], "a list of whole numbers"),
        (list[str] | None, "a list of words or null"),
        (Mapping[str, Any], "a mapping of keys to values"),
        (Literal["none", "tanh"], "one of none, tanh"),
        (Path, "Path"),
    ],
)
def test_an_annotation_in_words(hint: Any, words: str) -> None:
    assert describe(hint) == words


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), (0, "0"), ("a", "a"), ([1, 2], "[1, 2]")]
)
def test_a_value_is_shown_as_yaml_has_it(value: Any, text: str) -> None:
    assert shown(value) == text


SWISH = [f"swish(the_first_one={a}, second={b}, third=7)" for a in (1, 2) for b in (3, 4)]


@pytest.mark.parametrize(
    ("names", "room", "told"),
    [
        (["relu", "gelu"], 8, ["relu", "gelu"]),
        (["relu", *SWISH[:1]], 20, ["relu", "swish(the_fi...rd=7)"]),  # it is like no other
        (SWISH, 12, ["swish(1, 3)", "swish(1, 4)", "swish(2, 3)", "swish(2, 4)"]),
        (
            ["custom(source=01234567)", "custom(source=01ab4567)"],
            12,
            ["cust...23...", "cust...ab..."],
        ),
        (["a_long_one_here", "a_long_two_here"], 8, ["a_lo..~1", "a_lo..~2"]),
    ],
)
def test_names_that_are_cut_stay_different(names: list[str], room: int, told: list[str]) -> None:
    assert clipped_apart(names, room) == told


def test_an_error_begins_with_what_it_is_however_long_that_is() -> None:
    path = "/a" * 60

    first, second = as_error(f"{path}: there is no such file").splitlines()

    assert first == f"error: {path}:"
    assert second.strip() == "there is no such file"
