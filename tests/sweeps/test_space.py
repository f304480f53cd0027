"""The space of a search, as Hydra's override grammar writes it."""

from __future__ import annotations

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from activae.errors import ConfigError
from activae.sweeps.space import Space, space_of


def space(*lines: str) -> Space:
    parsed = OverridesParser.create().parse_overrides(list(lines))
    return space_of({each.get_key_element(): each for each in parsed})


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("interval(0.1,0.5)", FloatDistribution(0.1, 0.5)),
        ("tag(log,interval(1e-4,1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
        ("int(interval(8,64))", IntDistribution(8, 64)),
        ("tag(int,log,interval(8,64))", IntDistribution(8, 64, log=True)),
        ("range(1,10,3)", IntDistribution(1, 7, step=3)),  # 1, 4, 7, as in a grid
        ("range(1,4)", IntDistribution(1, 3)),
        ("range(0.1,0.5,0.1)", FloatDistribution(0.1, 0.4, step=0.1)),
        ("a,b", CategoricalDistribution(("a", "b"))),
        ("0.5,true,null", CategoricalDistribution((0.5, True, "null"))),
        ("[1,2],[3]", CategoricalDistribution(("[1,2]", "[3]"))),
    ],
)
def test_each_kind_of_value_has_its_distribution(text: str, distribution: Any) -> None:
    assert space(f"k={text}").distributions() == {"k": distribution}


@pytest.mark.parametrize(
    ("text", "value", "line"),
    [
        ("interval(0,1)", 0.25, "k=0.25"),
        ("interval(0,1)", 1e-05, "k=1e-05"),
        ("int(interval(1,9))", 3, "k=3"),
        ("range(0.1,0.5,0.1)", 0.1 + 2 * 0.1, "k=0.3"),
        ("'a b',c", "'a b'", "k='a b'"),
        ("[1,2],[3]", "[1,2]", "k=[1,2]"),
        ("true,null", "null", "k=null"),
    ],
)
def test_a_value_is_written_as_the_command_line_takes_it(text: str, value: Any, line: str) -> None:
    assert space("a.b=1", f"k={text}").overrides({"k": value}) == ["a.b=1", line]


def test_keys_with_a_package_or_a_plus_stay_as_they_are() -> None:
    searched = space("activation@encoder.activation=relu,tanh", "+new.key=interval(0,1)", "~gone")

    values = {"activation@encoder.activation": "tanh", "+new.key": 0.5}
    assert searched.overrides(values) == [
        "~gone",
        "activation@encoder.activation=tanh",
        "+new.key=0.5",
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("k=interval(1,0.1)", "smaller number comes first"),
        ("k=interval(1,1)", "smaller number comes first"),
        ("k=tag(log,interval(0,1))", "no logarithm"),
        ("k=tag(fast,interval(0,1))", "the tag fast is not known"),
        ("k=range(5,1)", "holds no number"),
        ("k=range(1,2)", "holds 1 alone"),
        ("k=tag(log,range(1,9,2))", "steps of 1"),
        ("k=shuffle(1,2)", "leave out shuffle"),
        ("seed=0,1", "luckiest seed"),
        ("k=1", "nothing to search"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(line: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        space(line)
