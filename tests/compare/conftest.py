"""Run folders as a run leaves them, without the training: what a comparison reads of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from activae.config.settling import container, settle

CLASSES = {"relu": "torch.nn.ReLU", "gelu": "torch.nn.GELU", "silu": "torch.nn.SiLU"}

WriteRun = Callable[..., Path]


@pytest.fixture(scope="session")
def settled(compose: Callable[..., Any]) -> dict[str, Any]:
    """The config of a plain run, as it stands in config.yaml."""
    values: dict[str, Any] = container(settle(compose("trainer=cpu")))
    return values


@pytest.fixture
def write_run(tmp_path: Path, settled: dict[str, Any]) -> WriteRun:
    """`write_run(name, score, activation="gelu", seed=0, **{"optimizer.lr": 0.1})`: a run folder.

    score: SE on val and test; inf: it diverged; None: it has not ended. named=False: the command
    did not say the activation; parameters: those of the activation.
    """

    def write(
        name: str,
        score: float | None,
        activation: str = "relu",
        *,
        seed: int = 0,
        named: bool = True,
        test: bool = True,
        parameters: dict[str, Any] | None = None,
        **keys: Any,
    ) -> Path:
        folder = tmp_path / name
        (folder / ".hydra").mkdir(parents=True)
        config = deepcopy(settled) | {"seed": seed}
        node = {"_target_": CLASSES.get(activation, f"torch.nn.{activation.title()}")}
        node |= parameters or {}
        config["activation"] = node
        config["encoder"]["activation"] = config["decoder"]["activation"] = node
        config["score"]["test"] = test
        for key, value in keys.items():
            *parents, last = key.split(".")
            place = config
            for parent in parents:
                place = place[parent]
            place[last] = value
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        chosen = [f"activation={activation}"] if named else []
        (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(chosen))
        (folder / ".hydra" / "config.yaml").write_text("seed: 0\n")
        if score is not None:
            (folder / "metrics.json").write_text(json.dumps(metrics(name, seed, score, test)))
        return folder

    return write


def metrics(name: str, seed: int, score: float, test: bool) -> dict[str, Any]:
    if score == float("inf"):
        return {"id": name, "seed": seed, "status": "diverged", "step": 3, "where": "encoder"}
    scores = {"SE": score, "PSNR": -score, "SSIM": None}
    return {
        "id": name,
        "seed": seed,
        "status": "completed",
        "val": scores,
        "steps": 320,
        "parameters": 13064,
        **({"test": scores} if test else {}),
        "diagnostics": {"effective_rank": 7.5, "dead": {"encoder.activation1": 0.25}},
    }
