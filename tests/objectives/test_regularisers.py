"""Regularisers: their formulas, and that an objective with them is still a pure function."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from activae.errors import ConfigError
from activae.models import Autoencoder, MLPDecoder, MLPEncoder
from activae.objectives import (
    CodeL1,
    Contractive,
    HutchinsonContractive,
    KLSparse,
    Objective,
    Regularised,
    Regulariser,
    mse,
)
from activae.objectives import regularisers as regularisers_module
from activae.objectives.batch import Noise

CODE = 3
ALL: dict[str, Regulariser] = {
    "code_l1": CodeL1(0.1),
    "kl_sparse": KLSparse(0.2, activity=0.1),
    "contractive": Contractive(0.3),
    "contractive_hutchinson": HutchinsonContractive(0.4, probes=2),
}


def autoencoder(code_activation: nn.Module | None = None) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(
        MLPEncoder((6,), CODE, hidden=[5], activation=nn.Tanh),
        MLPDecoder(CODE, (6,), hidden=[5], activation=nn.Tanh),
        shape=(6,),
        code_activation=code_activation or nn.Sigmoid(),
    ).double()


def samples(count: int = 4) -> Tensor:
    return torch.rand(count, 6, generator=torch.Generator().manual_seed(1)).double()


def jacobians(net: Autoencoder, x: Tensor) -> Tensor:
    return torch.stack([torch.autograd.functional.jacobian(net.encode, row[None]) for row in x])


def test_code_l1_is_the_mean_over_samples_of_the_sum_of_absolute_values() -> None:
    net, x = autoencoder(nn.Identity()), samples()

    expected = np.abs(net.encode(x).detach().numpy()).sum(1).mean()

    assert CodeL1(1.0)(net, x).item() == pytest.approx(expected)


@pytest.mark.parametrize(("activation", "low", "width"), [(nn.Sigmoid, 0, 1), (nn.Tanh, -1, 2)])
def test_kl_sparse_compares_the_mean_of_each_unit_with_the_wanted_activity(
    activation: type[nn.Module], low: float, width: float
) -> None:
    net, x = autoencoder(activation()), samples()
    regulariser = KLSparse(1.0, activity=0.1)
    regulariser.check(net)

    mean = (net.encode(x).detach().numpy().mean(0) - low) / width
    expected = (0.1 * np.log(0.1 / mean) + 0.9 * np.log(0.9 / (1 - mean))).sum()

    assert regulariser(net, x).item() == pytest.approx(expected)


def test_kl_sparse_is_nothing_where_every_unit_is_as_active_as_wanted() -> None:
    net, x = autoencoder(), samples()
    nn.init.zeros_(net.encoder.code.weight)  # type: ignore[union-attr,arg-type]
    nn.init.zeros_(net.encoder.code.bias)  # type: ignore[union-attr,arg-type]

    assert KLSparse(1.0, activity=0.5)(net, x).item() == pytest.approx(0.0)


def test_kl_sparse_of_a_silent_unit_is_finite() -> None:
    net, x = autoencoder(nn.Hardsigmoid()), samples()
    nn.init.constant_(net.encoder.code.bias, -100.0)  # type: ignore[union-attr,arg-type]

    assert KLSparse(1.0, activity=0.05)(net, x).isfinite()


def test_kl_sparse_refuses_a_code_without_bounds() -> None:
    with pytest.raises(ConfigError, match=r"activation@encoding\.activation=sigmoid"):
        KLSparse(1.0, activity=0.1).check(autoencoder(nn.ReLU()))


def test_contractive_is_the_squared_norm_of_the_jacobian() -> None:
    net, x = autoencoder(), samples()

    expected = jacobians(net, x).square().sum() / len(x)

    assert Contractive(1.0)(net, x).item() == pytest.approx(expected.item())


def test_contractive_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = autoencoder(), samples()
    whole = Contractive(1.0)(net, x)

    monkeypatch.setattr(regularisers_module, "_VALUES_AT_ONCE", 1)

    assert Contractive(1.0)(net, x).item() == pytest.approx(whole.item())


def test_the_gradient_of_contractive_reaches_the_encoder() -> None:
    net, x = autoencoder(), samples()

    def penalty(weight: Tensor) -> Tensor:
        return functional_call(
            _Call(net, Contractive(1.0)), {"net.encoder.layer1.weight": weight}, (x,)
        )

    weight = net.get_parameter("encoder.layer1.weight").detach().requires_grad_()
    assert torch.autograd.gradcheck(penalty, (weight,))
    Contractive(1.0)(net, x).backward()
    (expected,) = torch.autograd.grad(penalty(weight), weight)
    torch.testing.assert_close(net.get_parameter("encoder.layer1.weight").grad, expected)


class _Call(nn.Module):
    def __init__(self, net: Autoencoder, regulariser: Regulariser) -> None:
        super().__init__()
        self.net = net
        self.regulariser = regulariser

    def forward(self, x: Tensor) -> Tensor:
        return self.regulariser(self.net, x, None)


def test_hutchinsons_estimate_is_contractive_on_average() -> None:
    net, x = autoencoder(), samples()
    regulariser = HutchinsonContractive(1.0, probes=20_000)
    drawn = Noise(0, None, {"it": regulariser.draw}, CODE).evaluation(x)["it"]  # type: ignore[index]

    found = regulariser(net, x, drawn)

    assert found.item() == pytest.approx(Contractive(1.0)(net, x).item(), rel=0.02)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (partial(CodeL1, -1.0), "regulariser.code_l1.weight=-1.0"),
        (partial(Contractive, float("nan")), "regulariser.contractive.weight=nan"),
        (partial(KLSparse, 1.0, activity=1.0), "regulariser.kl_sparse.activity=1.0"),
        (partial(HutchinsonContractive, 1.0, probes=0), "contractive_hutchinson.probes=0"),
    ],
)
def test_parameters_of_no_sense_are_refused(make: Any, key: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        make()
    assert key in str(refusal.value)


def regularised(objective: Any = None, **weights: float) -> Regularised:
    return Regularised(objective or Objective(mse, l1=0.0, l2=0.01), ALL)


def batches(x: Tensor, count: int) -> list[Any]:
    def shifted(x: Tensor, *, noise: torch.Generator) -> Tensor:
        return x + torch.rand(x.shape, generator=noise)

    draws = {name: regulariser.draw for name, regulariser in ALL.items() if regulariser.draw}
    noise = Noise(0, shifted, draws, CODE)
    return [noise.training(x, step) for step in range(count)]


def test_an_objective_has_all_terms_times_their_weights() -> None:
    net, x = autoencoder(), samples()
    (batch,) = batches(x, 1)

    terms = regularised()(net, batch)

    assert list(terms) == ["reconstruction", "l2", *ALL]
    seen = batch["seen"]
    for name, regulariser in ALL.items():
        torch.testing.assert_close(
            terms[name], regulariser.weight * regulariser(net, seen, batch.get(name))
        )


def test_the_loss_asks_for_the_clean_sample_of_what_the_encoder_sees() -> None:
    net, x = autoencoder(), samples()
    (batch,) = batches(x, 1)

    found = regularised()(net, batch)["reconstruction"]

    torch.testing.assert_close(found, (net(batch["seen"]) - x).square().mean())


def test_an_objective_of_the_users_own_is_regularised_too() -> None:
    def own(net: Autoencoder, x: Tensor) -> dict[str, Tensor]:
        return {"mine": (net(x) - x).abs().max()}

    objective = Regularised(own, {"code_l1": CodeL1(2.0)})

    assert list(objective(autoencoder(), samples())) == ["mine", "code_l1"]
    assert objective.strengths == (2.0,)


def test_strengths_stand_in_for_the_objectives_own_numbers() -> None:
    net, x = autoencoder(), samples()
    (batch,) = batches(x, 1)
    objective = regularised()

    doubled = objective(net, batch, 2 * torch.tensor(objective.strengths).double())

    for name, term in objective(net, batch).items():
        factor = 1 if name == "reconstruction" else 2
        torch.testing.assert_close(doubled[name], factor * term)


def test_it_is_a_pure_function_of_network_and_batch() -> None:
    x = samples()
    nets = [autoencoder(), autoencoder()]
    with torch.no_grad():
        for parameter in nets[1].parameters():
            parameter.mul_(1.5)
    drawn = batches(x, 2)
    objective = regularised()

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nets[0]

        def forward(self, batch: Any) -> Any:
            return objective(self.net, batch)

    whole = Whole()
    parameters = {
        f"net.{name}": torch.stack([net.get_parameter(name) for net in nets])
        for name, _ in nets[0].named_parameters()
    }
    together = {name: torch.stack([batch[name] for batch in drawn]) for name in drawn[0]}
    found = vmap(lambda p, batch: functional_call(whole, p, (batch,)))(parameters, together)

    for place, (net, batch) in enumerate(zip(nets, drawn, strict=True)):
        for name, term in objective(net, batch).items():
            torch.testing.assert_close(found[name][place], term)
