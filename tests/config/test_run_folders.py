"""A path that is no run's folder is answered with what it is, and with what to give instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from activae.config.run_folders import refuse_unless_run
from activae.config.settling import CONFIG
from activae.errors import ConfigError


def run(folder: Path) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / CONFIG).write_text("seed: 0\n")
    (folder / "checkpoints" / "best.ckpt").touch()
    return folder


def refusal(path: Path | str, key: str) -> str:
    with pytest.raises(ConfigError) as caught:
        refuse_unless_run(path, key)
    return str(caught.value)


@pytest.mark.parametrize("key", ["init_from=", "resume="])
def test_the_key_and_the_next_step_are_named(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep, one = Path("sweeps/first"), run(Path("sweeps/first/gelu,seed=0"))
    Path("empty").mkdir()

    refuse_unless_run(one, key)
    assert f"is a folder of runs, not that of one; give one of them, such as {key}{one}" in (
        refusal(sweep, key)
    )
    assert refusal("sweeps", key).endswith(f"such as {key}{one}")
    for file in (one / "checkpoints" / "best.ckpt", (one / "checkpoints" / "best.ckpt").absolute()):
        found = refusal(file, key)
        assert found.startswith(f"{key}{file}: is a file, not the folder of a run; give its run's")
        assert found.endswith(f"folder: {key}{file.parents[1]}")
    assert refusal("nope", key).startswith(f"{key}nope: there is no such folder (looked in ")
    assert "it has no config.yaml; give one that a training left" in refusal("empty", key)
