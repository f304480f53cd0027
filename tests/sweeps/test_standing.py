"""Where the conditions of a sweep stand while it goes on."""

from __future__ import annotations

from pathlib import Path

from activae.sweeps.job import Job, Outcome
from activae.sweeps.standing import standing


def jobs_of(*conditions: str, seeds: int = 2) -> list[Job]:
    return [
        Job(f"{name}{seed}", 0, (), Path(f"{name},seed={seed}"), {}, {}, name)
        for seed in range(seeds)
        for name in conditions
    ]


def test_the_mean_of_the_seeds_so_far_the_best_first() -> None:
    jobs = jobs_of("tanh", "relu", "gelu")
    scores = {"relu0": 12.0, "relu1": 11.0, "gelu0": 9.5}
    outcomes = {id_: Outcome("completed", score) for id_, score in scores.items()}

    assert standing(jobs, outcomes, 80) == [
        "mean SE/val    seeds  condition",
        "      9.500      1/2  gelu",
        "     11.500      2/2  relu",
        "          -      0/2  tanh",
    ]


def test_conditions_with_runs_that_diverged_come_after_those_without() -> None:
    jobs = jobs_of("relu", "gelu")
    outcomes = {
        "relu0": Outcome("diverged"),
        "relu1": Outcome("completed", 1.0),
        "gelu0": Outcome("completed", 2.0),
    }

    _, first, second = standing(jobs, outcomes, 80)

    assert first.split() == ["2.000", "1/2", "gelu"]
    assert second.split(maxsplit=2) == ["1.000", "1/2", "relu, 1 diverged"]


def test_many_conditions_do_not_fill_the_screen() -> None:
    names = [f"activation_{number},{'hidden=[64,32],' * 9}lr=0.1" for number in range(40)]
    jobs = jobs_of(*names)
    outcomes = {job.id: Outcome("completed", float(job.id.count("1"))) for job in jobs}

    lines = standing(jobs, outcomes, 80, rows=5)

    assert len(lines) == 7
    assert lines[-1].split() == ["and", "35", "more"]
    assert max(map(len, lines)) <= 80


def test_one_condition_has_no_table() -> None:
    assert standing(jobs_of("relu", seeds=9), {}, 80) == []


def test_digits_are_those_of_the_best() -> None:
    jobs = jobs_of("relu", "gelu", seeds=1)

    def means(relu: float, gelu: float) -> list[str]:
        outcomes = {
            "relu0": Outcome("completed", relu),
            "gelu0": Outcome("completed", gelu),
        }
        return [line.split()[0] for line in standing(jobs, outcomes, 80)[1:]]

    assert means(2e5, 5.4971) == ["5.497", "200000.000"]
    assert means(1e-7, 2e-7) == ["1.000e-07", "2.000e-07"]
