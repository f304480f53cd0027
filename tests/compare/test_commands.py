"""The commands that an answer shows: what they launch when they are pasted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shlex import split
from typing import Any

import pytest

from activae.compare.answer import Answer, answer
from activae.compare.collect import read_runs
from activae.errors import UserError

WriteRun = Callable[..., Path]
QUICK = ["data=digits", "trainer.max_epochs=3", "encoder.hidden=[16,8]"]
Launched = list[tuple[str, list[str]]]


@pytest.fixture
def swept(write_run: WriteRun, tmp_path: Path) -> Callable[..., Answer]:
    """`swept(launch, ...)`: the answer of a sweep of three activations that was launched so."""

    def answered(*launches: list[str], seeds: int = 7) -> Answer:
        for turn, activation in enumerate(("relu", "gelu", "silu")):
            for seed in range(seeds):
                own = 0.1 * ((seed * (turn + 3)) % 5)
                write_run(f"s/{activation}{seed}", 10 + 0.15 * turn + own, activation, seed=seed)
        (tmp_path / "s/sweep.json").write_text(json.dumps({"commands": launches, "jobs": {}}))
        return answer(read_runs([tmp_path / "s"]))

    return answered


@pytest.fixture
def pasted(
    train_py: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Launched]:
    """`pasted(said)`: the folder and the conditions of each launch of the command that it ends in.

    Nothing is trained.
    """
    launched: Launched = []

    def note(loader: Any, config: Any, conditions: list[list[str]]) -> None:
        for lines in conditions:
            loader.load_sweep_config(config, list(lines))  # all of them can be
        launched.append((str(config.hydra.sweep.dir), [" ".join(lines) for lines in conditions]))

    def launch(context: Any, config: Any, overrides: Any, *_: Any) -> list[Any]:
        note(context.config_loader, config, overrides)
        return []

    def tune(loader: Any, config: Any, launcher: Any, grid: Any, lines: list[str]) -> None:
        found, _, scoring = tuning.planned(loader, config, grid, lines)
        assert len(scoring) == 12
        note(loader, config, [list(each.overrides) for each in found])

    from activae.sweeps import tuning

    monkeypatch.setattr("activae.sweeps.launch.launch", launch)
    monkeypatch.setattr("activae.sweeps.tuning.tune", tune)

    def run(said: str) -> Launched:
        for command in said[said.index("python train.py") :].split(" && "):
            outcome = train_py(*split(command)[2:])
            assert outcome.code == 0, outcome.text
        return launched

    return run


def lr_caveat(found: Answer) -> str:
    return next(caveat for caveat in found.caveats if "tuned for none of them" in caveat)


def test_tuning_keeps_all_else_of_the_sweep(
    swept: Callable[..., Answer], pasted: Callable[[str], Launched]
) -> None:
    found = swept(["sweep=s", "activation=relu,gelu,silu", *QUICK, "seed=range(7)"])
    [(folder, conditions)] = pasted(lr_caveat(found))
    assert folder != "outputs/sweeps/s"
    assert [each.split()[1] for each in conditions] == [
        f"activation={name}" for name in ("relu", "gelu", "silu")
    ]
    assert all(set(QUICK) < set(each.split()) for each in conditions)


def test_tuning_keeps_the_experiment(
    swept: Callable[..., Answer], pasted: Callable[[str], Launched]
) -> None:
    found = swept(["experiment=article", "activation=relu,gelu,silu", "optimizer.lr=0.01"])
    [(_, conditions)] = pasted(lr_caveat(found))
    assert all("experiment=article" in each for each in conditions)


def test_functions_of_ones_own_are_tuned_beside_others(
    swept: Callable[..., Answer], pasted: Callable[[str], Launched]
) -> None:
    own = ["sweep=s", "activation=custom", "activation.function=torch.sin,torch.cos", *QUICK]
    found = swept(["sweep=s", "activation=relu,gelu", *QUICK], own)
    first, second = pasted(lr_caveat(found))
    assert first[0] == second[0] == "outputs/sweeps/s_tuned"
    assert [len(conditions) for _, conditions in (first, second)] == [2, 2]
    assert "activation.function=torch.cos" in second[1][1]


def test_more_seeds_are_for_the_conditions_of_all_launches(
    swept: Callable[..., Answer], pasted: Callable[[str], Launched]
) -> None:
    found = swept(
        ["sweep=s", "activation=relu", *QUICK, "seed=0"],
        ["sweep=s", "activation=relu,gelu", *QUICK, "seed=range(7)"],
        ["sweep=s", "activation=silu", *QUICK, "seed=range(7)"],
    )
    [(folder, jobs)] = pasted(found.plan[0])
    assert folder == "outputs/sweeps/s"
    seeds = 7 + int(found.plan[0].split()[0])
    assert len(jobs) == 3 * seeds
    assert all(set(QUICK) < set(each.split()) for each in jobs)


def test_samplers_that_are_no_part_of_a_run_become_the_last_one(
    swept: Callable[..., Answer], pasted: Callable[[str], Launched]
) -> None:
    conditions = "activation=relu,gelu,silu"
    launches = ([conditions, *QUICK, f"sampler={kind}", "seed=range(3)"] for kind in ("gmm", "kde"))
    found = swept(*launches, seeds=3)
    for said in (
        next(line for line in found.caveats if "can reach no p" in line),
        next(line for line in found.caveats if "tuned for none" in line),
    ):
        assert "sampler=kde" in said
        assert "gmm" not in said
        assert "&&" not in said
    ((_, jobs),) = pasted(next(line for line in found.caveats if "can reach no p" in line))
    assert len(jobs) == 3 * 12


def test_too_few_seeds_come_with_the_command_for_twelve(
    swept: Callable[..., Answer], pasted: Callable[[str], Launched]
) -> None:
    found = swept(["sweep=s", "activation=relu,gelu,silu", *QUICK, "seed=range(2)"], seeds=2)
    [(_, jobs)] = pasted(next(each for each in found.caveats if "can reach no p" in each))
    assert len(jobs) == 3 * 12


def test_of_runs_that_no_sweep_made_there_is_no_command(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for name in ("relu", "gelu"):
        write_run(name, 1, name)
    assert lr_caveat(answer(read_runs([tmp_path]))).endswith("by experiment=compare_activations")


class TestOfASearch:
    """Trials are no comparison; what to run for one."""

    @pytest.fixture
    def searched(self, write_run: WriteRun, tmp_path: Path) -> Callable[..., Path]:
        """`searched(*space, best=...)`: the folder of a search with two trials."""

        def write(*space: str, best: str) -> Path:
            for turn, lr in enumerate((0.123, 0.0045)):
                write_run(f"s/{turn}", turn, ("relu", "gelu")[turn], **{"optimizer.lr": lr})
            launch = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", *space, *QUICK]
            (tmp_path / "s/sweep.json").write_text(json.dumps({"commands": [launch], "jobs": {}}))
            (tmp_path / "s/optimization_results.yaml").write_text(f"best_params: {best}\n")
            return tmp_path / "s"

        return write

    def test_activations_are_compared_each_with_its_own_rate(
        self, searched: Callable[..., Path], pasted: Callable[[str], Launched]
    ) -> None:
        lr = "optimizer.lr=tag(log,interval(1e-4,1e-1))"
        folder = searched("activation=choice(relu,gelu)", lr, best="{activation: relu}")
        [(_, conditions)] = pasted(answer(read_runs([folder])).caveats[0])
        assert [each.split()[1] for each in conditions] == ["activation=relu", "activation=gelu"]
        assert all(set(QUICK) < set(each.split()) for each in conditions)

    def test_of_other_keys_the_best_trial_is_scored(
        self, searched: Callable[..., Path], pasted: Callable[[str], Launched]
    ) -> None:
        best = "{encoding.dim: 8, optimizer.lr: 0.0123}"
        space = ("encoding.dim=range(8,65,8)", "optimizer.lr=interval(0.001,0.1)")
        [(_, jobs)] = pasted(answer(read_runs([searched(*space, best=best)])).caveats[0])
        assert len(jobs) == 12
        assert {"encoding.dim=8", "optimizer.lr=0.0123", "seed=100"} < set(jobs[0].split())

    def test_where_nothing_can_be_compared_that_is_said_first(
        self, searched: Callable[..., Path], write_run: WriteRun
    ) -> None:
        folder = searched("activation=relu,gelu", best="{activation: relu}")
        write_run("s/more", 1, "gelu", **{"optimizer.lr": 0.2})
        with pytest.raises(UserError, match=r"s holds the trials of a search.*python train\.py -m"):
            answer(read_runs([folder]))

    def test_what_was_asked_wrongly_is_said_too(self, searched: Callable[..., Path]) -> None:
        folder = searched("activation=relu,gelu", best="{activation: relu}")
        with pytest.raises(UserError, match=r"--by colour: .*\n.*trials of a search"):
            answer(read_runs([folder]), by=["colour"])


def test_runs_that_have_not_begun_are_counted(swept: Callable[..., Answer], tmp_path: Path) -> None:
    found = swept(["experiment=compare_quick", "sweep=s"])
    assert f"{tmp_path / 's'} is still tuning" in found.caveats[0]
    record = tmp_path / "s/sweep.json"
    jobs = {str(number): {"folder": f"relu{number}"} for number in range(10)}  # seven have begun
    record.write_text(json.dumps({"commands": [], "jobs": jobs}))
    first, *_ = answer(read_runs([tmp_path / "s"])).caveats
    assert first.startswith("3 of 10 runs of ")
    (tmp_path / "s/relu9").mkdir()
    (tmp_path / "s/relu9/FAILED").write_text("seed=x: must be a whole number")  # its sweep told it
    first, *_ = answer(read_runs([tmp_path / "s"])).caveats
    assert first.startswith("2 of 10 runs of ")
