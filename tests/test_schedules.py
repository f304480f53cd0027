"""Learning-rate schedules as functions of the step."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import cos, pi

import pytest

from activae.errors import ConfigError
from activae.schedules import constant, cosine, onecycle

SCHEDULES = {
    "constant": partial(constant, warmup=0.1),
    "cosine": partial(cosine, warmup=0.1, final=0.01),
    "onecycle": partial(onecycle, warmup=0.3, div=25.0, final_div=1e4),
}
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


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
    ],
)
def test_parameters_out_of_range_are_refused(
    schedule: Callable[[int, int], float], key: str
) -> None:
    with pytest.raises(ConfigError, match=key):
        schedule(0, 100)
