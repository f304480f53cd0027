"""A study: what is proposed, in the face of interruptions too; no training here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from activae.errors import ConfigError
from activae.sweeps.batches import Result
from activae.sweeps.space import Numbers, Options, Space
from activae.sweeps.study import Search, make_pruner, make_sampler

SPACE = Space(
    fixed=("data=digits",),
    domains={"x": Numbers(0.0, 1.0), "kind": Options(("a", "b"), ("a", "b"))},
    written=("x=interval(0,1)", "kind=a,b"),
)
TPE = {"name": "tpe", "seed": 0, "n_startup_trials": 5}


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Search]:
    def make(name: str = "s", sampler: Any = TPE, space: Space = SPACE) -> Search:
        made = Search(f"sqlite:///{tmp_path}/{name}.db", name, space, sampler, {"name": "none"})
        made.prepare()
        return made

    return make


def results(trials: Sequence[FrozenTrial]) -> list[Result]:
    """Best at x = 0.7, kind = b."""
    folder = Path("somewhere")
    return [
        Result("completed", abs(t.params["x"] - 0.7) + (t.params["kind"] == "a"), folder)
        for t in trials
    ]


def advance(search: Search, count: int, at_once: int) -> list[FrozenTrial]:
    finished: list[FrozenTrial] = []
    while trials := search.next(at_once, count - len(finished)):
        finished = search.tell(trials, results(trials))
    return finished


def params(trials: Sequence[FrozenTrial]) -> list[Any]:
    return [trial.params for trial in trials]


def test_tpe_goes_where_the_results_are_better(study: Callable[..., Search]) -> None:
    found = advance(study(), 30, at_once=5)

    late = [abs(trial.params["x"] - 0.7) for trial in found[15:]]
    early = [abs(trial.params["x"] - 0.7) for trial in found[:5]]
    assert sum(late) / 15 < sum(early) / 5
    assert sum(trial.params["kind"] == "b" for trial in found[15:]) > 10


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_the_seed_makes_the_proposals(name: str, study: Callable[..., Search]) -> None:
    samplers = [{"name": name, "seed": seed} for seed in (3, 3, 4)]
    a, b, c = (
        params(advance(study(sweep, sampler), 4, at_once=2))
        for sweep, sampler in zip("abc", samplers, strict=True)
    )

    assert a == b
    assert len({values["x"] for values in a + c}) == 8


def test_trials_that_were_cut_off_come_first_and_nothing_else_changes(
    study: Callable[..., Search],
) -> None:
    whole = advance(study("whole"), 8, at_once=2)
    cut = study("cut")
    first = cut.next(2, 8)
    cut.tell(first[:1], results(first[:1]))  # killed between the two

    again = study("cut")
    left = again.next(2, 7)

    assert left[0].number == first[1].number
    assert params(left[:1]) == params(first[1:])
    again.tell(left, results(left))
    finished = advance_from(again, 3, 8)
    assert len(finished) == 8
    assert params(finished[:2]) == params(whole[:2])


def advance_from(search: Search, done: int, count: int) -> list[FrozenTrial]:
    finished: list[FrozenTrial] = []
    while trials := search.next(2, count - max(done, len(finished))):
        finished = search.tell(trials, results(trials))
    return finished


def test_a_search_cut_off_between_batches_proposes_what_it_would_have(
    study: Callable[..., Search],
) -> None:
    whole = advance(study("whole"), 8, at_once=2)
    advance(study("cut"), 4, at_once=2)
    study("cut").next(2, 4)  # killed while they trained

    assert params(advance_from(study("cut"), 4, 8)) == params(whole)


def test_a_failed_trial_is_proposed_again_once_when_the_search_is_launched_again(
    study: Callable[..., Search],
) -> None:
    search = study()
    failed = search.next(1, 1)
    search.tell(failed, [Result("failed", math.nan, Path("f"))])
    study()

    again = study().next(2, 2)

    assert again[0].params == failed[0].params
    assert again[1].params != failed[0].params


def test_how_a_trial_ended_is_told(study: Callable[..., Search]) -> None:
    search = study()
    trials = search.next(3, 3)
    ends = [Result("diverged", math.inf, Path("d")), Result("pruned", 2.0, Path("p"))]

    finished = search.tell(trials, [*ends, Result("failed", math.nan, Path("f"))])

    assert [trial.state for trial in finished] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert finished[0].value == math.inf
    assert [trial.user_attrs["status"] for trial in finished] == ["diverged", "pruned"]
    assert [trial.user_attrs["folder"] for trial in finished] == ["d", "p"]


def test_a_study_of_another_search_is_left_alone_unless_it_has_no_result(
    study: Callable[..., Search],
) -> None:
    other = Space(SPACE.fixed, SPACE.domains, ("x=interval(0,9)",))
    study()
    advance(study(space=other), 1, at_once=1)

    with pytest.raises(ConfigError, match=r"holds another search \(x=interval\(0,9\) data=digits"):
        study()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"name": "tpi"}, r"sampler\.name=tpi.*Did you mean tpe.*tpe, random"),
        ({"name": "tpe", "seed": -1}, r"sampler\.seed=-1"),
        ({"name": "tpe", "seeds": 1}, r"sampler\.seeds: tpe has .*n_startup_trials"),
        ("random", r"sampler=random: is set with hydra\.sweeper\.sampler\.name=NAME"),
    ],
)
def test_a_sampler_that_there_is_not_is_named(settings: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make_sampler(settings, 0)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"name": "medain"}, r"pruner\.name=medain.*Did you mean median.*hyperband"),
        ({"name": "none", "patience": 3}, r"pruner\.patience: none has no parameters"),
        ({"name": "median", "n_startup_trials": -1}, r"hydra\.sweeper\.pruner: .*startup"),
    ],
)
def test_a_pruner_that_cannot_be_is_named(settings: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make_pruner(settings)


def test_a_storage_that_cannot_be_opened_is_named() -> None:
    search = Search("nonsense", "s", SPACE, TPE, {"name": "none"})
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.storage=nonsense"):
        search.prepare()
