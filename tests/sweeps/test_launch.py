"""A sweep from the command line: what it trains, what it leaves, what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from activae.compare.report.pictures import last_picture
from activae.training.module import Interrupted

QUICK = ("trainer=debug", "logger=minimal", "data.train_fraction=0.1")
ONE = "hydra.launcher.workers=1"

TrainPy = Callable[..., Any]
Folders = Callable[..., dict[str, Path]]


def steps_taken(folder: Path) -> float:
    """When the run's metrics were written: changes if it was trained again."""
    return (folder / "metrics.json").stat().st_mtime_ns


def test_every_job_leaves_the_folder_that_a_run_of_its_own_leaves(
    train_py: TrainPy, sweep: Callable[..., Any], tmp_path: Path, folders: Folders
) -> None:
    assert sweep("activation=relu,tanh", "seed=0,1").code == 0
    assert train_py(*QUICK, "activation=tanh", "seed=1", "hydra.run.dir=alone").code == 0

    member, alone = folders()["activation=tanh,seed=1"], tmp_path / "alone"
    assert files(member) == files(alone)
    assert len(folders()) == 4
    of_member, of_alone = (json.loads((f / "metrics.json").read_text()) for f in (member, alone))
    assert of_member["test"] == pytest.approx(of_alone["test"], rel=1e-4)
    assert of_member.keys() == of_alone.keys()
    settings = [OmegaConf.load(folder / "config.yaml") for folder in (member, alone)]
    assert settings[0].pop("sweep") == "s"
    settings[1].pop("sweep")
    assert settings[0] == settings[1]
    assert settings[0].choices.activation == "tanh"
    recorded = [OmegaConf.load(folder / ".hydra" / "config.yaml") for folder in (member, alone)]
    assert recorded[0].activation == recorded[1].activation
    assert "SE/val" not in (member / "train.log").read_text().split("\n")[0]
    assert not (tmp_path / "outputs/sweeps/s/summary").exists()  # with logger=minimal


def test_the_end_of_a_sweep_says_each_thing_once_and_only_what_is_so(
    sweep: Callable[..., Any],
) -> None:
    """Loggers are no condition; a job with a mistake has failed; nobody asked for TensorBoard."""
    ended = sweep("logger=minimal,csv", "seed=0,-1", ONE)

    assert ended.code == 1
    assert "2 of the sweep's jobs failed" in ended.text
    for absent in ("have not begun", "look   tensorboard", "mean SE/val", "logger=csv  "):
        assert absent not in ended.text.replace("logger=csv,seed=", "")


def test_samplers_make_runs_of_their_own_where_samples_are_scored(
    sweep: Callable[..., Any], folders: Folders
) -> None:
    data = ("data=random", "data.source.samples=800", "data.source.features=6", "encoding.dim=2")
    several = (*data, "sampler=gaussian,kde", "seed=0", ONE)
    sweep(*several).assert_one_error("keeps one; give one here", "With score.samples=true each")

    assert sweep(*several, "score.samples=true").code == 0

    scored = {
        name: json.loads((folder / "metrics.json").read_text())
        for name, folder in folders().items()
    }
    assert [each["samples"]["sampler"].split()[0] for _, each in sorted(scored.items())] == [
        "gaussian",
        "kde",
    ]
    assert len({each["test"]["SE"] for each in scored.values()}) == 1
    assert len({each["id"] for each in scored.values()}) == 2


def test_a_sampler_fitted_to_a_finished_run_draws_its_picture_anew(
    sweep: Callable[..., Any], folders: Folders
) -> None:
    light = ("logger=tensorboard", "logger.projector_samples=0", "logger.snapshots=0")
    images = (*light, "data=digits", "seed=0", ONE)
    drawn = []
    for sampler in ("gaussian", "kde", "kde"):
        assert sweep(*images, f"sampler={sampler}").code == 0
        (folder,) = folders().values()
        (file,) = folder.glob("*tfevents*")
        drawn.append(last_picture(folder, "samples"))
        assert file.stat().st_mtime_ns > (folder / "sampler.pt").stat().st_mtime_ns

    assert None not in drawn
    assert drawn[0] != drawn[1]
    assert drawn[1] == drawn[2]


def test_tensorboards_hparams_page_is_told_once_what_varies(
    sweep: Callable[..., Any], tmp_path: Path, folders: Folders
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.metadata import parse_experiment_plugin_data

    light = ("logger=tensorboard", "logger.projector_samples=0", "logger.snapshots=0")
    assert sweep(*light, "optimizer.lr=1e-3,1e-2", "encoding.dim=2", "seed=0").code == 0

    def told(folder: Path) -> dict[str, bytes]:
        return dict(EventAccumulator(str(folder)).Reload().PluginTagToContent("hparams"))

    summary = told(tmp_path / "outputs/sweeps/s/summary")
    experiment = parse_experiment_plugin_data(summary["_hparams_/experiment"])
    assert [info.name for info in experiment.hparam_infos] == ["lr"]
    assert experiment.metric_infos[0].name.tag == "test/SE"
    for folder in folders().values():
        assert set(told(folder)) == {"_hparams_/session_start_info", "_hparams_/session_end_info"}
        assert len(list(folder.rglob("*tfevents*"))) == 1


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_the_same_command_again_trains_nothing(sweep: Callable[..., Any], folders: Folders) -> None:
    first = sweep("seed=0,1")
    before = {name: steps_taken(folder) for name, folder in folders().items()}

    again = sweep("seed=0,1")

    assert (first.code, again.code) == (0, 0)
    assert "2 runs, 0 to train, 2 done" in again.text
    assert {name: steps_taken(folder) for name, folder in folders().items()} == before


def test_a_larger_grid_under_the_same_name_adds_what_is_new(
    sweep: Callable[..., Any], folders: Folders
) -> None:
    sweep("seed=0,1")
    before = {name: steps_taken(folder) for name, folder in folders().items()}

    # The same config said in other words is the same run.
    outcome = sweep("optimizer.lr=0.005,0.002", "seed=0,1,2", "activation=relu")

    assert outcome.code == 0
    assert "6 runs, 4 to train, 2 done" in outcome.text
    after = folders()
    assert len(after) == 6
    assert {name: steps_taken(after[name]) for name in before} == before


def test_a_sweep_without_a_name_is_found_again_by_its_command(train_py: TrainPy) -> None:
    train_py("-m", *QUICK, ONE, "seed=0,1")

    assert "2 runs, 0 to train" in train_py("-m", *QUICK, ONE, "seed=0,1").text
    assert "1 run, 1 to train" in train_py("-m", *QUICK, ONE, "seed=1").text


def test_where_it_runs_makes_it_no_other_run(sweep: Callable[..., Any]) -> None:
    sweep("seed=0")

    for place in ("trainer.threads=1", "data.root=elsewhere", "logger.progress_bar=false"):
        assert "0 to train" in sweep("seed=0", place).text


def test_resuming_a_sweep_finishes_it(
    train_py: TrainPy, sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    from activae.results import run as training

    trained, train_settled = [], training.train_settled

    def interrupted_at_the_second(cfg: Any, folder: Path, shared: Any) -> Any:
        trained.append(folder)
        if len(trained) == 2:
            raise Interrupted
        return train_settled(cfg, folder, shared)

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_settled", interrupted_at_the_second)
        outcome = sweep("seed=0,1,2")

    assert outcome.code == 130
    assert "continue with: python train.py resume=outputs/sweeps/s\n" in outcome.text
    assert not (folders()["seed=1"] / "DONE").exists()

    resumed = train_py("resume=outputs/sweeps/s")

    assert resumed.code == 0, resumed.text
    assert "3 runs, 2 to train, 1 done" in resumed.text
    assert all((folder / "DONE").exists() for folder in folders().values())


def test_a_resumed_sweep_takes_nothing_else(train_py: TrainPy, sweep: Callable[..., Any]) -> None:
    sweep("seed=0")

    outcome = train_py("resume=outputs/sweeps/s", "seed=5")

    outcome.assert_one_error("seed=5", "resume=outputs/sweeps/s", "larger grid")


def names(folder: Path) -> list[str]:
    return sorted(config.parent.name for config in folder.glob("*/config.yaml"))


def test_folders_are_named_by_what_varies_also_when_the_sweep_grows(
    sweep: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "outputs" / "sweeps" / "s"
    sweep("seed=3")
    [one] = names(folder)
    assert one.startswith("train_fraction=0.1,")
    assert one.endswith(",trainer=debug,seed=3")

    sweep("seed=0,1")
    assert names(folder) == ["seed=0", "seed=1", one]
    outcome = sweep("activation=relu,tanh", "seed=0,1")

    assert "4 runs, 2 to train, 2 done" in outcome.text  # relu is the default
    grown = [f"tanh,seed={seed}" for seed in (0, 1)]
    assert names(folder) == sorted([one, "seed=0", "seed=1", *grown])

    (folder / "sweep.json").unlink()
    old = "activation=tanh,seed=0"  # as older versions called it
    (folder / grown[0]).rename(folder / old)
    again = sweep("seed=0,1,3", "activation=relu,tanh")

    assert "6 runs, 1 to train, 5 done" in again.text
    assert names(folder) == sorted([old, one, "seed=0", "seed=1", grown[1], "tanh,seed=3"])


def test_a_subdir_of_the_users_own_is_obeyed(sweep: Callable[..., Any], tmp_path: Path) -> None:
    outcome = sweep("seed=0,1", "hydra.sweep.subdir=mine-${hydra.job.num}")

    assert outcome.code == 0, outcome.text
    assert names(tmp_path / "outputs" / "sweeps" / "s") == ["mine-0", "mine-1"]


def test_a_callback_of_the_users_own_is_called_around_each_job(
    sweep: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "noting_callback.py").write_text(
        "from hydra.experimental.callback import Callback\n"
        "class Noting(Callback):\n"
        "    def on_job_start(self, config, **_):\n"
        "        with open('noted', 'a') as f: print('starts', config.seed, file=f)\n"
        "    def on_job_end(self, config, **_):\n"
        "        with open('noted', 'a') as f: print('ends', config.seed, file=f)\n"
    )

    outcome = sweep("seed=0,1", "+hydra.callbacks.mine._target_=noting_callback.Noting")

    assert outcome.code == 0, outcome.text
    assert (tmp_path / "noted").read_text() == "starts 0\nends 0\nstarts 1\nends 1\n"


def test_it_ends_with_the_verdict(train_py: TrainPy) -> None:
    outcome = train_py("-m", *QUICK, "sweep=told", "activation=relu,gelu", "seed=0,1")
    assert outcome.code == 0
    assert "answer no clear winner: 2 seeds can show none; " in outcome.text
    assert "more: python scripts/compare.py outputs/sweeps/told" in outcome.text


def test_one_config_by_two_names_is_told_of(
    sweep: Callable[..., Any], folders: Folders, tmp_path: Path
) -> None:
    (tmp_path / "mine/activation").mkdir(parents=True)
    twin = tmp_path / "mine/activation/relu_too.yaml"
    twin.write_text("_target_: torch.nn.ReLU\n_partial_: true\n")
    outcome = sweep(f"--config-dir={tmp_path / 'mine'}", "activation=relu,relu_too")
    said = " ".join(outcome.text.split())
    assert "note activation=relu_too is activation=relu by another name: one config" in said
    assert len(folders()) == 1
