"""What makes runs the same, and what they may share; a data folder counts by its content."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from activae.config import identity
from activae.config.identity import condition_key, data_key, graph_key, job_id, stack_key
from activae.config.settling import container, settle

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


KEYS = {
    "identity": job_id,
    "condition": condition_key,
    "data": data_key,
    "graph": graph_key,
    "stack": stack_key,
}


@pytest.mark.parametrize(
    ("override", "matters"),
    [
        ("seed=1", "identity"),
        ("optimizer.lr=0.5", "identity condition"),
        ("optimizer.weight_decay=0.2", "identity condition"),
        ("optimizer.weight_decay=0", "identity condition graph"),
        ("objective.l2=0.2", "identity condition"),
        ("objective.l2=0", "identity condition graph"),
        ("regulariser.code_l1.weight=0.5", "identity condition"),
        ("regulariser.code_l1.weight=0", "identity condition graph stack"),
        ("corruption.std=0.5", "identity condition stack"),
        ("corruption=none", "identity condition graph stack"),
        ("activation=tanh", "identity condition graph stack"),
        ("data.split_seed=1", "identity condition data"),
        ("data.source.binarise=static", "identity condition data graph stack"),
        ("data.batch_size=8", "identity condition graph stack"),
        ("trainer.max_epochs=3", "identity condition"),
        ("trainer.threads=1", "stack"),
        ("logger=minimal", "identity"),
        ("sweep=other", ""),
    ],
)
def test_what_a_key_matters_to(override: str, matters: str, compose: Compose) -> None:
    base = (
        "trainer=cpu",
        "optimizer=adamw",
        "optimizer.weight_decay=0.1",
        "objective.l2=0.1",
        "regulariser=code_l1",
        "corruption=gaussian",
    )
    before, after = settle(compose(*base)), settle(compose(*base, override))

    changed = [name for name, key in KEYS.items() if key(before) != key(after)]

    assert changed == matters.split()


@pytest.mark.parametrize("place", [(), ("data",), ("trainer",), ("objective",)])
def test_a_key_that_the_table_does_not_know_matters(
    place: tuple[str, ...], compose: Compose
) -> None:
    before = container(settle(compose()))
    after = container(settle(compose()))
    node = after
    for name in place:
        node = node[name]
    node["new"] = 1

    changed = {name for name, key in KEYS.items() if key(before) != key(after)}

    # What trains and measures cannot change the data; all else is taken to matter to everything.
    assert changed == KEYS.keys() - ({"data"} if place in (("trainer",), ("objective",)) else set())


def test_penalties_of_an_objective_of_ones_own_are_not_inputs_of_a_graph(compose: Compose) -> None:
    def settled(l1: float) -> dict[str, object]:
        config: dict[str, dict[str, object]] = container(settle(compose()))
        config["objective"] |= {"_target_": "mine.Loss", "l1": l1}
        return config

    assert graph_key(settled(0.1)) != graph_key(settled(0.2))
    assert stack_key(settled(0.1)) != stack_key(settled(0.2))


def test_keys_that_make_another_condition() -> None:
    matter = ["activation._target_", "optimizer.lr", "data.path", "data.split_seed", "new.key"]
    others = ["seed", "version", "logger.images", "trainer.devices", "data.root", "score.test"]
    assert [key for key in matter + others if identity.matters_to_condition(key)] == matter


def test_a_run_whose_pixels_are_not_drawn_is_what_it_was_before_they_could_be(
    compose: Compose,
) -> None:
    today, before = (container(settle(compose())) for _ in range(2))
    del before["data"]["source"]["binarise"]

    assert {name: key(today) for name, key in KEYS.items()} == {
        name: key(before) for name, key in KEYS.items()
    }
