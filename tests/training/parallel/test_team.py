"""What a rank computes on, and when it ends."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from activae.activations import RReLU
from activae.config.settling import container, settle
from activae.results.recording import Recorders
from activae.training.fitting import note_own_draws
from activae.training.parallel.rank import Assignment, run_rank
from activae.training.parallel.team import Team

CPU = torch.device("cpu")


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("samples", [1, 2, 4, 7, 32])
def test_shares_are_consecutive_and_make_up_the_batch(samples: int, ranks: int) -> None:
    batch = torch.arange(samples)[:, None]

    shares = [Team(rank, ranks, CPU).share(batch) for rank in range(ranks)]

    assert sum(weight for _, weight in shares) == pytest.approx(1)
    assert all(len(share) >= 1 for share, _ in shares), "the mean of nothing is NaN"
    held = [share for share, weight in shares if weight]
    assert torch.equal(torch.cat(held), batch)  # type: ignore[arg-type]
    assert [weight for _, weight in shares if weight] == [len(s) / samples for s in held]
    assert max(map(len, held)) - min(map(len, held)) <= 1


def test_what_was_drawn_for_a_sample_goes_with_it() -> None:
    x = torch.arange(5)[:, None]
    batch = {"x": x, "seen": x + 10, "probes": torch.stack([x + 20, x + 30], dim=1)}

    share, weight = Team(1, 2, CPU).share(batch)

    assert isinstance(share, dict)
    assert weight == pytest.approx(3 / 5)
    assert share["x"].flatten().tolist() == [2, 3, 4]
    assert share["seen"].flatten().tolist() == [12, 13, 14]
    assert share["probes"].flatten().tolist() == [22, 32, 23, 33, 24, 34]


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ([nn.Dropout(0.1), RReLU()], "Dropout, RReLU"),
        ([nn.Linear(2, 2), nn.RReLU()], "RReLU"),
        ([nn.Linear(2, 2), nn.Tanh()], ""),
    ],
)
def test_layers_that_draw_on_each_device_apart_are_named(
    layers: list[nn.Module], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    note_own_draws(nn.Sequential(*layers))

    assert (f"note   {named}: each device draws" in caplog.text) is bool(named)
    assert ("each device" in caplog.text) is bool(named)


def test_a_rank_ends_when_its_launcher_is_gone(compose: Any, tmp_path: Path) -> None:
    """Though it waits for another one that never comes."""
    settled = container(settle(compose("trainer=ddp")))
    context = get_context("forkserver")
    context.set_forkserver_preload([run_rank.__module__])
    here, there = context.Pipe()
    alone = Assignment(0, 2, settled, tmp_path, Recorders(), tmp_path / "meeting", 20)
    process = context.Process(target=run_rank, args=(alone, there))
    process.start()
    there.close()

    here.close()

    process.join(60)
    assert process.exitcode == 1
