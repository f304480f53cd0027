"""Losses: their formulas, what penalties apply to, and that they work on stacked networks."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from activae.activations import Snake
from activae.errors import ConfigError
from activae.models import Autoencoder, ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from activae.objectives import Demand, Objective, bce, huber, l1, mse
from activae.objectives.declared import total
from activae.results.run import train

LOSSES = {"mse": mse, "bce": bce, "l1": l1, "huber": partial(huber, delta=0.1)}


def autoencoder(seed: int = 0, kind: str = "mlp") -> Autoencoder:
    torch.manual_seed(seed)
    shape = (1, 8, 8)
    snake = partial(Snake, learnable=True)
    halves: tuple[nn.Module, nn.Module]
    if kind == "mlp":
        halves = (
            MLPEncoder(shape, 3, hidden=[10], activation=nn.PReLU),
            MLPDecoder(3, shape, hidden=[10], activation=snake),
        )
    else:
        halves = (
            ConvEncoder(shape, 3, channels=[4], activation=nn.PReLU),
            ConvDecoder(3, shape, channels=[4], activation=snake),
        )
    return Autoencoder(*halves, shape=shape, output_activation=nn.Sigmoid())


def batch(samples: int = 5, seed: int = 7) -> Tensor:
    return torch.rand(samples, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def objective(name: str, l1: float = 0.0, l2: float = 0.0) -> Objective:
    return Objective(LOSSES[name], l1=l1, l2=l2)


def by_hand(name: str, x: np.ndarray, y: np.ndarray) -> float:
    error = np.abs(x - y)
    formulas = {
        "mse": error**2,
        "l1": error,
        "huber": np.where(error <= 0.1, error**2 / 2, 0.1 * (error - 0.05)),
        "bce": -(x * np.log(y) + (1 - x) * np.log(1 - y)),
    }
    return float(formulas[name].mean())


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_its_formula_averaged_over_features_and_samples(name: str) -> None:
    net, x = autoencoder().double(), batch().double()

    terms = objective(name)(net, x)

    assert terms.keys() == {"reconstruction"}
    with torch.no_grad():
        expected = by_hand(name, x.numpy(), net(x).numpy())
    assert terms["reconstruction"].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_of_a_batch_is_the_mean_of_its_samples(name: str) -> None:
    net, x = autoencoder().double(), batch().double()
    loss = objective(name)

    one_by_one = [loss(net, sample[None])["reconstruction"] for sample in x]

    torch.testing.assert_close(loss(net, x)["reconstruction"], torch.stack(one_by_one).mean())


def test_cross_entropy_is_exact_where_the_sigmoid_rounds_to_one() -> None:
    net = autoencoder()
    output = net.decoder.get_submodule("output")
    assert isinstance(output, nn.Linear)
    nn.init.zeros_(output.weight)
    nn.init.constant_(output.bias, 200.0)
    x = torch.zeros(2, 1, 8, 8)

    loss = objective("bce")(net, x)["reconstruction"]
    loss.backward()

    assert net(x).min() == 1.0
    assert loss.item() == pytest.approx(200.0)
    assert output.bias.grad is not None
    assert output.bias.grad.sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_penalties_are_sums_over_weights_alone(kind: str) -> None:
    net = autoencoder(kind=kind)
    weights = torch.cat([w.flatten() for name, w in net.named_parameters() if is_weight(name)])

    terms = objective("mse", l1=0.5, l2=0.25)(net, batch())

    torch.testing.assert_close(terms["l1"], 0.5 * weights.abs().sum())
    torch.testing.assert_close(terms["l2"], 0.25 * weights.square().sum())


def is_weight(name: str) -> bool:
    return name.endswith(".weight") and "activation" not in name


def test_penalties_leave_biases_and_activations_alone() -> None:
    net = autoencoder()
    terms = objective("mse", l1=1.0, l2=1.0)(net, batch())

    (terms["l1"] + terms["l2"]).backward()

    touched = {name for name, p in net.named_parameters() if p.grad is not None}
    assert touched == {name for name, _ in net.named_parameters() if is_weight(name)}


@pytest.mark.parametrize("name", LOSSES)
def test_penalties_go_with_every_loss_and_add_to_it(name: str) -> None:
    net, x = autoencoder(), batch()

    plain, penalised = objective(name)(net, x), objective(name, l1=1e-3, l2=1e-3)(net, x)

    assert penalised.keys() == {"reconstruction", "l1", "l2"}
    torch.testing.assert_close(penalised["reconstruction"], plain["reconstruction"])
    torch.testing.assert_close(total(penalised), sum(penalised.values(), torch.zeros(())))


@pytest.mark.parametrize("name", LOSSES)
def test_only_the_cross_entropy_demands_an_output_and_a_range(name: str) -> None:
    demand = objective(name).demand

    if name == "bce":
        assert demand.output is not None
        assert isinstance(demand.output((3,)), nn.Sigmoid)
        assert (demand.least, demand.most) == (0, 1)
    else:
        assert demand == Demand()


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_penalties_of_no_sense_are_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=r"objective\.l1="):
        Objective(mse, l1=value, l2=0.0)
    with pytest.raises(ConfigError, match=r"objective\.l2="):
        Objective(mse, l1=0.0, l2=value)


@pytest.mark.parametrize("delta", [0.0, -1.0, float("nan")])
def test_huber_needs_a_positive_delta(delta: float) -> None:
    with pytest.raises(ConfigError, match=r"objective\.reconstruction\.delta="):
        huber(autoencoder(), batch(), delta=delta)


class Member(nn.Module):
    """What is stacked: a network whose forward pass is its loss."""

    def __init__(self, net: Autoencoder, loss: Objective) -> None:
        super().__init__()
        self.net = net
        self.loss = loss

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.loss(self.net, x)


@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize("name", LOSSES)
def test_stacked_networks_have_the_terms_and_gradients_of_each(name: str, kind: str) -> None:
    loss = objective(name, l1=1e-3, l2=1e-3)
    members = [Member(autoencoder(seed, kind).double(), loss) for seed in range(3)]
    x = torch.stack([batch(seed=seed) for seed in range(3)]).double()
    parameters, buffers = torch.func.stack_module_state(members)  # type: ignore[arg-type]

    def terms_of(parameters: Any, buffers: Any, x: Tensor) -> Any:
        return torch.func.functional_call(members[0], (parameters, buffers), (x,))

    stacked = torch.func.vmap(terms_of)(parameters, buffers, x)
    for member, own in zip(members, x, strict=True):
        total(member(own)).backward()
    gradients = torch.func.vmap(torch.func.grad(_summed(terms_of)))(parameters, buffers, x)

    for number, (member, own) in enumerate(zip(members, x, strict=True)):
        alone = member(own)
        assert stacked.keys() == alone.keys()
        for term, value in alone.items():
            torch.testing.assert_close(stacked[term][number], value)
        for parameter, value in member.named_parameters():
            torch.testing.assert_close(gradients[parameter][number], value.grad)


def _summed(terms_of: Callable[..., Any]) -> Callable[..., Tensor]:
    return lambda *args: total(terms_of(*args))


OWN = """
import torch
def of_its_own(net, x):
    return (net(x) - x).square().mean()
def of_each_sample(net, x):
    return (net(x) - x).square().mean(1)
def detached(net, x):
    return (net(x).detach() - x).square().mean()
def number(net, x):
    return 1.0
def broken(net, x):
    return net.nothing
"""


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("torch.nn.functional.smooth_l1_loss", ["raised AttributeError", "smooth_l1_loss(net(x)"]),
        ("torch.nn.MSELoss", ["raised RuntimeError", "smooth_l1_loss(net(x)"]),
        ("own_losses.of_each_sample", ["gives a tensor of shape (32, 8, 8), not one number"]),
        ("own_losses.detached", ["no gradient gets to the weights"]),
        ("own_losses.number", ["gives a float, not a tensor"]),
        ("own_losses.broken", ["raised AttributeError", "nothing"]),
    ],
)
def test_what_is_no_loss_is_told_what_a_loss_must_be(
    path: str,
    parts: list[str],
    complaint: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_losses.py").write_text(OWN)

    said = complaint(f"objective.reconstruction._target_={path}")

    parts = [*parts, f"objective.reconstruction._target_={path}", "called with the autoencoder"]
    assert [part for part in parts if part not in said] == [], said


def test_trying_a_loss_of_ones_own_changes_no_figure(
    compose: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a batch normalisation and dropout, which keep and draw numbers."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_losses.py").write_text(OWN)
    quick = ("trainer=cpu", "trainer.max_steps=3", "logger=minimal", "encoder.dropout=0.2")
    same = (*quick, "encoder.normalisation=batch", "activation=rrelu")

    ours = train(compose(*same), tmp_path / "ours")
    own = "objective.reconstruction._target_=own_losses.of_its_own"
    theirs = train(compose(*same, own), tmp_path / "theirs")

    assert ours["test"]["SE"] == theirs["test"]["SE"]
