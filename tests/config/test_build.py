"""From config nodes to objects."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from omegaconf import DictConfig
from torch import nn

from activae.config.instantiating import build, call, faults, label
from activae.config.settling import container, settle
from activae.errors import ConfigError, DataError


def plain(*, width: int, depth: int = 2) -> tuple[int, int]:
    return width, depth


def anything(**parameters: Any) -> dict[str, Any]:
    return parameters


def unresolvable(width: Nowhere) -> None:  # noqa: F821 (a name that only a type checker knows)
    pass


def refuses(number: int) -> None:
    raise {0: DataError("no data"), 1: KeyError("x")}.get(number, ValueError("not that one"))


def here(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """--import-mode=importlib keeps this module out of sys.modules under a name of one part."""
    import sys

    monkeypatch.setitem(sys.modules, "build_targets", sys.modules[__name__])


def node(name: str, **parameters: Any) -> dict[str, Any]:
    return {"_target_": f"build_targets.{name}", **parameters}


def test_a_partial_node_becomes_a_factory_of_new_objects() -> None:
    factory = build(
        {"_target_": "torch.nn.LeakyReLU", "_partial_": True, "negative_slope": 0.2}, "activation"
    )

    first, second = factory(), factory()

    assert isinstance(first, nn.LeakyReLU)
    assert first.negative_slope == 0.2
    assert first is not second


def test_a_whole_node_becomes_what_its_target_returns() -> None:
    assert build(node("plain", width=3), "x") == (3, 2)


def test_nothing_becomes_nothing() -> None:
    assert build(None, "encoding.activation") is None


def test_lists_arrive_as_lists() -> None:
    assert build(node("anything", a=[1, 2], b={"c": [3]}), "x") == {"a": [1, 2], "b": {"c": [3]}}


def test_what_a_target_refuses_names_the_key() -> None:
    with pytest.raises(ConfigError, match=r"^objective: refuses\(number=2\) .* not that one"):
        build(node("refuses", number=2), "objective")


def test_an_error_meant_for_the_user_passes_as_it_is() -> None:
    with pytest.raises(DataError, match=r"^no data$"):
        build(node("refuses", number=0), "data.source")
    with pytest.raises(DataError, match=r"^no data$"):
        call(refuses, "data.source", 0)


@pytest.mark.parametrize(("number", "said"), [(1, "x"), (2, "not that one")])
def test_what_a_factory_refuses_names_the_key(number: int, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^encoder: .*{said}"):
        call(refuses, "encoder", number)


def test_a_bug_is_not_taken_for_a_mistake_of_the_user() -> None:
    def broken() -> None:
        raise AssertionError("cannot be")

    with pytest.raises(AssertionError):
        call(broken, "encoder")


@pytest.mark.parametrize(
    "good",
    [
        node("plain", width=3),
        node("plain", width=3, depth=1, _partial_=True, _convert_="all", _recursive_=False),
        node("anything", whatever=[1, "a"]),
        node("unresolvable", width="text"),
        {"_target_": "torch.nn.Tanh", "_partial_": True},
        {"outer": [node("plain", width=1), {"inner": node("plain", width=2)}]},
        {"no": "target"},
        None,
    ],
)
def test_a_good_node_has_no_faults(good: Any) -> None:
    assert list(faults(good, "x")) == []


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (node("plain", widht=3), ["x.widht", "Did you mean width?", "width, depth"]),
        (node("plain", width="3"), ["x.width=3: must be a whole number"]),
        (node("nothing"), ["x._target_", "has no 'nothing'"]),
        ({"_target_": 3}, ["x._target_=3"]),
        ({"outer": [node("plain", width=None)]}, ["x.outer[0].width=null"]),
        (node("anything", inner=node("plain", width=[1])), ["x.inner.width=[1]"]),
        (node("anything", _args_=[1]), ["x._args_"]),
    ],
)
def test_a_fault_names_its_place(bad: Any, said: Sequence[str]) -> None:
    found = "\n".join(faults(bad, "x"))

    assert [part for part in said if part not in found] == [], found


def test_every_fault_is_found() -> None:
    bad = {"a": node("plain", width="w", dept=1), "b": node("nothing")}

    assert len(list(faults(bad, ""))) == 3


SNAKE = "activae.activations.Snake"


@pytest.mark.parametrize(
    ("described", "name"),
    [
        (None, "linear"),
        ({"_target_": "torch.nn.ReLU", "_partial_": True}, "ReLU"),
        ({"_target_": "torch.nn.ELU", "alpha": 0.5, "_partial_": True}, "ELU(alpha=0.5)"),
        (
            {"_target_": "m.MLP", "hidden": [64, 32], "activation": {"_target_": "x"}},
            "MLP(hidden=[64, 32])",
        ),
        (
            {"_target_": "m.Custom", "function": "torch.sin", "kwargs": {}},
            "Custom(function=torch.sin)",
        ),
        ({"_target_": "m.Snake", "a": 1.0, "learnable": False}, "Snake(a=1.0, learnable=False)"),
        ({"_target_": "activae.activations.Snake", "a": 1.0, "learnable": False}, "Snake(a=1.0)"),
        (
            {"_target_": "activae.activations.Snake", "a": 2.0, "learnable": True},
            "Snake(a=2.0, learnable=True)",
        ),
    ],
)
def test_a_short_name_with_the_parameters(described: Any, name: str) -> None:
    assert label(described) == name


def test_what_is_called_at_every_step_is_a_plain_partial(
    compose: Callable[..., DictConfig],
) -> None:
    """Hydra's own partial checks its target at each call, which costs a tenth of a small step."""
    cfg = settle(compose("objective=huber"))
    schedule = build(container(cfg.scheduler), "scheduler")
    objective = build(container(cfg.objective), "objective")
    assert type(schedule) is functools.partial
    assert type(objective.reconstruction) is functools.partial
