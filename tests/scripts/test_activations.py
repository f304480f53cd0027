"""scripts/activations.py from its command line."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("activations")


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    """Two activations and one that needs a user's help."""
    folder = tmp_path / "configs"
    folder.mkdir()
    for name in ("relu", "prelu", "custom"):
        source = ROOT / "configs" / "activation" / f"{name}.yaml"
        (folder / source.name).write_bytes(source.read_bytes())
    return folder


def rows(output: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in output.splitlines() if line}


def test_all_options_are_shown_with_figures_and_cost(
    script: ModuleType, configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["--configs", str(configs), "--rounds", "1"]) == 0

    output = capsys.readouterr().out
    table = rows(output)
    assert table["relu"][:6] == ["1.4142", "1.000", "1.000", "0", "to", "inf"]
    *_, nanoseconds, relus, parameters = table["prelu"]
    assert float(nanoseconds) > 0
    assert float(relus) > 0
    assert parameters == "1"
    assert "left out custom: needs activation.function" in output


def test_names_restrict_the_table(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["tanh", "mish", "--rounds", "0"]) == 0

    assert set(rows(capsys.readouterr().out)) == {"activation", "mish", "tanh"}


def test_check_is_silent_about_nothing_and_ends_with_0_or_1(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("activation,parameters,gain,chi_1,s\ntanh,,1.5925,,\nrelu,,1.4141,,\n")

    assert script.main(["--check", str(path)]) == 1
    output = capsys.readouterr().out
    assert "ok        tanh: gain" in output
    assert "mismatch  relu: gain is 1.41421" in output
    assert "1 of 2 rows agree" in output

    path.write_text("activation,parameters,gain,chi_1,s\ntanh,,1.5925,,\n")
    assert script.main(["--check", str(path)]) == 0


def test_docs_are_written_with_a_picture_each(
    script: ModuleType, configs: Path, tmp_path: Path
) -> None:
    images = tmp_path / "docs" / "images" / "activations"
    images.mkdir(parents=True)
    (images / "gone.svg").write_text("of an option that is no more")
    page = tmp_path / "docs" / "page.md"

    assert script.main(["--configs", str(configs), "--rounds", "1", "--docs", str(page)]) == 0

    text = page.read_text(encoding="utf-8")
    assert [f"## {name}" in text for name in ("custom", "prelu", "relu")] == [True] * 3
    assert {path.name for path in images.iterdir()} == {"prelu.svg", "relu.svg"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rellu"], "activation=rellu"),
        (["relu", "--docs"], "leave the names out"),
        (["--check", "absent.csv"], "absent.csv: cannot be read"),
        (["--rounds", "-1"], "must be 0 or more"),
        (["--configs", "absent"], "holds no yaml"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: list[str], message: str, script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        script.main(arguments)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err
