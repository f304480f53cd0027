"""What is said where a dotted path leads into a package that is not installed."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from activae.config.dotted_path import EXTRAS

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_an_option_of_an_extra_that_is_not_installed(
    complaint: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)

    assert complaint("optimizer=lion") == (
        "optimizer._target_='pytorch_optimizer.Lion': needs pytorch_optimizer: "
        "pip install 'activae[optimizers]'"
    )


@pytest.mark.parametrize(("package", "extra"), EXTRAS.items())
def test_every_extra_that_is_named_installs_its_package(package: str, extra: str) -> None:
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]

    assert any(requirement.startswith(package) for requirement in extras[extra])
