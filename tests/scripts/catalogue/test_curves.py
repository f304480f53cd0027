"""The curves of a picture: sampled finely enough, broken where the function jumps."""

import numpy as np
import pytest
import torch
from catalogue.curves import LEFT, RIGHT, Curve, curves_of
from torch import nn

from activae.activations import Sin


def value(curve: Curve, x: float) -> float:
    (found,) = {
        round(float(np.interp(x, *piece)), 6)
        for piece in curve.pieces
        if piece[0][0] <= x <= piece[0][-1]
    }
    return found


def test_a_smooth_activation_is_one_piece_and_so_is_its_slope() -> None:
    f, slope = curves_of(nn.Tanh())

    assert (f.label, slope.label) == ("f", "f ′")
    for curve, function in ((f, np.tanh), (slope, lambda x: 1 - np.tanh(x) ** 2)):
        ((x, y),) = curve.pieces
        assert (x[0], x[-1]) == (LEFT, RIGHT)
        np.testing.assert_allclose(y, function(x), atol=1e-6)


@pytest.mark.parametrize(
    ("activation", "edges"),
    [(nn.ReLU(), [0]), (nn.Hardtanh(), [-1, 1]), (nn.Softshrink(0.5), [-0.5, 0.5])],
)
def test_a_slope_is_broken_at_the_kinks(activation: nn.Module, edges: list[float]) -> None:
    f, slope = curves_of(activation)

    assert len(f.pieces) == 1
    assert [x[0] for x, _ in slope.pieces] == pytest.approx([LEFT, *edges])
    assert [x[-1] for x, _ in slope.pieces] == pytest.approx([*edges, RIGHT])
    assert all(len(np.unique(y.round(9))) == 1 for _, y in slope.pieces)


def test_a_function_is_broken_where_it_jumps() -> None:
    f, _ = curves_of(nn.Threshold(1.0, 0.0))

    (_, left), (_, right) = f.pieces
    assert left[-1] == 0
    assert right[0] == pytest.approx(1)


def test_a_fast_wave_gets_more_points() -> None:
    ((x, _),) = curves_of(Sin(30.0))[0].pieces

    assert x[1] - x[0] == pytest.approx(0.01)
    assert curves_of(Sin())[0].pieces[0][0][1] == pytest.approx(LEFT + 0.05)


def test_of_several_inputs_sections_are_shown(gate: nn.Module) -> None:
    sections = curves_of(gate)

    assert [curve.label for curve in sections] == ["f(−1, x)", "f(0.5, x)", "f(2, x)"]
    assert value(sections[2], 1.0) == pytest.approx(2 * torch.sigmoid(torch.tensor(1.0)).item())


def test_of_several_outputs_each_is_shown(both: nn.Module) -> None:
    first, second = curves_of(both)

    assert (first.label, second.label) == ("f1", "f2")
    assert (value(first, -2.0), value(second, -2.0)) == (0, 2)
