"""Comparing figures with those of a file."""

from pathlib import Path

import pytest
from catalogue.options import read_options
from catalogue.reference import Verdict, check

from activae.errors import ConfigError

ROOT = Path(__file__).parents[3]
OPTIONS = read_options(ROOT / "configs" / "activation")
HEADER = "activation,parameters,gain,chi_1,s\n"


def verdict(row: str, tmp_path: Path) -> Verdict:
    path = tmp_path / "figures.csv"
    path.write_text(f"# a comment\n{HEADER}{row}\n")
    (result,) = check(path, OPTIONS)
    return result


def test_the_figures_agree_with_those_computed_elsewhere() -> None:
    verdicts = check(ROOT / "docs" / "reference_figures.csv", OPTIONS)

    assert [verdict for verdict in verdicts if verdict.differences] == []
    assert len(verdicts) >= 40
    assert all("gain" in verdict.compared for verdict in verdicts)


def test_a_row_that_agrees(tmp_path: Path) -> None:
    assert verdict("celu,alpha=2.0,1.1552,1.016,0.899", tmp_path) == Verdict(
        "celu(alpha=2.0)", ("gain", "chi_1", "s"), ()
    )


def test_empty_figures_are_not_compared(tmp_path: Path) -> None:
    assert verdict("tanh,,,1.18,", tmp_path) == Verdict("tanh", ("chi_1",), ())


def test_a_figure_that_differs_is_named_with_both_values(tmp_path: Path) -> None:
    (difference,) = verdict("tanh,,1.5926,1.178,0.461", tmp_path).differences

    assert difference.startswith("gain is 1.5925")
    assert difference.endswith("the file says 1.5926")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("tanhh,,1.5925,,", "no such option"),
        ("elu,alpa=2,1.5925,,", "no parameter of that name"),
        ("elu,alpha,1.5925,,", "write the parameters as"),
        ("custom,,1.5925,,", "activation"),
        ("softshrink,lambd=99.0,1.5925,,", "is 0 for all inputs"),
    ],
)
def test_what_cannot_be_computed_is_a_mismatch(row: str, message: str, tmp_path: Path) -> None:
    (difference,) = verdict(row, tmp_path).differences

    assert message in difference


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its first line must be activation,parameters,gain,chi_1,s"),
        ("name,gain\n", "its first line must be"),
        (f"# one\n{HEADER}tanh,,1.5925\n", "line 3: 'tanh,,1.5925' must hold"),
        (f"{HEADER}tanh,,wide,,\n", "line 2: .* numbers or empty"),
    ],
)
def test_a_file_of_another_form_is_refused_by_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "figures.csv"
    path.write_text(text)

    with pytest.raises(ConfigError, match=message):
        check(path, OPTIONS)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.csv: cannot be read"):
        check(tmp_path / "absent.csv", OPTIONS)
