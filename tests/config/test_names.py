"""Names of output folders: readable, unique, valid on any file system."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from activae.config.names import new_dir, register, run_dir, run_name, sweep_dir, varying
from activae.errors import ConfigError

LONG = f"encoder.hidden=[{'4,' * 30}4]"


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("activation=tanh", "activation=tanh"),
        ("activation=tanh,seed=1", "activation=tanh,seed=1"),
        ("activation@encoder.activation=gelu", "activation@encoder.activation=gelu"),
        ("encoder.hidden=[64,32]", "encoder.hidden=[64,32]"),
        ("+optimizer.amsgrad=true", "+optimizer.amsgrad=true"),
        ("data.path=/a/b.npy", "data.path=-a-b.npy"),
        ('data.path="/a/my file.npy"', "data.path=-a-my-file.npy"),
        ("x='a:b*c?<d>|e'", "x=a-b-c-d-e"),
        ("", "defaults"),
    ],
)
def test_a_run_is_named_after_its_overrides(overrides: str, name: str) -> None:
    assert run_name(overrides) == name


@pytest.mark.parametrize("letter", ["a", "é", "層"])
def test_long_overrides_are_cut_to_what_file_systems_take(letter: str, tmp_path: Path) -> None:
    name = run_name(f"x={letter * 500}")

    (tmp_path / f"23-59-59_{name}_2").mkdir()
    assert name.startswith(f"x={letter * 10}")


def test_long_overrides_that_differ_only_at_the_end_have_different_names() -> None:
    names = {run_name(f"x={'a' * 500},seed={seed}") for seed in range(20)}

    assert len(names) == 20


def test_a_name_that_is_cut_keeps_the_seed() -> None:
    long = f"x={'a' * 500},seed=13,trainer.max_epochs=3"

    assert "..,seed=13-" in run_name(long)
    assert len(run_name(long)) == len(run_name(f"x={'a' * 500}"))
    assert run_name(f"seed=13,x={'a' * 500}").startswith("seed=13,x=")


def test_a_second_launch_of_the_same_name_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    wanted = str(tmp_path / "outputs" / "12-00-00_activation=tanh")

    made = [new_dir(wanted) for _ in range(3)]

    assert made == [wanted, f"{wanted}_2", f"{wanted}_3"]
    assert all(Path(folder).is_dir() for folder in made)


def test_a_launch_that_asks_again_gets_the_folder_it_has(tmp_path: Path) -> None:
    register()
    wanted = "${run_dir:${stem},${what},null}"
    launch = {"stem": str(tmp_path / "12-00-00"), "what": "seed=1", "folder": wanted}
    first, second = OmegaConf.create(launch), OmegaConf.create(launch)

    assert first.folder == first.folder
    assert second.folder != first.folder


@pytest.mark.parametrize(
    ("name", "command", "folder"),
    [
        (None, ["activation=relu,tanh", "seed=0,1"], "sweeps/activation=relu,tanh,seed=0,1"),
        (None, ["seed=0,1", "resume=x", "trusted_modules=[a]"], "sweeps/seed=0,1"),
        ("mine", ["seed=0,1", "sweep=mine"], "sweeps/mine"),
        (None, ["trainer=debug", "seed=range(9)", LONG], "sweeps/seed=range-9-"),
        (None, ["trainer=debug", LONG], f"sweeps/{'trainer=debug,' + LONG:.48}-"),
    ],
)
def test_a_sweep_is_named_by_its_command_unless_it_has_a_name(
    name: str | None, command: list[str], folder: str
) -> None:
    found = sweep_dir("sweeps", name, command)

    if folder.endswith("-"):  # what is fixed comes to a hash
        others = [sweep_dir("sweeps", name, [line, "seed=0,1"]) for line in command]
        assert re.fullmatch(rf"{re.escape(folder)}+[0-9a-f]{{8}}", found)
        assert found not in others
    else:
        assert found == folder


def test_the_jobs_of_a_sweep_lie_in_the_sweeps_folder() -> None:
    register()
    sweep = {"command": ["seed=0,1"], "dir": "${sweep_dir:sweeps,null,${command}}"}
    job = sweep | {"command": ["seed=1"]}

    assert OmegaConf.create(sweep).dir == OmegaConf.create(job).dir == "sweeps/seed=0,1"


def test_a_launch_that_resumes_gets_the_folder_of_its_run(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()

    assert run_dir("outputs/12-00-00", "resume=x", str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize("missing", ["nowhere", "."])
def test_nothing_is_made_where_there_is_no_run_to_resume(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match=rf"resume={missing}: .*config\.yaml"):
        run_dir("outputs/12-00-00", f"resume={missing}", missing)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("jobs", "command", "keys"),
    [
        ([["a=1", "seed=0"], ["a=1", "seed=1"]], [], {"seed"}),
        ([["a=1", "seed=0"], ["seed=0"]], [], {"a"}),
        ([["a=1", "seed=0"]], [], set()),
        ([["a=1", "seed=0"]], ["a=1,2", "seed=0", "b=range(3)"], {"a", "b"}),
        ([["~a", "b@c=x"], ["b@c=y"]], [], {"~a", "b@c"}),
    ],
)
def test_what_varies_tells_jobs_apart(
    jobs: list[list[str]], command: list[str], keys: set[str]
) -> None:
    assert varying(jobs, command) == keys
