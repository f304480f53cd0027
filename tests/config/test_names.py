"""Names of output folders: readable, unique, valid on any file system."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from activae.config.names import (
    new_dir,
    register,
    run_dir,
    run_name,
    short_names,
    sweep_dir,
    varying,
)
from activae.errors import ConfigError

LONG = f"encoder.hidden=[{'4,' * 30}4]"


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("activation=tanh", "tanh"),
        ("activation=tanh,seed=1", "tanh,seed=1"),
        ("seed=4,optimizer.lr=0.003,activation=gelu", "gelu,lr=0.003,seed=4"),
        ("data=mnist,activation=gelu,encoding=dim8", "gelu,mnist,dim8"),
        ("activation@encoder.activation=gelu,activation=relu", "relu,encoder.activation=gelu"),
        ("+experiment@_global_=vae,sampler=gmm,seed=1", "vae,sampler=gmm,seed=1"),
        ("corruption=none,regulariser=[kl,mmd]", "corruption=none,regulariser=kl+mmd"),
        ("logger=[tensorboard,csv],seed=1", "logger=tensorboard+csv,seed=1"),
        (
            "+callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping"
            ",+callbacks.stop.monitor=SE/val,seed=1",
            "stop=EarlyStopping,monitor=SE-val,seed=1",
        ),
        ("encoder.hidden=[64,32],seed=1", "hidden=[64,32],seed=1"),
        ("encoder.hidden=[6,3],decoder.hidden=[3,6]", "encoder.hidden=[6,3],decoder.hidden=[3,6]"),
        ("+optimizer.amsgrad=true", "amsgrad=true"),
        ("~callbacks,seed=1", "-callbacks,seed=1"),
        ("data.path=/a/b.npy", "path=-a-b.npy"),
        ('data.path="/a, b/my file.npy"', "path=-a,-b-my-file.npy"),
        ("x='a:b*c?<d>|e'", "x=a-b-c-d-e"),
        ("", "defaults"),
    ],
)
def test_a_run_is_named_after_its_overrides(overrides: str, name: str) -> None:
    assert run_name(overrides) == name


@pytest.mark.parametrize(
    ("keys", "short"),
    [
        (["optimizer.lr", "encoding.dim", "seed"], ["lr", "dim", "seed"]),
        (["encoder.hidden", "decoder.hidden"], ["encoder.hidden", "decoder.hidden"]),
        (["a.b.c", "d.c", "c"], ["b.c", "d.c", "c"]),
        (["encoder.activation"], ["encoder.activation"]),  # `activation` is another key
        (["lr", "optimizer.lr"], ["lr", "optimizer.lr"]),
    ],
)
def test_a_key_goes_by_the_last_parts_that_tell_it_apart(keys: list[str], short: list[str]) -> None:
    assert short_names(keys) == short


@pytest.mark.parametrize("letter", ["a", "é", "層"])
def test_long_overrides_are_cut_to_what_file_systems_take(letter: str, tmp_path: Path) -> None:
    name = run_name(f"x={letter * 500},seed=0")

    (tmp_path / f"23-59-59_{name}_2").mkdir()
    assert name.startswith(f"x={letter * 10}")


def test_long_names_are_cut_in_the_middle_and_differ_as_the_overrides_do() -> None:
    names = [run_name(f"seed={seed},x={'a' * 500}{end}") for seed in (1, 2) for end in "bc"]

    assert len(set(names)) == 4
    assert [name[-7:] for name in names] == [",seed=1"] * 2 + [",seed=2"] * 2
    assert names[0][:-1] == names[2][:-1]  # of one condition


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

    with pytest.raises(ConfigError, match=rf"resume={missing}: .*(config\.yaml|no such folder)"):
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
