"""Timing activations beside ReLU."""

import time

import pytest
import torch
from catalogue.cost import ROWS, UNITS, costs
from torch import Tensor, nn


class Slow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.01)
        return x * 2


def test_the_cost_is_that_of_one_element() -> None:
    (cost,) = costs({"slow": Slow()}, rounds=2).values()

    assert cost.nanoseconds >= 0.01e9 / (ROWS * UNITS)
    assert cost.relus > 5


def test_all_are_timed_in_turn_and_told_of() -> None:
    seen: list[str] = []

    class Watched(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, x: Tensor) -> Tensor:
            seen.append(self.name)
            return x * 2

    told: list[str] = []
    costs({"a": Watched("a"), "b": Watched("b")}, 3, told.append)

    once = ["a", "a", "b", "b"]  # a warm-up, and the pass that counts
    assert seen == ["a", "b", *once, *once, *once]
    assert told[-1] == "times activations: round 3 of 3"


def test_parameters_and_several_inputs_are_part_of_the_pass(gate: nn.Module) -> None:
    prelu = nn.PReLU()

    result = costs({"prelu": prelu, "gate": gate, "rrelu": nn.RReLU()}, rounds=1)

    assert set(result) == {"prelu", "gate", "rrelu"}
    assert prelu.weight.grad is None


def test_the_number_of_threads_stays() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(RuntimeError):
            costs({"prelu": nn.PReLU(7)}, rounds=1)
        costs({"relu": nn.ReLU()}, rounds=1)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
