"""`resume=SWEEP` of a folder from anybody runs no code of its own, and writes nothing outside."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from activae.errors import ConfigError
from activae.sweeps.folder import SweepFolder
from activae.sweeps.resuming import commands_of
from activae.training.module import Interrupted

TrainPy = Callable[..., Any]

QUICK = ("trainer=debug", "logger=minimal", "data.train_fraction=0.1", "encoding=dim2")
# `activation.function` calls it with the numbers it is tried on: the file is the evidence.
EVIL = "open(__file__ + '.canary', 'w').close()\ndef f(x, **_):\n    return x\n\nclass F: ...\n"
TARGET = "outputs.sweeps.gift.evil"


@pytest.fixture
def gift(tmp_path: Path) -> Path:
    """A sweep's folder with a module of its own, below the working folder."""
    folder = tmp_path / "outputs" / "sweeps" / "gift"
    folder.mkdir(parents=True)
    (folder / "evil.py").write_text(EVIL)
    return folder


def fill(folder: Path, *lines: str, jobs: Any = None) -> None:
    record = {"commands": [[*QUICK, "seed=0", *lines]], "jobs": jobs or {}}
    (folder / "sweep.json").write_text(json.dumps(record))


def launched(folder: Path, *lines: str, given: Sequence[str] = ()) -> list[str]:
    """What of the lines is launched again."""
    fill(folder, *lines)
    [command] = commands_of(folder, given).commands
    return command[2 + len(QUICK) : len(command) - 2 - len(given)]


def assert_untouched(gift: Path) -> None:
    """No module of the folder was imported, and nothing was written beside it."""
    assert not list(gift.rglob("*.canary"))
    assert not any("gift" in name for name in sys.modules)
    assert [path.name for path in gift.parent.iterdir()] == ["gift"]


@pytest.mark.parametrize(
    "lines",
    [
        (f"activation._target_={TARGET}.F",),
        ("activation=custom", f"activation.function={TARGET}.f"),
        ("activation=custom", f"activation.function={TARGET}.f", f"trusted_modules=[{TARGET}]"),
        ("activation=custom", "activation.function=pydoc.pipepager"),
        ("+regulariser.zz={_target_: activae.activations.Custom, function: pydoc.pipepager}",),
        (f"+callbacks.zz._target_={TARGET}.F",),
    ],
)
def test_names_are_checked_before_anything_is_imported(
    lines: Sequence[str], gift: Path, train_py: TrainPy
) -> None:
    fill(gift, *lines)

    outcome = train_py("resume=outputs/sweeps/gift")

    assert outcome.code == 1
    assert "may name only what is in" in " ".join(outcome.text.split())
    assert "Traceback" not in outcome.text
    assert_untouched(gift)


def test_the_working_folder_is_no_import_path_for_them(gift: Path, train_py: TrainPy) -> None:
    fill(gift)

    train_py("resume=outputs/sweeps/gift", "hydra.launcher.workers=nonsense")

    assert str(gift.parents[2]) not in sys.path


@pytest.mark.parametrize(
    "line",
    [
        "+trusted_modules.0=os",
        "hydra.sweeper.params.seed='${oc.decode:1}'",
        "hydra.sweeper.params.seed=${seed}",
        "hydra.sweeper.params={data.split_seed: '${seed}'}",
        "data.split_seed=${oc.env:HOME}",
        "data.split_seed=${oc.env:HOME,1}",
        "data.split_seed=${oc.create:{a:1}}",
        "data.split_seed=${oc.select:seed}",
        "data.split_seed=${hydra.job.num}",
        "data.path=${hydra.runtime.cwd}",
        "data.split_seed=${trusted_modules}",
        "data.split_seed=${seed}${seed}",
        "data.split_seed=${${seed}}",
        "data.split_seed=${data.${seed}}",
        "data.split_seed=${.seed}",
        "data.split_seed=${..seed}",
        "data.split_seed=${seed:}",
        "data.split_seed=${ seed }",
        "data.split_seed=${data[seed]}",
        "data.split_seed=${seed},${oc.env:HOME}",
        "data.split_seed=$\\{seed\\}",
        "data.path=a/${seed}",
        "data.path='${seed}'",
        "activation=${sweep}",
        "activation@encoder.activation=${sweep}",
        "experiment=${data.path}",
        "+evil.key=${seed}",
        "--info",
        "-m",
        "encoding.dim=$\\{seed\\}",
        "+regulariser.zz=${oc.create:${oc.decode:'{a: 1}'}}",
        "encoder.hidden=[${encoding.dim}]",
        "activation=../../outputs/sweeps/gift/evil",
        "activation=/somewhere/evil",
        "+evil/group=../evil",
        "activation=relu,/somewhere/evil",
        "activation@hydra.callbacks.zz=custom",
        "activation@_global_=custom",
        "activation@trusted_modules=custom",
        "+unheard.of=1",
        "hydra/launcher=evil",
        "hydra/sweeper=../evil",
        "hydra.searchpath=[file:///somewhere]",
        "hydra.sweeper.storage=sqlite:////somewhere/else.db",
        "hydra.sweeper.key=hydra.launcher.workers",
        "hydra.sweeper.params={hydra/callbacks: evil}",
        "hydra.sweeper.params.activation=../evil",
        "hydra.sweeper.params.trusted_modules=evil",
        "no override",
        "a=[",
    ],
)
def test_a_folder_may_give_plain_values_alone(line: str, gift: Path) -> None:
    with pytest.raises(ConfigError, match=r"^resume=.*: its sweep\.json holds .* may not say"):
        launched(gift, line)


@pytest.mark.parametrize(
    "line",
    [
        "trusted_modules=[os]",
        "++trusted_modules=[os]",
        "resume=elsewhere",
        "hydra=evil",
        "hydra.launcher.workers=${regulariser.zz}",
        "hydra.launcher.workers=$\\{regulariser.zz\\}",
        "hydra.sweep.subdir=mine-${hydra.job.num}",
        "hydra/callbacks=evil",
        "+hydra/callbacks@hydra.launcher.workers=evil",
        "hydra.launcher._target_=os.system",
        "+hydra.launcher._target_=os.system",
        "++hydra.launcher._target_=os.system",
        "hydra.launcher={_target_: os.system}",
        "hydra.launcher.workers={_target_: os.system}",
        "hydra.launcher.workers=[{_target_: os.system}]",
        "hydra.launcher.init.address='ray://elsewhere:10001'",
        "+hydra.launcher.setup=['touch /somewhere']",
        "+hydra.launcher.additional_parameters.output=/somewhere",
        "+hydra.launcher.additional_parameters.account='ours --output=x'",
        "hydra.launcher.partition='a --output=x'",
        "+hydra.callbacks.zz._target_=os.system",
        "hydra.sweep.dir=/somewhere",
        "hydra.run.dir=/somewhere",
        "hydra.job_logging.handlers.file.filename=/somewhere",
        "~hydra/launcher",
    ],
)
def test_how_it_runs_is_for_the_user_to_say(line: str, gift: Path) -> None:
    assert launched(gift, line) == []


@pytest.mark.parametrize(
    "line",
    [
        "activation=relu,tanh",
        "seed=range(10)",
        "+seed=1",
        "data.split_seed=${seed}",
        "+data.split_seed=${seed}",
        "scheduler.warmup=${optimizer.lr}",
        "optimizer.lr=1e-3,1e-4",
        "optimizer.lr=tag(log,interval(1e-4,1e-1))",
        "activation@encoder.activation=gelu",
        "regulariser=[code_l1,contractive]",
        "experiment=tune_lr",
        "race.minutes=30",
        "hydra/sweeper=race",
        "activation=glob(*,exclude=custom)",
        "encoder.hidden=[512,128]",
        "data.path='../my data/a=b.csv'",
        "+activation.kwargs={beta: 2}",
        "~regulariser",
        "hydra/launcher=slurm",
        "hydra/sweeper=optuna",
        "hydra.launcher.workers=2",
        "hydra.launcher.compile=null",
        "hydra.launcher.partition=gpu-long",
        "+hydra.launcher.additional_parameters.account=ours",
        "+hydra.sweeper.pruner.max_resource=6",
        "hydra.sweeper.sampler.name=random",
        "hydra.sweeper.seeds=[5,6]",
        "hydra.sweeper.key=optimizer.lr",
        "hydra.sweeper.params={activation: 'relu,tanh'}",
        "+hydra.sweeper.params.seed='0,1'",
    ],
)
def test_what_sweeps_are_launched_with_is_launched_again(line: str, gift: Path) -> None:
    assert launched(gift, line) == [line]


def test_what_is_referred_to_is_checked_as_any_other_value(gift: Path, train_py: TrainPy) -> None:
    named = ("+regulariser.zz.x={_target_: pydoc.pipepager, _partial_: true}",)

    for line in ("activation._target_=${sweep}", "+callbacks.zz=${regulariser.zz.x}"):
        fill(gift, *named, "sweep=pydoc.pipepager", line)
        refused = train_py("resume=outputs/sweeps/gift")
        assert refused.code == 1
        assert "may name only what is in" in " ".join(refused.text.split())
    assert_untouched(gift)


def test_a_value_that_refers_to_itself_is_one_message(gift: Path, train_py: TrainPy) -> None:
    fill(gift, "data.split_seed=${data.split_seed}")

    refused = train_py("resume=outputs/sweeps/gift")

    assert refused.code == 1
    assert "Traceback" not in refused.text


def test_what_is_left_out_is_said(gift: Path, train_py: TrainPy) -> None:
    left = "+hydra.callbacks.mine._target_=mine.Callback"
    fill(gift, left, "hydra.launcher.workers=1", "trusted_modules=[os]", "hydra.verbose=true")

    again = commands_of(gift, ["hydra.verbose=false"])
    resumed = train_py("resume=outputs/sweeps/gift", "hydra.verbose=false")

    assert again.left_out == [left]
    assert resumed.code == 0, resumed.text
    assert resumed.text.count("left out, as a sweep's folder cannot vouch for it") == 1
    assert left in resumed.text
    fill(gift, "hydra.launcher.workers=1")
    assert "left out" not in train_py("resume=outputs/sweeps/gift").text


def test_a_sweep_that_draws_its_split_with_the_seed_is_resumed(
    sweep: Callable[..., Any], train_py: TrainPy, tmp_path: Path
) -> None:
    assert sweep("seed=0,1", "data.split_seed=${seed}").code == 0
    done = sorted((tmp_path / "outputs" / "sweeps" / "s").glob("*/DONE"))
    done[1].unlink()

    resumed = train_py("resume=outputs/sweeps/s")

    assert resumed.code == 0, resumed.text
    assert "2 runs, 1 to train, 1 done" in resumed.text
    assert done[1].exists()


@pytest.mark.parametrize("flag", ["--config-dir", "--config-path", "-cn"])
def test_a_folder_names_no_configs(flag: str, gift: Path) -> None:
    for lines in ((f"{flag}=/somewhere",), (flag, "/somewhere")):
        with pytest.raises(ConfigError, match="If you know them, say so"):
            launched(gift, *lines)


def test_what_the_user_says_himself_takes_the_place_of_what_the_folder_says(gift: Path) -> None:
    own = "hydra.sweeper.storage=sqlite:///own.db"

    assert launched(gift, "hydra.sweeper.storage=sqlite:///other.db", given=[own]) == []
    assert commands_of(gift, [own]).commands[0][-1] == own


@pytest.mark.parametrize("name", ["../x", "..", ".", "", "a/../../x", "/somewhere", "away"])
def test_run_folders_stay_below_the_sweeps(name: str, gift: Path, tmp_path: Path) -> None:
    (gift / "away").symlink_to(tmp_path)
    fill(gift, jobs={"0123": {"folder": name, "overrides": []}})

    for act in (SweepFolder(gift).index, lambda: SweepFolder(gift).enrol([], {})):
        with pytest.raises(ConfigError, match="is not below the sweep's folder"):
            act()
    fill(gift)
    with pytest.raises(ConfigError, match="is not below the sweep's folder"):
        SweepFolder(gift).enrol([], {"0123": (name, [])})
    assert SweepFolder(gift).index()["jobs"] == {}


def test_locks_are_not_taken_through_a_link(gift: Path, tmp_path: Path) -> None:
    (gift / ".claims").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigError, match=r"'\.claims' is not below"):
        SweepFolder(gift).enrol([], {})

    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["multirun.yaml", "study.db", "run/train.log", "run/checkpoints"])
def test_nothing_is_written_through_a_link(
    name: str, gift: Path, tmp_path: Path, train_py: TrainPy
) -> None:
    outside = tmp_path / ".bashrc"
    outside.write_text("mine")
    fill(gift, jobs={"0123": {"folder": "run", "overrides": []}})
    (gift / name).parent.mkdir(exist_ok=True)
    (gift / name).symlink_to(outside)

    train_py("resume=outputs/sweeps/gift").assert_one_error(name, "the link that leads away")

    assert outside.read_text() == "mine"
    (gift / name).unlink()
    (gift / name).symlink_to(gift / "evil.py")  # a link within the folder does no harm
    assert commands_of(gift, []).commands != []


@pytest.mark.parametrize(
    "record",
    [
        [],
        {"commands": "seed=0", "jobs": {}},
        {"commands": ["seed=0"], "jobs": {}},
        {"commands": [[0]], "jobs": {}},
        {"commands": [], "jobs": []},
        {"commands": [], "jobs": {"a": "b"}},
        {"commands": [], "jobs": {"a": {"folder": 1, "overrides": []}}},
        {"commands": [], "jobs": {"a": {"folder": "x", "overrides": "seed=0"}}},
        {"commands": [], "jobs": {"a": {"folder": "x\0", "overrides": []}}},
    ],
)
def test_a_record_of_another_shape_is_damaged(record: Any, gift: Path) -> None:
    (gift / "sweep.json").write_text(json.dumps(record))

    with pytest.raises(ConfigError, match=r"sweep\.json: is damaged"):
        commands_of(gift, [])


@pytest.fixture
def extra(tmp_path: Path) -> Path:
    """A folder of configs of the user's own."""
    folder = tmp_path / "extra" / "activation"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(
        "_target_: torch.nn.LeakyReLU\n_partial_: true\nnegative_slope: 0.4\n"
    )
    return folder.parent


def test_a_sweep_with_configs_of_the_users_own_resumes_once_he_names_them(
    extra: Path, train_py: TrainPy, tmp_path: Path
) -> None:
    sweep = tmp_path / "outputs" / "sweeps" / "ex"
    own = ("--config-dir", "extra")
    launch = ("-m", "sweep=ex", *QUICK, "activation=mine", "seed=0", "hydra.launcher.workers=1")
    assert train_py(*own, *launch).code == 0
    [done] = sweep.glob("*/DONE")
    done.unlink()

    outcome = train_py("resume=outputs/sweeps/ex")

    command = f"python train.py --config-dir={extra} resume=outputs/sweeps/ex"
    outcome.assert_one_error(command)
    assert not done.exists()

    for given in (own, (f"--config-dir={extra}",), ("-cd", "extra")):
        resumed = train_py(*given, "resume=outputs/sweeps/ex")
        assert resumed.code == 0, resumed.text
    assert done.exists()
    assert len(json.loads((sweep / "sweep.json").read_text())["commands"]) == 1


def test_the_users_own_module_is_trusted_at_each_resume(train_py: TrainPy, tmp_path: Path) -> None:
    (tmp_path / "my_safe_one.py").write_text("def f(x):\n    return x * x.sigmoid()\n")
    own = ("activation=custom", "activation.function=my_safe_one.f", "seed=0")
    launch = ("-m", "sweep=s", *QUICK, *own, "hydra.launcher.workers=1")
    assert train_py(*launch, "trusted_modules=[my_safe_one]").code == 0
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    [done] = sweep.glob("*/DONE")
    done.unlink()

    refused = train_py("resume=outputs/sweeps/s")

    assert (refused.code, done.exists()) == (1, False)
    assert "'trusted_modules=[my_safe_one]'" in refused.text
    resumed = train_py("resume=outputs/sweeps/s", "trusted_modules=[my_safe_one]")
    assert resumed.code == 0, resumed.text
    assert done.exists()
    assert len(json.loads((sweep / "sweep.json").read_text())["commands"]) == 1


def test_an_interruption_says_all_that_the_user_has_to_vouch_for(
    extra: Path, train_py: TrainPy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise Interrupted

    (tmp_path / "my_other_one.py").write_text("def f(x):\n    return x * x.sigmoid()\n")
    monkeypatch.setattr("activae.results.run.train_settled", interrupted)
    own = ("activation=mine", "activation@output.activation=custom", "sweep=s")
    function = "output.activation.function=my_other_one.f"
    outcome = train_py(
        "--config-dir", "extra", "-m", *QUICK, *own, function, "hydra.launcher.workers=1"
    )

    assert outcome.code == 130
    vouched = f"--config-dir={extra} resume=outputs/sweeps/s 'trusted_modules=[my_other_one]'"
    assert f"continue with: python train.py {vouched}\n" in outcome.text
