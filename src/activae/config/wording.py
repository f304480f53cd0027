"""Config values in words, and texts in lines that fit a terminal.

What an annotation admits, what a misspelt word was meant to be, what is cut or wrapped.
"""

from __future__ import annotations

import math
import os
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral
from types import EllipsisType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

WIDTH = 80  # of a terminal
INDENT = " " * 7  # of a line that goes on below the word it starts with
_WORDS = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "words"),
    NoneType: ("null", "nulls"),
}


def shown(value: Any) -> str:
    """A config value as one writes it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def home_expanded(path: str) -> str:
    """The path with the home folder for a leading ~; as it is where there is no such user."""
    return os.path.expanduser(path)


def counted(number: int, noun: str) -> str:
    """1 run, 2 runs."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def is_positive(value: Any) -> bool:
    """Whether it is a finite number greater than 0."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def is_count(value: Any) -> bool:
    """Whether it is a whole number of 1 or more, NumPy's included."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def fits(value: Any, hint: Any) -> bool:
    """Whether a config value can go where `hint` is annotated; annotations not known admit any.

    Lists do for tuples. A mapping fits all but scalars: it may describe an object of any class.
    """
    choices, items = get_args(hint), get_origin(hint)
    if items in (Union, UnionType):
        return any(fits(value, choice) for choice in choices)
    if isinstance(value, Mapping):
        return hint not in _WORDS
    if items is Literal:
        return value in choices
    if items in (list, tuple, Sequence):
        return isinstance(value, (list, tuple)) and _items_fit(value, items, choices)
    if items in (dict, Mapping) or _is_tensor(hint):
        return False
    if hint in (int, float):
        numbers = int if hint is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool)
    return isinstance(value, hint) if hint in _WORDS else True


def describe(hint: Any, many: bool = False) -> str:
    """An annotation in words: "a whole number or null"."""
    choices, items = get_args(hint), get_origin(hint)
    if items in (Union, UnionType):
        return " or ".join(dict.fromkeys(describe(c, many) for c in choices if not _is_tensor(c)))
    if items is Literal:
        return f"one of {', '.join(map(str, choices))}"
    if items is tuple and not isinstance(choices[-1], EllipsisType):
        return f"a list of {len(choices)} {describe(choices[0], many=True)}"
    if items in (list, tuple, Sequence):
        return f"a list of {describe(choices[0], many=True)}"
    if items in (dict, Mapping):
        return "a mapping of keys to values"
    if hint in _WORDS:
        return _WORDS[hint][many]
    return str(getattr(hint, "__name__", hint))


def _items_fit(values: Sequence[Any], items: type, hints: Sequence[Any]) -> bool:
    if items is not tuple or isinstance(hints[-1], EllipsisType):
        hints = [hints[0]] * len(values)
    return len(values) == len(hints) and all(map(fits, values, hints))


def _is_tensor(hint: Any) -> bool:
    """torch annotates learning rates as float | Tensor; no config value is a Tensor."""
    return getattr(hint, "__name__", "") == "Tensor"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`Did you mean X? ` with the nearest of the known words, or nothing if none is near."""
    near = get_close_matches(word, list(known), n=1)
    return f"Did you mean {near[0]}? " if near else ""


def decimals_for(values: Iterable[float], digits: int) -> int:
    """The decimals with which the largest of the values has so many digits."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0)
    return max(0, digits - 1 - math.floor(math.log10(largest))) if largest else 0


def clipped(text: str, room: int) -> str:
    """The text, or its beginning and end where it takes more than `room` characters."""
    if len(text) <= room:
        return text
    end = max(0, room - 3) // 3
    return f"{text[: max(0, room - 3 - end)]}...{text[len(text) - end :]}"


def clipped_apart(names: Sequence[str], room: int) -> list[str]:
    """The names in `room` characters at most each, and different where they are.

    Those that look alike without their middle lose the parameters that they have in common, then
    what they begin with in common; where that is not enough, they are numbered.
    """
    cut = {name: clipped(name, room) for name in dict.fromkeys(names)}
    kinds = {name.partition("(")[0] for name in _alike(cut)}
    for kind in sorted(kinds):
        own = [name for name in cut if name.partition("(")[0] == kind]
        if len(own) == 1:
            continue
        told = _what_differs(own)
        letters = enumerate(zip(*told, strict=False))
        start = next((place for place, found in letters if len(set(found)) > 1), 0)
        cut |= {
            name: _clipped_before(text, start, room) for name, text in zip(own, told, strict=True)
        }
    for number, name in enumerate(_alike(cut), start=1):
        cut[name] = f"{cut[name][: room - len(str(number)) - 1]}~{number}"
    return [cut[name] for name in names]


def _alike(cut: Mapping[str, str]) -> list[str]:
    """The names that are cut to the same text as another."""
    shown_as = list(cut.values())
    return [name for name, text in cut.items() if shown_as.count(text) > 1]


def _what_differs(names: Sequence[str]) -> list[str]:
    """A(1, x) and A(2, x) for A(key=1, same=3, other=x), ...; the names where they are built so."""
    parts = [re.split(r"[(),=] ?", name.rstrip(")")) for name in names]
    if len({len(each) for each in parts}) > 1:
        return list(names)
    columns = [column for column in zip(*parts, strict=True) if len(set(column)) > 1]
    told = [", ".join(each) for each in zip(*columns, strict=True)]
    kind = parts[0][0]
    return told if any(each[0] != kind for each in parts) else [f"{kind}({each})" for each in told]


def _clipped_before(name: str, start: int, room: int) -> str:
    """The name without a part that ends at `start`, and without its end if that is too long."""
    if len(name) <= room:
        return name
    end = name[start:]
    head = max(room // 3, room - 3 - len(end))
    if head + 3 + len(end) > room:
        end = f"{end[: max(0, room - head - 6)]}..."
    return f"{name[:head]}...{end}"


def wrapped(text: str, width: int = WIDTH) -> str:
    """The text in lines of at most `width` characters; those that follow are indented."""
    lines = [
        textwrap.wrap(
            line,
            width,
            subsequent_indent=INDENT,
            break_on_hyphens=False,
            break_long_words=False,  # a path is there to be copied
        )
        for line in text.splitlines()
    ]
    return "\n".join(part for line in lines for part in line or [""])


def as_error(message: object) -> str:
    """What is wrong, as a command says it: in lines, the first of which begins with what it is."""
    kept = f"error:\xa0{message}"  # where textwrap breaks no line
    return wrapped(kept).replace("\xa0", " ", 1)
