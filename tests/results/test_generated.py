"""Pictures of new samples, of lines through codes and of the plane of a code, in TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from activae.results.generated import along, between, plane
from activae.results.run import train

Compose = Callable[..., DictConfig]

QUICK = ("trainer=cpu", "logger=tensorboard", "logger.progress_bar=false", "trainer.max_steps=3")
RECONSTRUCTIONS = {"reconstructions", "reconstructions/test"}


@pytest.mark.parametrize(
    ("overrides", "more"),
    [
        (("experiment=vae", "encoding=dim2"), {"manifold"}),
        (("latent=spherical", "encoding.dim=3"), set()),
        (("sampler=gaussian",), set()),
    ],
)
def test_a_run_that_makes_samples_shows_them(
    overrides: tuple[str, ...], more: set[str], compose: Compose, tmp_path: Path
) -> None:
    train(compose(*QUICK, *overrides, "data=digits"), tmp_path)
    events = EventAccumulator(str(tmp_path))
    events.Reload()

    made = {"samples", "interpolations", "traversals"} | more
    assert set(events.Tags()["images"]) == RECONSTRUCTIONS | made
    assert all([event.step for event in events.Images(tag)] == [3] for tag in made)
    (sheet,) = events.Images("samples")
    assert (sheet.width, sheet.height) == (8 * 50, 2 * 50)  # without a gap


def test_lines_go_from_code_to_code_and_along_what_varies_most() -> None:
    first, second = torch.zeros(2, 3), torch.tensor([[7.0, 0, 0], [0, 14.0, 7.0]])
    assert between(first, second)[[0, 1, 7, 9]].tolist() == [
        *([0, 0, 0], [1, 0, 0], [7, 0, 0]),
        [0, 2, 1],
    ]

    codes = torch.tensor([[1.0, 5.0], [1.0, 7.0], [3.0, 3.0], [3.0, 9.0]])
    lines = along(codes).view(2, 8, 2)
    assert (lines[0, :, 0] == 2).all()  # the second dimension varies more
    assert lines[0, [0, -1], 1].tolist() == pytest.approx([6 - 2 * 5**0.5, 6 + 2 * 5**0.5])
    assert lines[1, [0, -1]].flatten().tolist() == pytest.approx([0, 6, 4, 6])


def test_a_plane_has_the_second_dimension_upwards() -> None:
    codes = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 10.0])
    places = plane(codes).view(12, 12, 2)

    assert (places[0, :, 1] > 9).all()
    assert (places[-1, :, 1] < 1).all()
    assert (places[:, 0, 0] < 0.1).all()
    assert (places[:, -1, 0] > 0.9).all()
