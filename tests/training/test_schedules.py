"""Learning-rate schedules as functions of the step."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import cos, pi

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig
from torch.optim.lr_scheduler import ReduceLROnPlateau

from activae.errors import ConfigError
from activae.training import schedules
from activae.training.schedules import (
    Adaptive,
    Plateau,
    constant,
    cosine,
    make_schedule,
    onecycle,
    step_decay,
)

SCHEDULES = {
    "constant": partial(constant, warmup=0.1),
    "cosine": partial(cosine, warmup=0.1, final=0.01),
    "onecycle": partial(onecycle, warmup=0.3, div=25.0, final_div=1e4),
}
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
STEPS = partial(step_decay, warmup=0.0, gamma=0.1, milestones=[0.5, 0.75])
PLATEAU = {"factor": 0.5, "patience": 1, "threshold": 0.0, "cooldown": 0, "min_factor": 0.0}


def test_constant_never_changes() -> None:
    assert {constant(step, 50, warmup=0.0) for step in range(50)} == {1.0}


@pytest.mark.parametrize("schedule", [constant, partial(cosine, final=0.0)])
def test_warm_up_is_linear_and_ends_at_the_full_rate(schedule: Callable[..., float]) -> None:
    rising = [schedule(step, 100, warmup=0.2) for step in range(21)]

    assert rising == pytest.approx([(step + 1) / 21 for step in range(21)])


def test_cosine_falls_from_the_full_rate_to_its_final_share() -> None:
    factors = [cosine(step, 101, warmup=0.0, final=0.1) for step in range(101)]

    assert factors[0] == 1.0
    assert factors[25] == pytest.approx(0.1 + 0.9 * (1 + cos(pi / 4)) / 2)
    assert factors[50] == pytest.approx(0.55)
    assert factors[100] == pytest.approx(0.1)


def test_cosine_falls_after_its_warm_up() -> None:
    factors = [cosine(step, 101, warmup=0.2, final=0.0) for step in range(101)]

    assert factors[20] == max(factors) == 1.0
    assert factors[60] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0, abs=1e-12)
    assert factors[20:] == sorted(factors[20:], reverse=True)


def test_onecycle_rises_to_the_full_rate_and_falls_far_below_its_start() -> None:
    factors = [onecycle(step, 101, warmup=0.3, div=25.0, final_div=1e4) for step in range(101)]

    assert factors[0] == pytest.approx(1 / 25)
    assert factors[15] == pytest.approx((1 / 25 + 1) / 2)
    assert factors[30] == max(factors) == 1.0
    assert factors[65] == pytest.approx((1 + 1e-4) / 2)
    assert factors[100] == pytest.approx(1e-4)


@every_schedule
@pytest.mark.parametrize("total_steps", [1, 2, 3, 10, 997])
def test_factors_are_positive_and_at_most_one(
    schedule: Callable[[int, int], float], total_steps: int
) -> None:
    assert all(0 < schedule(step, total_steps) <= 1 for step in range(total_steps))


@every_schedule
def test_there_are_no_jumps(schedule: Callable[[int, int], float]) -> None:
    factors = [schedule(step, 1000) for step in range(1000)]

    changes = [abs(after - before) for before, after in pairwise(factors)]
    assert max(changes) < 0.011  # a warm-up over 100 steps takes 0.01 a step


@every_schedule
def test_it_goes_by_the_share_of_the_steps(schedule: Callable[[int, int], float]) -> None:
    short = [schedule(step, 1001) for step in range(1001)]
    long = [schedule(10 * step, 10_001) for step in range(1001)]

    assert long == pytest.approx(short, abs=0.01)


@every_schedule
def test_past_the_end_it_stays_where_it_ended(schedule: Callable[[int, int], float]) -> None:
    assert schedule(1234, 1000) == schedule(999, 1000)


@pytest.mark.parametrize(
    ("schedule", "key"),
    [
        (partial(constant, warmup=-0.1), "scheduler.warmup=-0.1"),
        (partial(constant, warmup=1.5), "scheduler.warmup=1.5"),
        (partial(cosine, warmup=float("nan"), final=0.0), "scheduler.warmup=nan"),
        (partial(cosine, warmup=0.0, final=2.0), "scheduler.final=2.0"),
        (partial(onecycle, warmup=2.0, div=25.0, final_div=1e4), "scheduler.warmup=2.0"),
        (partial(onecycle, warmup=0.3, div=0.5, final_div=1e4), "scheduler.div=0.5"),
        (partial(onecycle, warmup=0.3, div=25.0, final_div=0.0), "scheduler.final_div=0.0"),
        (partial(STEPS, warmup=-1.0), "scheduler.warmup=-1.0: must lie between 0 and 1"),
        (partial(STEPS, gamma=0.0), "scheduler.gamma=0.0: must be greater than 0 and at most 1"),
        (partial(STEPS, gamma=1.5), "scheduler.gamma=1.5"),
        (partial(STEPS, milestones=[0.5, 30]), r"scheduler.milestones=\[0.5, 30\]: .* shares"),
        (partial(STEPS, milestones=[0.0]), r"scheduler.milestones=\[0.0\]"),
    ],
)
def test_parameters_out_of_range_are_refused(
    schedule: Callable[[int, int], float], key: str
) -> None:
    with pytest.raises(ConfigError, match=key):
        schedule(0, 100)


def test_step_decay_multiplies_at_each_milestone() -> None:
    factors = [STEPS(step, 100) for step in range(120)]

    assert factors == pytest.approx([1.0] * 50 + [0.1] * 25 + [0.01] * 45)


def test_step_decay_goes_by_the_share_of_the_steps() -> None:
    short = [STEPS(step, 40) for step in range(40)]
    long = [STEPS(10 * step, 400) for step in range(40)]

    assert short == long


def test_the_order_of_milestones_is_of_no_importance() -> None:
    backwards = partial(STEPS, milestones=[0.75, 0.5])

    assert [backwards(step, 9) for step in range(9)] == [STEPS(step, 9) for step in range(9)]


def test_step_decay_warms_up_first() -> None:
    warm = partial(STEPS, warmup=0.2)

    rising = [warm(step, 100) for step in range(21)]
    assert rising == pytest.approx([(step + 1) / 21 for step in range(21)])
    assert warm(60, 100) == pytest.approx(0.1)


def after(schedule: Plateau, errors: list[float]) -> list[float]:
    """The factor in the epoch after each of these errors; an epoch has ten steps."""
    factors = []
    for epoch, error in enumerate(errors, start=1):
        schedule.observe(error, 10 * epoch)
        factors.append(schedule(10 * epoch, 1000))
    return factors


def test_a_plateau_halves_the_rate_once_patience_is_spent() -> None:
    schedule = Plateau(**PLATEAU)

    assert schedule(0, 1000) == 1.0
    assert after(schedule, [3, 2, 2, 2, 2, 2, 1]) == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]


def test_too_small_an_improvement_is_none() -> None:
    schedule = Plateau(**PLATEAU | {"patience": 0, "threshold": 0.1})

    assert after(schedule, [10, 8.9, 8.5, 8.0]) == [1, 1, 0.5, 0.5]


def test_epochs_of_cooling_down_do_not_count() -> None:
    schedule = Plateau(**PLATEAU | {"patience": 0, "cooldown": 2})

    assert after(schedule, [1, 1, 1, 1, 1]) == [1, 0.5, 0.5, 0.5, 0.25]


def test_the_rate_has_a_floor() -> None:
    schedule = Plateau(**PLATEAU | {"patience": 0, "min_factor": 0.3})

    assert after(schedule, [1, 1, 1, 1]) == [1, 0.5, 0.3, 0.3]


def test_the_rate_of_steps_in_the_past_stays_known() -> None:
    schedule = Plateau(**PLATEAU | {"patience": 0})
    after(schedule, [1, 1, 1])

    assert [schedule(step, 1000) for step in (0, 19, 20, 29, 30, 99)] == [
        1,
        1,
        0.5,
        0.5,
        0.25,
        0.25,
    ]


@given(
    errors=st.lists(st.floats(0.01, 1.0), max_size=40),
    factor=st.floats(0.1, 0.9),
    patience=st.integers(0, 3),
    threshold=st.floats(0.0, 0.3),
    cooldown=st.integers(0, 3),
    min_factor=st.floats(0.0, 0.5),
)
def test_a_plateau_is_torchs(errors: list[float], factor: float, **others: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    kept = {key: value for key, value in others.items() if key != "min_factor"}
    theirs = ReduceLROnPlateau(
        optimizer, factor=factor, min_lr=others["min_factor"], eps=0.0, **kept
    )
    ours = Plateau(factor=factor, **others)

    for found, error in zip(after(ours, errors), errors, strict=True):
        theirs.step(error)
        assert found == pytest.approx(optimizer.param_groups[0]["lr"])


@given(errors=st.lists(st.floats(0.1, 1.0), max_size=20), place=st.integers(0, 20))
def test_a_plateau_goes_on_from_its_state(errors: list[float], place: int) -> None:
    whole, first, second = (Plateau(**PLATEAU | {"cooldown": 1}) for _ in range(3))
    after(whole, errors)

    for epoch, error in enumerate(errors, start=1):
        if epoch == place + 1:
            second.load_state_dict(first.state_dict())
        (second if epoch > place else first).observe(error, 10 * epoch)

    ended = second if len(errors) > place else first
    assert ended.state_dict() == whole.state_dict()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"factor": 1.0}, "scheduler.factor=1.0: must be greater than 0 and less than 1"),
        ({"factor": float("nan")}, "scheduler.factor=nan"),
        ({"patience": -1}, "scheduler.patience=-1: must be 0 or a positive number of epochs"),
        ({"threshold": 1.0}, "scheduler.threshold=1.0: must be at least 0 and less than 1"),
        ({"cooldown": -2}, "scheduler.cooldown=-2"),
        ({"min_factor": 2.0}, "scheduler.min_factor=2.0: must lie between 0 and 1"),
    ],
)
def test_a_plateau_refuses_values_out_of_range(changed: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_schedule(partial(Plateau, **PLATEAU | changed))


def test_functions_serve_all_runs_and_an_object_one() -> None:
    plateau = partial(Plateau, **PLATEAU)

    assert make_schedule(STEPS) is STEPS
    assert make_schedule(plateau) is not make_schedule(plateau)
    assert isinstance(make_schedule(plateau), Adaptive)
    assert not isinstance(STEPS, Adaptive)


@pytest.mark.parametrize("name", ["constant", "cosine", "onecycle"])
def test_without_a_config_a_schedule_has_the_configs_numbers(
    name: str, compose: Callable[..., DictConfig]
) -> None:
    schedule = getattr(schedules, name)
    numbers = {k: v for k, v in compose(f"scheduler={name}").scheduler.items() if k[0] != "_"}

    assert schedule.__kwdefaults__ == numbers
