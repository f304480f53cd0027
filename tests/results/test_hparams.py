"""TensorBoard's HPARAMS page, as the plugin itself reads it from the events of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from activae.config.settling import settle
from activae.results.events import Events
from activae.results.hparams import (
    chosen,
    experiment_of_run,
    hyper_parameters,
    scores,
    session,
    write_experiment,
)

Compose = Callable[..., DictConfig]
GRID = [[f"activation={name}", f"optimizer.lr={lr}"] for name in ("relu", "gelu") for lr in (1, 2)]
ALWAYS = ["sweep=mine", "trainer.max_epochs=3", "logger.images=4"]
METRICS = {
    "val": {"SE": 2.0, "MSE": 0.5},
    "test": {"SE": 3.0, "MSE": 0.75, "SSIM": None},
    "ratio_to_pca": 0.5,
}


@pytest.fixture
def write(compose: Compose, tmp_path: Path) -> Callable[..., Path]:
    """Writes what a finished run does, without training it."""

    def written(name: str, *lines: str, alone: bool = False) -> Path:
        cfg = settle(compose("trainer=cpu", *lines))
        with Events(tmp_path / name, "") as events:
            for tag, value in scores(METRICS).items():
                events.scalars(tag, [1], [value])
            for value in session(cfg, lines):
                events.add(value)
            if alone:
                events.add(experiment_of_run(cfg, lines))
        return tmp_path / name

    return written


def shown(logdir: Path) -> tuple[Any, Any]:
    """What the plugin answers the page: the experiment, and a group for each line."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.backend_context import Context
    from tensorboard.plugins.hparams.list_session_groups import Handler

    runs = EventMultiplexer().AddRunsFromDirectory(str(logdir))
    runs.Reload()
    provider = MultiplexerDataProvider(runs, str(logdir))
    context, ask = Context(TBContext(data_provider=provider)), RequestContext()
    experiment = context.experiment_from_metadata(
        ask, "", True, context.hparams_metadata(ask, ""), ()
    )
    every = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_UNKNOWN]
    request = api_pb2.ListSessionGroupsRequest(allowed_statuses=every, slice_size=100)
    return experiment, Handler(ask, context, "", request).run().session_groups


def columns(experiment: Any) -> list[str]:
    """The hyper-parameters that the page opens on."""
    return [info.name for info in experiment.hparam_infos if info.differs]


def metrics(experiment: Any) -> list[str]:
    return [info.name.tag for info in experiment.metric_infos]


def write_sweep(
    folder: Path, jobs: Sequence[Sequence[str]] = GRID, *, test: bool = True, **score: bool
) -> None:
    lines = [[*ALWAYS, *job] for job in jobs]
    keys = {line.partition("=")[0] for job in jobs for line in job}
    write_experiment(folder / "summary", keys, lines, {"test": test, **score})


def test_a_sweep_opens_on_what_varies_and_on_the_test_score(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    for number, job in enumerate(GRID):
        write(f"{number}", *job)
    write_sweep(tmp_path)

    experiment, lines = shown(tmp_path)

    assert [info.name for info in experiment.hparam_infos] == ["activation", "lr"]
    assert metrics(experiment)[:2] == ["test/SE", "best/SE/val"]
    rows = [(g.hparams["activation"].string_value, g.hparams["lr"].number_value) for g in lines]
    assert rows == [("relu", 1), ("relu", 2), ("gelu", 1), ("gelu", 2)]
    values = {value.name.tag: value.value for value in lines[0].metric_values}
    assert values == {
        "test/SE": 3.0,
        "test/MSE": 0.75,
        "best/SE/val": 2.0,
        "ratio_to_pca": 0.5,
    }


def test_runs_that_never_see_test_data_open_on_validation(tmp_path: Path) -> None:
    write_sweep(tmp_path, test=False)

    assert metrics(shown(tmp_path)[0]) == ["best/SE/val", "ratio_to_pca"]


def test_likelihood_and_samples_have_columns_where_runs_are_scored_by_them(tmp_path: Path) -> None:
    write_sweep(tmp_path, nll=True, samples=True)

    found = metrics(shown(tmp_path)[0])

    assert found[:4] == ["test/SE", "nll/test", "samples/frechet", "best/SE/val"]
    assert {"samples/coverage", "samples/nearest_train", "test/PSNR"} < set(found)


def test_a_run_tells_its_likelihood_and_the_figures_of_its_samples() -> None:
    own = {"nll": {"test": 90.0, "standard_error": 1.0, "codes": 50}}
    own["samples"] = {"n": 50, "frechet": 2.5, "recall": None, "low": {"frechet": 2.0}}

    found = scores(METRICS | own)

    assert found.keys() - scores(METRICS).keys() == {"nll/test", "samples/frechet"}
    assert (found["nll/test"], found["samples/frechet"]) == (90.0, 2.5)


def test_no_run_is_hidden_that_has_other_values(write: Callable[..., Path], tmp_path: Path) -> None:
    """As that of another sweep below the same folder."""
    write_sweep(tmp_path)
    write("other/0", "activation=silu")

    experiment, lines = shown(tmp_path)

    assert not any(info.HasField("domain_discrete") for info in experiment.hparam_infos)
    assert [line.hparams["activation"].string_value for line in lines] == ["silu"]


def test_a_later_launch_replaces_the_columns(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    (first,) = (tmp_path / "summary").iterdir()
    write_sweep(tmp_path)
    assert list((tmp_path / "summary").iterdir()) == [first]

    write_sweep(tmp_path, [[*job, f"seed={seed}"] for job in GRID for seed in (0, 1)])

    assert len(list((tmp_path / "summary").iterdir())) == 1
    assert columns(shown(tmp_path)[0]) == ["activation", "lr", "seed"]


def test_a_run_alone_opens_on_what_its_command_chose_and_has_all(
    write: Callable[..., Path],
) -> None:
    folder = write("run", "encoding.dim=3", "corruption=masking", alone=True)

    experiment, (line,) = shown(folder)

    assert columns(experiment) == ["activation", "corruption", "encoding.dim", "seed"]
    assert {"batch_size", "optimizer", "encoder"} <= {i.name for i in experiment.hparam_infos}
    assert line.hparams["corruption"].string_value == "masking"
    assert line.hparams["activation"].string_value == "ReLU"
    assert line.hparams["seed"].string_value == "0"  # a number would be written 0.0000


def test_runs_of_different_kind_have_the_same_columns(compose: Compose) -> None:
    images, vectors = (
        hyper_parameters(settle(compose(*lines)))
        for lines in ((), ("data=random", "data.source.features=12", "objective=bce"))
    )
    assert images.keys() == vectors.keys()
    assert images["activation"] == vectors["activation"] == "ReLU"
    assert (images["data"], vectors["data"]) == ("digits", "random")
    assert (images["objective"], vectors["objective"]) == ("mse", "bce")


@pytest.mark.parametrize("line", ["lr=0.003", "optimizer.lr=3e-3"])
def test_a_rate_has_one_column_however_it_is_given(line: str) -> None:
    assert chosen([line]) == {"lr": 0.003}


def test_an_experiment_beside_another_has_the_groups_column() -> None:
    assert chosen(["+experiment@_global_=vae"]) == {"experiment": "vae"}


def test_what_a_command_chooses_is_told_in_its_words() -> None:
    lines = ["activation=gelu", "optimizer.lr=3e-3", "seed=4", "+encoder.own=a=b", "sweep=s"]
    lines += [
        "activation@encoder.activation=tanh",
        "logger.images=3",
        "lr=tuned.yaml",
        "~callbacks",
    ]
    lines += ["encoder.hidden=[8,4]", "trainer.gradient_clip_val=null"]

    assert chosen(lines) == {
        "activation": "gelu",
        "lr": 0.003,
        "seed": "4",
        "encoder.own": "a=b",
        "encoder.activation": "tanh",
        "encoder.hidden": "[8,4]",
    }
