"""Whole files of TensorBoard events: their records, and several as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from activae.results.events import Events, join_events, records


def write(folder: Path, *values: float) -> Path:
    """A new file of events with a curve of these values; later ones are sorted behind it."""
    known = set(folder.glob("*"))
    with Events(folder, "") as events:
        events.scalars("curve", range(len(values)), values)
    (file,) = set(folder.glob("*")) - known
    return file.rename(folder / f"events.out.tfevents.{len(known)}")


def curve(folder: Path) -> list[float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return [event.value for event in EventAccumulator(str(folder)).Reload().Scalars("curve")]


def test_files_become_one_with_the_same_events(tmp_path: Path) -> None:
    first = write(tmp_path, 1, 2)
    write(tmp_path, 3)
    write(tmp_path, 4, 5)
    (tmp_path / "history.csv").touch()
    assert curve(tmp_path) == [1, 2, 3, 4, 5]

    join_events(tmp_path)

    assert sorted(tmp_path.iterdir()) == [first, tmp_path / "history.csv"]
    assert curve(tmp_path) == [1, 2, 3, 4, 5]


def test_the_tenth_file_that_a_process_writes_comes_after_the_ninth(tmp_path: Path) -> None:
    name = "events.out.tfevents.1700000000.vm.42"
    ninth = write(tmp_path, 1, 2).rename(tmp_path / f"{name}.9")
    with Events(tmp_path, "") as events:
        events.scalars("curve", [2], [3])
    (file,) = set(tmp_path.iterdir()) - {ninth}
    file.rename(tmp_path / f"{name}.10")

    join_events(tmp_path)

    assert curve(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize("lost", [1, 10, 30])
def test_nothing_is_put_behind_a_torn_record(tmp_path: Path, lost: int) -> None:
    torn = write(tmp_path, 1, 2)
    torn.write_bytes(content := torn.read_bytes()[:-lost])
    second = write(tmp_path, 3)
    write(tmp_path, 4)

    join_events(tmp_path)

    assert sorted(tmp_path.iterdir()) == [torn, second]
    assert torn.read_bytes() == content
    assert len(list(records(second.read_bytes()))) == 4  # each file begins with its version


def test_a_folder_without_events_is_left_as_it_is(tmp_path: Path) -> None:
    join_events(tmp_path)
    join_events(tmp_path / "missing")

    assert not list(tmp_path.iterdir())
