"""The README's script runs as it stands there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.filterwarnings("ignore")  # Lightning's advice on loaders and loggers
def test_in_your_own_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = README.read_text().partition("## In your own script\n")[2].partition("\n## ")[0]
    script = section.partition("```python\n")[2].partition("```")[0]
    assert 8 <= len(script.splitlines()) <= 12
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"x": 7 + np.random.default_rng(0).normal(size=(200, 12))}

    exec(script, names)

    best = names["trainer"].checkpoint_callback.best_model_path
    opened = names["AutoencoderModule"].load_from_checkpoint(best, net=names["net"])
    assert opened.normalisation.offset.min() > 0
    assert torch.cat(names["reconstructions"]).shape == (40, 12)
    assert names["scores"][0]["SE/test"] > 0
