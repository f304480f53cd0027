"""One process at a run folder: the second is refused, and nothing is written through links."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from activae.errors import ConfigError
from activae.results import claims, run_folder
from activae.results.claims import Claimed, claim
from activae.results.run import train
from activae.training.checkpoint import LAST
from activae.training.files import write_whole

Compose = Callable[..., DictConfig]
Interrupt = Callable[[DictConfig, Path, int], None]

SMALL = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.train_fraction=0.1",
    "trainer.max_epochs=3",
)


def test_a_second_process_at_a_run_is_refused(
    compose: Compose, interrupt: Interrupt, train_py: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    interrupt(compose(*SMALL), run, 5)
    left = (run / "history.csv").read_bytes()

    with claim(run):  # as the first process has it
        outcome = train_py("resume=run")
    outcome.assert_one_error("run", "another process is at work on this run")
    assert (run / "history.csv").read_bytes() == left

    assert train_py("resume=run").code == 0, "the first has ended"
    assert not (run / run_folder.CLAIM).exists()


def test_a_claim_is_let_go_also_by_what_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), claim(tmp_path):
        raise KeyError
    with claim(tmp_path), pytest.raises(Claimed, match="stop it first"), claim(tmp_path):
        pass


def test_a_run_needs_no_locks(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*arguments: Any, **options: Any) -> None:
        raise claims.NoLocks("lies on a file system without locks")

    monkeypatch.setattr(claims, "take_lock", none)
    assert train(compose(*SMALL), tmp_path)["status"] == "completed"


@pytest.mark.parametrize("there", ["", "old"], ids=["nothing", "an older file"])
@pytest.mark.parametrize("name", ["file", "file.partial"])
def test_a_file_is_not_written_through_a_link(name: str, there: str, tmp_path: Path) -> None:
    precious, folder = tmp_path / "precious", tmp_path / "run"
    precious.write_text("mine")
    folder.mkdir()
    if there and name != "file":
        (folder / "file").write_text(there)
    (folder / name).symlink_to(precious)

    write_whole(folder / "file", b"new")

    assert precious.read_text() == "mine"
    assert (folder / "file").read_text() == "new"
    assert not (folder / "file").is_symlink()
    assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "name",
    ["checkpoints", LAST, "train.log", "history.csv", "config.yaml", ".hydra", ".claim", "DONE"],
)
def test_a_run_with_a_link_in_it_is_not_resumed(
    name: str, compose: Compose, interrupt: Interrupt, train_py: Callable[..., Any], tmp_path: Path
) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    interrupt(compose(*SMALL), run, 5)
    link = run / name
    if link.exists():
        link.rename(elsewhere)
    else:
        elsewhere.write_text("mine")
    before = {f: f.read_bytes() for f in [elsewhere, *elsewhere.rglob("*")] if f.is_file()}
    link.symlink_to(elsewhere)

    train_py("resume=run").assert_one_error(f"{Path('run') / name}: is a link", "elsewhere")

    assert {f: f.read_bytes() for f in [elsewhere, *elsewhere.rglob("*")] if f.is_file()} == before


def test_links_to_a_run_folder_and_of_other_names_are_followed(
    compose: Compose, tmp_path: Path
) -> None:
    (tmp_path / "disk" / "run").mkdir(parents=True)
    (tmp_path / "outputs").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "run" / "my_data").symlink_to(tmp_path)

    assert train(compose(*SMALL), tmp_path / "outputs" / "run")["status"] == "completed"


@pytest.mark.parametrize("done", [b"", b"\xff\xfe\0", b"yes\n"], ids=["empty", "binary", "foreign"])
def test_a_done_that_no_run_wrote_ends_nothing(
    done: bytes, compose: Compose, interrupt: Interrupt, tmp_path: Path
) -> None:
    cfg = compose(*SMALL)
    interrupt(cfg, tmp_path, 5)
    (tmp_path / run_folder.DONE).write_bytes(done)

    assert train(cfg, tmp_path)["steps"] == 12
    assert run_folder.ended(tmp_path) == "completed"


@pytest.mark.parametrize("content", ["", "[]", None], ids=["empty", "a list", "missing"])
def test_a_run_whose_metrics_are_lost_is_scored_anew(
    content: str | None, compose: Compose, tmp_path: Path
) -> None:
    cfg = compose(*SMALL)
    scores = train(cfg, tmp_path)["test"]
    (tmp_path / run_folder.METRICS).unlink()
    if content is not None:
        (tmp_path / run_folder.METRICS).write_text(content)

    assert train(cfg, tmp_path)["test"] == scores
    with pytest.raises(ConfigError, match="has ended here already"):
        train(cfg, tmp_path)


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("content"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("name"), replace(a, b)))

    run_folder.write_metrics(tmp_path, {})

    assert done[:2] == ["content", "name"]
