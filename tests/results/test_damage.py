"""Files of a run folder damaged by hand or disk: one message, which names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from activae.errors import DataError
from activae.training.checkpoint import BEST, LAST, load_checkpoint
from activae.training.restoring import load_network

Compose = Callable[..., DictConfig]
Damage = Callable[[dict[str, Any]], Any]

SMALL = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.train_fraction=0.1",
    "trainer.max_epochs=3",
)


@pytest.fixture
def run(
    compose: Compose, interrupt: Callable[..., None], tmp_path: Path, _interrupted: dict[str, Path]
) -> Path:
    """A run, `run` in tmp_path, that was interrupted in its second epoch."""
    if "run" not in _interrupted:
        interrupt(compose(*SMALL), _interrupted["home"] / "run", 5)
        _interrupted["run"] = _interrupted["home"] / "run"
    return copytree(_interrupted["run"], tmp_path / "run")


@pytest.fixture(scope="module")
def _interrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"home": tmp_path_factory.mktemp("interrupted")}


def set_to(*keys: Any, value: Any) -> Damage:
    """Puts the value where the keys lead."""

    def damage(checkpoint: dict[str, Any]) -> None:
        node: Any = checkpoint
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        set_to("callbacks", "RunCheckpoint", value={"another": 1}),
        set_to("callbacks", "RunCheckpoint", value="text"),
        set_to("callbacks", "RunCheckpoint", "best_score", value=None),
        set_to("callbacks", value=[1]),
        set_to("optimizer_states", value=[]),
        set_to("optimizer_states", 0, value={}),
        set_to("optimizer_states", 0, "state", 0, "exp_avg", value=torch.zeros(3)),
        set_to("optimizer_states", 0, "state", 1, "exp_avg_sq", value=torch.zeros(2, 64)),
        set_to("optimizer_states", 0, "state", 2, "exp_avg", value=torch.zeros(())),
        set_to("optimizer_states", 0, "state", 3, "exp_avg", value="text"),
        set_to("optimizer_states", 0, "state", 0, "step", value=torch.zeros(4)),
        lambda checkpoint: checkpoint["optimizer_states"][0]["state"][0].pop("exp_avg"),
        set_to("rng_state", value=torch.zeros(3, dtype=torch.uint8)),
        set_to("rng_state", value=None),
        set_to("state_dict", "normalisation.scale", value=torch.ones(1, 8, 8, dtype=torch.int64)),
        set_to("state_dict", "normalisation.scale", value=torch.ones(3)),
        set_to("state_dict", value={}),
        set_to("state_dict", value=None),
        set_to("global_step", value=-1),
        set_to("global_step", value="five"),
        set_to("epoch", value=0.5),
        set_to("seconds", value=None),
        set_to("seconds", value=float("nan")),
        set_to("epoch_sums", value={}),
        lambda checkpoint: checkpoint.pop("rng_state"),
    ],
)
def test_a_checkpoint_with_wrong_parts(
    damage: Damage, run: Path, train_py: Callable[..., Any]
) -> None:
    checkpoint = torch.load(run / LAST, weights_only=True)
    damage(checkpoint)
    torch.save(checkpoint, run / LAST)
    damaged = (run / LAST).read_bytes()

    train_py("resume=run").assert_one_error(LAST, "without the folder")

    assert (run / LAST).read_bytes() == damaged, "it may be of use to who mends it"


@pytest.mark.parametrize("name", [BEST, LAST])
def test_one_altered_bit_of_a_checkpoint_is_noticed(name: str, run: Path) -> None:
    content = bytearray((run / name).read_bytes())
    weight = torch.load(run / name, weights_only=True)["state_dict"]["net.decoder.output.weight"]
    place = content.index(weight.numpy().tobytes())
    content[place + 1] ^= 1
    (run / name).write_bytes(content)

    with pytest.raises(DataError, match=rf"{name}: .*differs from its checksum"):
        load_checkpoint(run / name)


@pytest.mark.parametrize(
    "damage",
    [
        set_to("spec", value={"shape": [1, 8, 8]}),
        set_to("preparation", value="text"),
        set_to("state_dict", "net.another", value=torch.ones(1)),
        lambda checkpoint: checkpoint.pop("preparation"),
    ],
)
def test_a_network_is_not_loaded_from_wrong_parts(damage: Damage, run: Path) -> None:
    checkpoint = torch.load(run / BEST, weights_only=True)
    damage(checkpoint)
    torch.save(checkpoint, run / BEST)

    with pytest.raises(DataError, match=rf"{BEST}: .*is damaged"):
        load_network(run)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\0\1\n",
        b"0,4,0.1\n1,8,0.2\n",
        b"epoch,step\n0,four\n",
        b"epoch,step\n0\n",
        b"epoch,step\n\n0,4\n",
        b"epoch,step\n0,4\0\n",
    ],
    ids=["binary", "without a header", "a bad cell", "a short row", "an empty line", "a zero byte"],
)
def test_a_damaged_history(content: bytes, run: Path, train_py: Callable[..., Any]) -> None:
    (run / "history.csv").write_bytes(content)
    checkpoint = load_checkpoint(run / LAST)["global_step"]

    train_py("resume=run").assert_one_error("history.csv: is damaged", "move it away")

    assert (run / "history.csv").read_bytes() == content
    assert load_checkpoint(run / LAST)["global_step"] == checkpoint
    (run / "history.csv").unlink()
    assert train_py("resume=run").code == 0


@pytest.mark.parametrize(
    "content",
    [b"- a\n- list\n", b"seed:\t1\n\tx: 2\n", b"\xff\xfe\0", b"", b"text\n", b"a: &a [*a]\n"],
    ids=["a list", "a tab", "binary", "empty", "text", "a loop"],
)
def test_a_damaged_config(content: bytes, run: Path, train_py: Callable[..., Any]) -> None:
    (run / "config.yaml").write_bytes(content)

    train_py("resume=run").assert_one_error("config.yaml")
