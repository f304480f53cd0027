"""Likelihoods of counts: their formulas, what they ask of data and network, how far they hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from activae.config.settling import settle
from activae.errors import ConfigError
from activae.models import Autoencoder, MLPDecoder, MLPEncoder
from activae.models.counts import (
    LogShares,
    NegativeBinomial,
    NegativeBinomialHead,
    SharesOfTotal,
    log_probability,
)
from activae.objectives import Objective, multinomial, nb, poisson, zinb
from activae.results.run import train
from activae.training.assembly import build_data, build_model

LOSSES = {"multinomial": multinomial, "nb": nb, "poisson": poisson, "zinb": zinb}
GENES = 12


def network(name: str, seed: int = 0) -> Autoencoder:
    torch.manual_seed(seed)
    demand = Objective(LOSSES[name], l1=0.0, l2=0.0).demand
    assert demand.output is not None
    assert demand.reads is not None
    return Autoencoder(
        MLPEncoder((GENES,), 3, hidden=[8], activation=nn.Tanh),
        MLPDecoder(3, (demand.outputs * GENES,), hidden=[8], activation=nn.Tanh),
        shape=(GENES,),
        output_activation=demand.output((GENES,)),
        input_transform=demand.reads(),
    ).double()


def counts(samples: int = 6, mean: float = 2.0, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).poisson(mean, (samples, GENES)) * 1.0)


def of_scipy(x: Any, mean: Any, dispersion: Any) -> Any:
    return stats.nbinom.logpmf(x, dispersion, dispersion / (dispersion + mean))


@pytest.mark.parametrize("dispersion", [0.01, 0.7, 30.0, 49.9, 50.1, 1e3, 1e5])
@pytest.mark.parametrize("mean", [1e-3, 1.0, 40.0, 2e3])
def test_negative_binomial_is_that_of_scipy(mean: float, dispersion: float) -> None:
    x = torch.tensor([0.0, 1.0, 2.0, 17.0, 300.0, 5000.0]).double()
    of = NegativeBinomial(*(torch.full_like(x, np.log(v)) for v in (mean, dispersion)), None)

    found = log_probability(x, of)

    np.testing.assert_allclose(found, of_scipy(x.numpy(), mean, dispersion), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dropout", [-4.0, 0.0, 3.0])
def test_zero_inflation_mixes_in_zeros(dropout: float) -> None:
    x = torch.arange(5.0).double()
    of = NegativeBinomial(x * 0 + np.log(1.5), x * 0 + np.log(0.8), x * 0 + dropout)
    share = 1 / (1 + np.exp(-dropout))

    found = log_probability(x, of).exp().numpy()

    expected = (1 - share) * np.exp(of_scipy(x.numpy(), 1.5, 0.8))
    expected[0] += share
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("log_dispersion", [-30.0, -5.0, 3.9, 3.95, 12.0, 40.0])
@pytest.mark.parametrize("log_mean", [-30.0, 0.0, 9.0])
@pytest.mark.parametrize("dropout", [None, -60.0, 60.0])
def test_single_precision_gives_finite_values_and_gradients(
    log_mean: float, log_dispersion: float, dropout: float | None
) -> None:
    x = torch.tensor([0.0, 1.0, 259.0, 1e5])
    leaves = [torch.full_like(x, v, requires_grad=True) for v in (log_mean, log_dispersion)]
    extra = None if dropout is None else torch.full_like(x, dropout, requires_grad=True)

    log_p = log_probability(x, NegativeBinomial(leaves[0], leaves[1], extra))
    log_p.sum().backward()

    assert log_p.isfinite().all()
    assert (log_p <= 1e-3).all()
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in leaves)


def test_without_dispersion_it_is_poissons_also_in_single_precision() -> None:
    x = torch.tensor([0.0, 1.0, 7.0, 90.0])
    of = NegativeBinomial(torch.full_like(x, np.log(5.0)), torch.full_like(x, 18.0), None)

    np.testing.assert_allclose(log_probability(x, of), stats.poisson.logpmf(x, 5.0), rtol=2e-6)


def test_poisson_is_that_of_scipy() -> None:
    net, x = network("poisson"), counts()

    found = poisson(net, x).item()

    rates = net(x).detach().numpy()
    assert found == pytest.approx(-stats.poisson.logpmf(x.numpy(), rates).mean())


def test_multinomial_is_its_formula_divided_by_the_features() -> None:
    net, x = network("multinomial"), counts()

    found = multinomial(net, x).item()

    logits = net.logits(x).detach().numpy()
    log_shares = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert found == pytest.approx(-(x.numpy() * log_shares).sum(1).mean() / GENES)


@pytest.mark.parametrize("name", LOSSES)
def test_an_empty_sample_and_large_counts_are_no_trouble(name: str) -> None:
    net = network(name).float()
    x = torch.cat([torch.zeros(1, GENES), 1e5 * counts(1).float()])

    loss = LOSSES[name](net, x)
    loss.backward()

    assert loss.isfinite()
    assert net(x).isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", ["multinomial", "nb"])
def test_reconstructions_share_out_the_samples_total(name: str) -> None:
    net, x = network(name), counts()

    torch.testing.assert_close(net(x).sum(1), x.sum(1))
    torch.testing.assert_close(net.decode(net.encode(x)).sum(1), torch.ones(len(x)).double())


def test_extra_zeros_lower_the_mean() -> None:
    head = NegativeBinomialHead((2,), zero_inflated=True).double()
    raw = torch.tensor([[0.0, 0.0, 0.0, np.log(3.0)]]).double()

    mean = head(raw, torch.tensor([8.0]).double())

    torch.testing.assert_close(mean, torch.tensor([[2.0, 1.0]]).double())


def test_heads_keep_the_shape_of_images() -> None:
    shape, totals = (2, 4, 4), torch.ones(3)

    assert SharesOfTotal(shape)(torch.zeros(3, 2, 4, 4), totals).shape == (3, *shape)
    head = NegativeBinomialHead(shape, zero_inflated=True)
    assert head(torch.zeros(3, 4, 4, 4), totals).shape == (3, *shape)


def test_what_the_encoder_reads_does_not_depend_on_the_total() -> None:
    x = counts()

    torch.testing.assert_close(LogShares()(x), LogShares()(100 * x))
    assert LogShares()(torch.zeros(2, GENES)).eq(0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_stacked_networks_have_the_losses_and_gradients_of_each(name: str) -> None:
    members = [network(name, seed) for seed in range(3)]
    x = torch.stack([counts(seed=seed) for seed in range(3)])
    stacked = {
        key: torch.stack([dict(member.named_parameters())[key].detach() for member in members])
        for key, _ in members[0].named_parameters()
    }

    def loss_of(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        lent = {f"net.{key}": value for key, value in parameters.items()}
        found: Tensor = torch.func.functional_call(holder, lent, (x,))
        return found

    holder = Holder(members[0], LOSSES[name])
    gradients, losses = torch.func.vmap(torch.func.grad_and_value(loss_of))(stacked, x)

    for number, member in enumerate(members):
        alone = LOSSES[name](member, x[number])
        alone.backward()
        torch.testing.assert_close(losses[number], alone.detach())
        for key, parameter in member.named_parameters():
            torch.testing.assert_close(gradients[key][number], parameter.grad)


class Holder(nn.Module):
    """A loss as a module, so that it can be lent other parameters."""

    def __init__(self, net: Autoencoder, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.net = net
        self.loss = loss

    def forward(self, x: Tensor) -> Tensor:
        return self.loss(self.net, x)


Complain = Callable[..., str]


def assert_says(message: str, *parts: str) -> None:
    assert [part for part in parts if part not in message] == [], message


@pytest.mark.parametrize("name", LOSSES)
def test_data_below_zero_are_refused(name: str, complaint: Complain) -> None:
    message = complaint(f"objective={name}", "data.normalisation=standardise")

    assert_says(message, f"objective={name}", "0 or more", "set data.normalisation=none")


@pytest.mark.parametrize("name", ["nb", "zinb"])
def test_data_that_are_no_counts_are_refused(name: str, complaint: Complain) -> None:
    message = complaint(f"objective={name}", "data.normalisation=rms")

    assert_says(message, f"objective={name}", "whole numbers", "data.normalisation=rms")
    assert_says(message, "data.normalisation=none", "data.source.counts=true")


@pytest.mark.parametrize("name", LOSSES)
def test_another_output_activation_is_refused(name: str, complaint: Complain) -> None:
    message = complaint(
        f"objective={name}", "activation@output.activation=softplus", "data.normalisation=none"
    )

    assert_says(message, "output.activation=Softplus", f"objective={name}", "leave output")


@pytest.mark.parametrize(
    "halves", [("encoder=mlp", "decoder=mlp"), ("encoder=conv", "decoder=conv")]
)
def test_two_values_a_feature_go_with_every_decoder(
    halves: tuple[str, str], compose: Callable[..., Any]
) -> None:
    cfg = settle(compose("objective=zinb", "data.normalisation=none", "trainer=cpu", *halves))
    data = build_data(cfg)
    model = build_model(cfg, data)

    x = data.samples["val"][:4]
    assert model(x).shape == x.shape
    assert model.net.logits(x).numel() == 2 * x.numel()


def test_a_loss_of_ones_own_demands_nothing_unless_it_says_so() -> None:
    def own(net: Autoencoder, x: Tensor, *, power: int) -> Tensor:
        return (net(x) - x).abs().pow(power).mean()

    demand = Objective(partial(own, power=3), l1=0.0, l2=0.0).demand

    assert (demand.output, demand.reads, demand.outputs) == (None, None, 1)


def test_values_with_fractions_go_with_the_losses_that_need_no_counts() -> None:
    x = counts() * 0.37

    for name in ("poisson", "multinomial"):
        assert LOSSES[name](network(name), x).isfinite()


def test_a_wrong_decoder_is_named() -> None:
    with pytest.raises(ConfigError, match="does not take"):
        Autoencoder(
            MLPEncoder((GENES,), 3, hidden=[8], activation=nn.Tanh),
            MLPDecoder(3, (GENES,), hidden=[8], activation=nn.Tanh),
            shape=(GENES,),
            output_activation=NegativeBinomialHead((GENES,), zero_inflated=True),
        )


@pytest.mark.parametrize("name", LOSSES)
def test_layerwise_pretraining_which_compares_samples_is_refused(
    name: str, complaint: Complain
) -> None:
    message = complaint(f"objective={name}", "phases=layerwise", "data.normalisation=none")

    assert_says(message, "phases=layerwise", "phases=joint", "another objective")


@pytest.mark.parametrize("name", LOSSES)
def test_corrupted_input_reaches_the_encoder_alone(
    name: str, compose: Callable[..., Any], tmp_path: Path
) -> None:
    quick = ("trainer=cpu", "trainer.max_steps=3", "logger=minimal", "logger.progress_bar=false")
    counted = (f"objective={name}", "data.normalisation=none", "corruption=gaussian")

    found = train(compose(*quick, *counted), tmp_path)

    assert np.isfinite(found["test"]["SE"])
