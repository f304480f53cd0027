"""docs/activations.md is what the yamls and docstrings make of it; so are its pictures."""

import re
from pathlib import Path

import pytest
from catalogue.cost import Cost
from catalogue.figures import Figures, figures_of
from catalogue.options import Option, read_options
from catalogue.page import page, timings
from catalogue.picture import picture

ROOT = Path(__file__).parents[3]
OPTIONS = read_options(ROOT / "configs" / "activation")
BUILDABLE = [option for option in OPTIONS.values() if not option.missing]
PAGE = ROOT / "docs" / "activations.md"
IMAGES = ROOT / "docs" / "images" / "activations"
RUN = "run `python scripts/activations.py --docs`"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def test_the_page_is_up_to_date_but_for_times() -> None:
    text = PAGE.read_text(encoding="utf-8")
    costs, machine = timings(text)
    figures = {option.name: figures_of(option.make()) for option in BUILDABLE}

    written = page(OPTIONS, figures, costs, machine, "images/activations")

    assert set(costs) == set(figures), RUN
    assert written == text, RUN


@pytest.mark.parametrize("option", BUILDABLE, ids=lambda option: option.name)
def test_every_picture_is_up_to_date(option: Option) -> None:
    path = IMAGES / f"{option.name}.svg"
    assert path.exists(), RUN
    found, expected = path.read_text(encoding="utf-8"), picture(option.make(), option.name)

    assert NUMBER.sub("", found) == NUMBER.sub("", expected), RUN
    # A tenth of a pixel: machines round differently.
    for number, other in zip(NUMBER.findall(found), NUMBER.findall(expected), strict=True):
        assert float(number) == pytest.approx(float(other), abs=0.11), RUN


def test_there_is_no_picture_of_nothing() -> None:
    assert {path.stem for path in IMAGES.iterdir()} == {option.name for option in BUILDABLE}, RUN


def test_a_page_says_what_is_known_and_leaves_a_dash_for_what_is_not() -> None:
    figures = {"glu": Figures(1.8462, None, None, None, None, 0)}
    options = {"glu": option("glu"), "mine": option("mine", missing="function")}

    text = page(options, figures, {}, "a machine", "pictures")

    assert "| [glu](#glu) | 1.8462 | - | - | - | - | - | 0 | `v \\|w\\|` |" in text
    assert "![f and its slope: glu](pictures/glu.svg)" in text
    assert "**Name**: `v |w|`. Nobody 2025." in text
    assert "gain 1.8462 · chi_1 - · s - · range - · ns - · x ReLU - · parameters 0" in text
    assert "## mine" in text
    assert "Needs `activation.function`: no figures." in text
    assert "Timed on a machine." in text


def test_times_are_read_back_as_they_were_written() -> None:
    figures = {"glu": Figures(1.8462, 1.0, -0.4, 0.0, 12.3, 3)}
    costs = {"glu": Cost(12.3, 4.5)}

    text = page({"glu": option("glu")}, figures, costs, "X (TM) 1.2, torch 2.15", "pictures")

    assert timings(text) == (costs, "X (TM) 1.2, torch 2.15")


def option(name: str, missing: str = "") -> Option:
    return Option(
        name=name,
        title="Name",
        formula="v |w|",
        remark="A remark.",
        source="Nobody 2025",
        stated_gain="1.8462",
        parameters=(),
        node={"_target_": "torch.nn.ReLU", **({missing: "???"} if missing else {})},
    )
