"""What the description of a data set says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from activae.config.settling import settle
from activae.data.spec import DataSpec
from activae.training.assembly import build_data

Compose = Callable[..., DictConfig]


def test_the_spec_names_features_and_units(compose: Compose, tmp_path: Path) -> None:
    rows = "\n".join(f"{n},{n % 7},x{n % 2}" for n in range(40))
    (tmp_path / "named.csv").write_text(f"length,width,kind\n{rows}\n")
    (tmp_path / "bare.csv").write_text("\n".join(f"{n},{n % 7}" for n in range(40)))
    table = np.array([(n, n % 7) for n in range(40)], dtype=[("a", "f4"), ("b", "f4")])
    np.save(tmp_path / "fields.npy", table)

    def spec(*overrides: str) -> DataSpec:
        return build_data(settle(compose("trainer=cpu", *overrides))).spec

    def array(name: str, *overrides: str) -> DataSpec:
        return spec("data=array", f"data.path={tmp_path / name}", *overrides)

    assert array("named.csv", "data.source.label_column=kind").features == ("length", "width")
    assert array("bare.csv").features is None
    assert array("fields.npy", "data.source.columns=[b,a]").features == ("b", "a")
    assert spec("data=digits").units == "inked pixels of 16"
