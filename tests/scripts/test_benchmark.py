"""The benchmark: what it times, how it judges, and that it says who is left out."""

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from activae.training.assembly import build_data, build_model
from benchmarks import contenders, ours, torch_loops, usual
from benchmarks.laps import Laps
from benchmarks.race import Result, race
from benchmarks.report import show_result
from benchmarks.start_up import StartUp, imports_torch, measure_start_up
from benchmarks.targets import verdicts
from benchmarks.workload import (
    ARTICLE,
    MNIST,
    Task,
    has_mnist,
    training_samples,
    write_stand_in,
)

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"


def silent(message: str) -> None:
    pass


@pytest.fixture
def script() -> ModuleType:
    return importlib.import_module("benchmarks.__main__")


@pytest.fixture
def process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The loops choose threads and environment for a process of their own."""
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two are slow where two tests run side by side
    yield
    torch.set_num_threads(threads)


def task(name: str, tmp_path: Path, workload: str = "article") -> Task:
    return Task(name, workload, 1, str(CONFIGS), str(tmp_path / "data"), str(tmp_path))


def reports_of(loop: Callable[[Task, Laps], None], what: Task, laps: int) -> list[dict[str, Any]]:
    reports: list[dict[str, Any]] = []
    clock = Laps(reports.append, wanted=lambda: len(reports) < laps)
    with pytest.raises(SystemExit):
        loop(what, clock)
    return reports


def test_the_raw_loop_trains_the_network_that_a_run_trains() -> None:
    cfg = ours.config(CONFIGS, ARTICLE.overrides)
    data = build_data(cfg)
    run = build_model(cfg, data).net
    raw = torch_loops.network()

    raw.load_state_dict(dict(zip(raw.state_dict(), run.state_dict().values(), strict=True)))
    x = data.samples["train"][:5]
    torch.testing.assert_close(raw(x), run(x))
    assert data.samples["train"].shape == training_samples(ARTICLE, Path()).shape


@pytest.mark.usefixtures("process_as_it_was")
@pytest.mark.parametrize(
    "loop", [ours.bare, torch_loops.raw, torch_loops.products, usual.in_process]
)
def test_a_lap_is_as_many_optimizer_steps_as_the_task_says(
    loop: Callable[[Task, Laps], None], tmp_path: Path
) -> None:
    reports = reports_of(loop, task("any", tmp_path), laps=2)

    assert [report["steps"] for report in reports] == [32, 32]
    assert all(report["seconds"] > 0 for report in reports)
    assert all(report["facts"]["threads"] >= 1 for report in reports)


@pytest.mark.usefixtures("process_as_it_was")
def test_the_whole_run_leaves_what_a_run_leaves(tmp_path: Path) -> None:
    reports = reports_of(ours.whole, task("whole", tmp_path), laps=1)

    assert [report["steps"] for report in reports] == [ours.LAPS_A_RUN * 32]
    assert len(list(tmp_path.glob("*/checkpoints/best.ckpt"))) == 1
    assert len(list(tmp_path.glob("*/events.out.tfevents.*"))) == 1


@pytest.mark.usefixtures("process_as_it_was")
def test_the_bare_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    ours.train_bare(CONFIGS, ["trainer.max_epochs=1"])

    assert not list(tmp_path.iterdir())


def test_torchvision_takes_the_stand_in_for_mnist(tmp_path: Path) -> None:
    from torchvision import datasets, transforms

    assert not has_mnist(tmp_path)
    write_stand_in(tmp_path, train=20, test=5)
    assert has_mnist(tmp_path)
    images = datasets.MNIST(tmp_path, train=True, transform=transforms.ToTensor())

    samples = training_samples(MNIST, tmp_path)

    assert len(images) == len(samples) == 20
    assert len(datasets.MNIST(tmp_path, train=False)) == 5
    np.testing.assert_allclose(images[7][0].flatten().numpy(), samples[7])


def test_a_worker_that_fails_is_left_out_with_its_error_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    tasks = [task("products", tmp_path), task("raw", tmp_path, workload="theirs")]

    result = race(tasks, ARTICLE, 2, silent)

    assert result.left_out == {"raw": "KeyError: 'theirs'"}
    assert list(result.laps) == ["products"]
    assert len(result.laps["products"]) == 2


def test_a_contender_whose_packages_are_missing_is_left_out_and_says_how_to_install_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)

    result = race([task("keras", tmp_path)], ARTICLE, 1, silent)

    console = Console(record=True, width=100)
    show_result(result, 1, console)
    text = console.export_text()
    assert "left out Keras fit" in text
    assert 'needs keras and tensorflow: pip install -e ".[bench]"' in text


def test_the_ratio_is_the_median_of_the_ratios_within_rounds() -> None:
    # The machine was four times as slow in the second round, for both.
    result = Result(ARTICLE, 32, laps={"ours": [2.0, 8.0, 2.0], "raw": [1.0, 4.0, 4.0]})

    assert result.ratio("ours", "raw") == 2.0
    assert result.ratio("ours", "keras") is None


def test_targets_are_reached_missed_or_not_judged() -> None:
    laps = {"ours": [1.0], "raw": [1.0], "keras": [2.0], "compiled": [0.5]}
    start_up = StartUp([1.0], [10.0], [9.0], [8.0], help_imports_torch=True)
    result = Result(ARTICLE, 32, laps=laps, facts={"compiled": {"graphs": 0}})

    judged = {verdict.promise: verdict for verdict in verdicts({"article": result}, start_up)}

    assert judged["article: ours / raw"].reached is True
    assert judged["article: ours / keras"].reached is False
    assert judged["article: compiled / raw"].reached is None
    assert "compiled nothing" in judged["article: compiled / raw"].remark
    assert judged["default run, all in all"].reached is True
    assert judged["--help imports torch (1: yes)"].reached is False
    assert judged["share of TensorBoard and progress"].measured == pytest.approx(10)
    assert judged["share of all that a run records"].measured == pytest.approx(20)
    assert not [promise for promise in judged if promise.startswith("mnist")]

    result.facts["compiled"] = {"graphs": 1}
    reached = {verdict.promise: verdict.reached for verdict in verdicts({"article": result}, None)}
    assert reached["article: compiled / raw"] is True


def test_an_import_of_torch_is_noticed_and_one_of_a_namesake_is_not(tmp_path: Path) -> None:
    for name in ("torch", "torchlike"):
        (tmp_path / f"{name}.py").touch()
        (tmp_path / f"import_{name}.py").write_text(f"import {name}\n")

    assert imports_torch([str(tmp_path / "import_torch.py")], tmp_path)
    assert not imports_torch([str(tmp_path / "import_torchlike.py")], tmp_path)


def test_whole_commands_are_timed_in_turn(tmp_path: Path) -> None:
    timed = {
        name: ["-c", f"open('order', 'a').write('{name} ')"]
        for name in ("help", "default", "minimal", "bare")
    }

    start_up = measure_start_up(timed, tmp_path, 2, silent)

    assert (tmp_path / "order").read_text().split()[:-1] == 2 * list(timed)
    assert len(start_up.bare) == 2
    assert min(start_up.default) > 0


def test_a_command_that_fails_is_an_error_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        measure_start_up({"help": ["-c", "1/0"]}, tmp_path, 1, silent)


def test_the_command_prints_and_writes_what_was_asked_for(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"

    script.main(
        ["--only", "article", "ours", "raw", "--rounds", "2", "--steps", "1", "--json", str(file)]
    )

    figures = json.loads(file.read_text())
    assert list(figures["workloads"]) == ["article"]
    assert figures["workloads"]["article"]["steps_per_round"] == 32  # whole epochs
    timed = figures["workloads"]["article"]["contenders"]
    assert set(timed) == {"ours", "raw"}
    assert len(timed["ours"]["rounds"]) == 2
    assert timed["ours"]["min"] <= timed["ours"]["median"] <= timed["ours"]["max"]
    assert timed["raw"]["threads"] == timed["ours"]["threads"]
    assert figures["start_up"] is None
    assert [target["promise"] for target in figures["targets"]] == ["article: ours / raw"]
    assert figures["machine"]["packages"]["torch"] == torch.__version__.split("+")[0]
    assert "article: ours / raw" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--steps", "-3"], ["--only", "theirs"]])
def test_arguments_that_cannot_be_are_refused(script: ModuleType, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        script.main(arguments)

    assert refused.value.code == 2
