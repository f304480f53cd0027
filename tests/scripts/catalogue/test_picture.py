"""The pictures: well-formed SVG, in the right place, readable on white and on black."""

import re
from xml.etree import ElementTree as ET

import pytest
from catalogue.picture import picture
from torch import nn

SVG = "{http://www.w3.org/2000/svg}"


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_it_is_an_svg_with_a_title_axes_and_a_legend() -> None:
    tree = ET.fromstring(picture(nn.Tanh(), "tanh & more"))

    assert tree.tag == f"{SVG}svg"
    assert tree.findtext(f"{SVG}title") == "tanh & more"
    texts = [element.text for element in tree.iter(f"{SVG}text")]
    assert texts == ["−4", "−2", "0", "2", "4", "−2", "0", "2", "f", "f ′"]


@pytest.mark.parametrize("background", ["#ffffff", "#0d1117"])
def test_every_colour_stands_out_from_white_and_from_black(
    background: str, gate: nn.Module
) -> None:
    colours = set(re.findall(r"#[0-9a-f]{6}", picture(gate, "gate")))

    assert len(colours) == 4
    assert all(contrast(colour, background) >= 3 for colour in colours)


def test_both_axes_have_one_scale() -> None:
    tree = ET.fromstring(picture(nn.Identity(), "identity"))

    curve = next(e for e in tree.iter(f"{SVG}path") if e.get("stroke") == "#2f81f7")
    (x0, y0), *_, (x1, y1) = (
        map(float, point.split()) for point in curve.attrib["d"][1:].split("L")
    )
    assert x1 - x0 == pytest.approx(y0 - y1)


def test_a_jump_is_a_gap() -> None:
    paths = re.findall(r'<path d="(M[^"]*L[^"]*)"', picture(nn.Hardshrink(), "hardshrink"))

    assert [path.count("M") for path in paths] == [3, 3]
