"""A data folder counts by its content, wherever it lies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from activae.config import identity
from activae.config.identity import job_id
from activae.config.settling import settle

Compose = Callable[..., DictConfig]


@pytest.fixture
def id_of(compose: Compose) -> Callable[[Path], str]:
    """The job's id of a run on a folder, looked at anew."""

    def found(folder: Path) -> str:
        identity._hash_of_folder.cache_clear()
        return job_id(settle(compose("data=image_folder", f"data.path='{folder}'")))

    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    for name in ("a/one.png", "a/deep/two.png", "three.png"):
        (tmp_path / name).write_bytes(name.encode() * 10)
    return tmp_path


def test_a_copy_elsewhere_is_the_same(
    id_of: Callable[[Path], str], folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(folder, copy)

    assert id_of(copy) == id_of(folder)


def test_what_is_added_renamed_or_changed_makes_it_another(
    id_of: Callable[[Path], str], folder: Path
) -> None:
    found = [id_of(folder)]
    (folder / "four.png").write_bytes(b"4")
    found.append(id_of(folder))
    (folder / "four.png").rename(folder / "five.png")
    found.append(id_of(folder))
    (folder / "a" / "deep" / "two.png").write_bytes(b"another 140 bytes".ljust(140))
    found.append(id_of(folder))
    (folder / "a" / "deep" / "two.png").write_bytes(b"still of 140 bytes".ljust(140))
    found.append(id_of(folder))

    assert len(set(found)) == 5


def test_of_many_files_only_some_are_read(
    id_of: Callable[[Path], str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "_FILES_READ", 10)
    for number in range(100):
        (folder / f"{number}.png").write_bytes(b"1")
    opened = []
    plain_open = Path.open

    def noted(self: Path, *args: str) -> object:
        opened.append(self)
        return plain_open(self, *args)

    monkeypatch.setattr(Path, "open", noted)
    identity._hash_of_folder.cache_clear()
    identity._hash_of_folder(folder, 0)

    assert 5 < len(opened) <= 10


def test_a_link_to_nowhere_does_not_count(id_of: Callable[[Path], str], folder: Path) -> None:
    before = id_of(folder)
    (folder / "broken.png").symlink_to(folder / "none.png")

    assert id_of(folder) == before
