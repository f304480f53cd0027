"""Latents and what regularises their codes: formulas by independent means, knobs, limits."""

from __future__ import annotations

from math import log, pi
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from activae.errors import ConfigError, DataError
from activae.models import Autoencoder, MLPDecoder, MLPEncoder
from activae.models.latent import Latent
from activae.models.latents import Gaussian, Spherical, VectorQuantised
from activae.objectives import (
    KL,
    MMD,
    Adversarial,
    Commitment,
    ImportanceWeighted,
    Objective,
    RAEGradient,
    RAESpectral,
    RAEWeights,
    Regularised,
    TotalCorrelation,
    bce,
    likelihood_of,
    log_evidence,
    mse,
    multinomial,
    nb,
    poisson,
    zinb,
)
from activae.objectives.generative import WarmUp, discrepancy, largest_singular_value
from activae.objectives.importance import nll_figures, refuse_improbable

FEATURES, CODE, BATCH = 6, 2, 16


def autoencoder(latent: Latent | None = None, *, output: nn.Module | None = None) -> Autoencoder:
    torch.manual_seed(0)
    encoded = (latent.inputs if latent else None) or CODE
    half = {"activation": nn.Tanh, "hidden": [5]}
    net = Autoencoder(
        MLPEncoder((FEATURES,), encoded, **half),
        MLPDecoder(CODE, (FEATURES,), **half),
        shape=(FEATURES,),
        latent=latent,
        output_activation=output,
    )
    return net.double()


def samples(count: int = BATCH) -> Tensor:
    return torch.rand(count, FEATURES, generator=torch.Generator().manual_seed(1)).double()


def normal(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def terms(net: Autoencoder, batch: Any = None, **regularisers: Any) -> dict[str, Tensor]:
    x = samples()
    batch = {"x": x, "latent": normal(BATCH, CODE)} if batch is None else batch
    objective = Regularised(Objective(mse, l1=0.0, l2=0.0), regularisers, 1.0)
    return objective(net, batch)


# -- the latents


def test_a_gaussian_code_is_the_mean_and_in_training_a_sample() -> None:
    latent = Gaussian(CODE)
    encoded, drawn = normal(1000, 2 * CODE), normal(1000, CODE)

    mean, log_variance = encoded[:, :CODE], encoded[:, CODE:]
    assert latent.code(encoded).equal(mean)
    sampled, found, updates = latent(encoded, drawn)
    torch.testing.assert_close((sampled - mean) / (log_variance / 2).exp(), drawn)
    assert found == updates == {}


def test_spherical_codes_lie_on_the_sphere_of_unit_mean_square() -> None:
    encoded = normal(20, CODE)

    for latent in (Spherical(CODE, noise=0.0), Spherical(CODE, noise=0.5)):
        for code in (latent.code(encoded), latent(encoded, normal(20, CODE, seed=3))[0]):
            torch.testing.assert_close(code.square().mean(1), torch.ones(20).double())
    still = Spherical(CODE, noise=0.0)
    assert still(encoded, normal(20, CODE))[0].equal(still.code(encoded))
    moved = Spherical(CODE, noise=0.5)
    assert not moved(encoded, normal(20, CODE))[0].equal(moved.code(encoded))


@pytest.mark.parametrize("decay", [0.9, None])
def test_words_are_the_nearest_and_gradients_pass_through(decay: float | None) -> None:
    latent = VectorQuantised(4, words=5, parts=2, decay=decay).double()
    encoded = normal(7, 4).requires_grad_()

    code = latent(encoded, None)[0]

    cut = encoded.detach().reshape(14, 2)
    nearest = torch.cdist(cut, latent.words.detach()).argmin(1)
    torch.testing.assert_close(code.detach(), latent.words.detach()[nearest].reshape(7, 4))
    torch.testing.assert_close(latent.code(encoded), code)
    (slope,) = torch.autograd.grad((code * 3.0).sum(), encoded)
    assert slope.equal(torch.full_like(encoded, 3.0))


def test_words_settle_at_the_means_of_what_is_rounded_to_them() -> None:
    latent = VectorQuantised(1, words=2, parts=1, decay=0.5).double()
    latent.words.copy_(torch.tensor([[-1.0], [1.0]]))
    latent.sums.copy_(latent.words)
    encoded = torch.tensor([[-3.0], [-5.0], [2.0]]).double()

    for _ in range(40):
        for name, value in latent(encoded, None)[2].items():
            latent.get_buffer(name).copy_(value)

    torch.testing.assert_close(
        latent.words, torch.tensor([[-4.0], [2.0]]).double(), rtol=1e-4, atol=0
    )


def test_a_codebook_starts_at_encodings_of_the_seed() -> None:
    encoded = normal(50, 4)
    words = []
    for _ in range(2):
        latent = VectorQuantised(4, words=5, parts=1, decay=0.9).double()
        latent.start(encoded, torch.Generator().manual_seed(0))
        words.append(latent.words.clone())

    assert words[0].equal(words[1])
    assert torch.cdist(words[0], encoded).min(1).values.max() < 0.1


# -- the penalties, by independent means


def test_the_divergence_is_that_of_torchs_distributions() -> None:
    net, x = autoencoder(Gaussian(CODE)), samples()
    mean, log_variance = net.encoded(x).chunk(2, 1)

    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0))

    # Summed over the code, averaged over samples, on the scale of a mean over features.
    torch.testing.assert_close(KL(1.0)(net, x), expected.sum(1).mean() / FEATURES)
    spared = expected.mean(0).clamp(min=0.3).sum() / FEATURES
    torch.testing.assert_close(KL(1.0, free_bits=0.3)(net, x), spared)


def test_a_sampled_divergence_is_the_closed_form_on_average() -> None:
    net = autoencoder(Gaussian(CODE))
    x = samples(1).expand(40000, FEATURES)
    batch = {"x": x, "latent": normal(40000, CODE)}
    objective = Objective(mse, l1=0.0, l2=0.0)

    found = [
        Regularised(objective, {"kl": KL(1.0, sampled=sampled)}, 1.0)(net, batch)["kl"].item()
        for sampled in (True, False)
    ]

    assert found[0] == pytest.approx(found[1], rel=0.03)


def test_the_discrepancy_is_that_of_the_plain_double_sum() -> None:
    a, b = normal(5, 3), normal(5, 3, seed=9)

    def kernel(u: Tensor, v: Tensor) -> float:
        scales = [2 * 3 * s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
        return sum(c / (c + float((u - v) @ (u - v))) for c in scales)

    expected = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                expected += (kernel(a[i], a[j]) + kernel(b[i], b[j])) / 20
            expected -= 2 * kernel(a[i], b[j]) / 25
    assert discrepancy(a, b).item() == pytest.approx(expected)
    # Without bias it is 0 on average for equal distributions, and positive for others.
    assert abs(discrepancy(normal(500, 3), normal(500, 3, seed=5)).item()) < 0.02
    assert discrepancy(normal(500, 3), 2 + normal(500, 3, seed=5)).item() > 0.5


def test_total_correlation_is_0_for_independent_codes_and_grows_with_dependence() -> None:
    x = samples(1000)

    class Given:
        latent = Gaussian(CODE)

        def __init__(self, mean: Tensor) -> None:
            self.mean = mean

        def encoded(self, _: Tensor) -> Tensor:
            return torch.cat([self.mean, torch.full_like(self.mean, -2.0)], 1)

        def encode(self, _: Tensor) -> Tensor:
            return self.mean + normal(*self.mean.shape, seed=7) * torch.tensor(-1.0).exp()

    independent = normal(1000, CODE)
    dependent = independent[:, :1].expand(1000, CODE)
    found = [
        FEATURES * TotalCorrelation(1.0)(cast(Any, Given(mean)), x).item()
        for mean in (independent, dependent)
    ]
    # Of two normal variables with correlation r it is -ln(1 - r^2) / 2.
    r = 1 / (1 + torch.tensor(-2.0).exp().item())
    assert found[0] == pytest.approx(0, abs=0.06)
    assert found[1] == pytest.approx(-log(1 - r**2) / 2, rel=0.1)


def test_the_decoders_penalties_are_weights_slopes_and_singular_values() -> None:
    net, x = autoencoder(), samples()
    code = net.encode(x)
    small = code.square().sum(1).mean() / 2
    weights = [w for n, w in net.weights() if n.startswith("decoder")]

    squares = sum(w.square().sum() for w in weights)
    torch.testing.assert_close(RAEWeights(1.0, 2.0)(net, x), (small + 2 * squares) / FEATURES)
    singular = sum(torch.linalg.matrix_norm(w, 2) ** 2 for w in weights)
    found = RAESpectral(1.0, 2.0)(net, x)
    torch.testing.assert_close(found, (small + 2 * singular) / FEATURES, rtol=1e-3, atol=0)
    slopes = torch.autograd.functional.jacobian(lambda z: net.logits_of(z).sum(0), code)
    exact = (small + slopes.square().sum() / BATCH) / FEATURES
    penalty = RAEGradient(1.0, 1.0)
    estimates = [
        penalty(net, x, normal(BATCH, 2 * FEATURES, seed=seed)).item() for seed in range(300)
    ]
    assert sum(estimates) / 300 == pytest.approx(exact.item(), rel=0.05)


def test_the_largest_singular_value_has_a_gradient() -> None:
    weight = normal(4, 7).requires_grad_()

    (found,) = torch.autograd.grad(largest_singular_value(weight), weight)

    left, _, right = torch.linalg.svd(weight.detach())
    torch.testing.assert_close(
        found.abs(), torch.outer(left[:, 0], right[0]).abs(), rtol=0.1, atol=0.02
    )


def test_commitment_pulls_encodings_and_not_words() -> None:
    net = autoencoder(VectorQuantised(CODE, words=3, parts=1, decay=None))
    x = samples()

    error = (net.encoded(x) - net.encode(x)).square().sum(1).mean() / FEATURES
    penalty = Commitment(1.0)(net, x)

    torch.testing.assert_close(penalty, error)
    words = cast(nn.Parameter, net.latent.words)  # type: ignore[union-attr]
    assert torch.autograd.grad(penalty, words, allow_unused=True) == (None,)


# -- importance weights


def linear_gaussian(posterior: Tensor) -> tuple[Autoencoder, Tensor]:
    """x = W z + N(0, 1/2), whose ln p(x) is known; the encoder gives the same q for all samples."""

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(normal(CODE, FEATURES))

        def forward(self, z: Tensor) -> Tensor:
            return z.to(self.w.dtype) @ self.w

    class Encoder(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return posterior.to(x.dtype).expand(len(x), -1)

    decoder = Decoder()
    net = Autoencoder(Encoder(), decoder, shape=(FEATURES,), latent=Gaussian(CODE))
    return net, decoder.w.detach()


def test_the_evidence_is_that_of_a_model_where_it_is_known() -> None:
    net, w = linear_gaussian(torch.tensor([0.0] * CODE + [0.0] * CODE).double())
    x = 0.5 * normal(4, FEATURES, seed=4)
    covariance = w.T @ w + 0.5 * torch.eye(FEATURES).double()
    exact = torch.distributions.MultivariateNormal(torch.zeros(FEATURES).double(), covariance)

    found = log_evidence(net, mse, x, samples=60_000)

    # mse leaves out the constant of a normal distribution of variance 1/2.
    constant = FEATURES / 2 * log(pi)
    torch.testing.assert_close(found - constant, exact.log_prob(x), rtol=0, atol=0.1)


def test_more_samples_make_a_tighter_bound() -> None:
    net, x = autoencoder(Gaussian(CODE), output=nn.Sigmoid()), samples(1000)
    bounds = [log_evidence(net, bce, x, samples=k).mean().item() for k in (1, 5, 100)]

    assert bounds == sorted(bounds)


def test_the_evidence_of_binary_samples_is_that_of_an_integral_over_codes() -> None:
    net = binary(Gaussian(1))
    x = samples(5).round()

    # ln of the integral of p(x | z) N(z; 0, 1), by a fine grid.
    z = torch.linspace(-9, 9, 4001).double()
    logits = net.logits_of(z[:, None])[:, None]
    bits = nn.functional.binary_cross_entropy_with_logits(
        logits.expand(-1, 5, -1), x.expand(len(z), -1, -1), reduction="none"
    )
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z)
    exact = (prior[:, None] - bits.sum(2) + log(18 / 4000)).logsumexp(0)

    found = log_evidence(net, bce, x, samples=20_000)
    torch.testing.assert_close(found, exact, rtol=0, atol=0.03)
    nll, error = nll_figures(found)
    assert (nll, error) == (-found.mean(), pytest.approx(found.std() / 5**0.5))


def binary(latent: Latent) -> Autoencoder:
    """A decoder that makes much of its code, and an encoder whose q is wide."""
    torch.manual_seed(0)
    half = {"activation": nn.Tanh, "hidden": [5]}
    encoder, decoder = MLPEncoder((FEATURES,), 2, **half), MLPDecoder(1, (FEATURES,), **half)
    net = Autoencoder(
        encoder, decoder, shape=(FEATURES,), latent=latent, output_activation=nn.Sigmoid()
    )
    with torch.no_grad():
        for part, factor in ((encoder, 0.3), (decoder, 2.0)):
            for parameter in part.parameters():
                parameter.mul_(factor)
    return net.double()


def test_the_evidence_of_a_sample_goes_by_seed_and_place_however_many_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, x = autoencoder(Gaussian(CODE), output=nn.Sigmoid()), samples(7).round()
    whole = log_evidence(net, bce, x, samples=230)

    told: list[tuple[int, int]] = []
    monkeypatch.setattr("activae.objectives.importance._DECODED_ON_CPU", 300)
    in_parts = log_evidence(net, bce, x, samples=230, told=lambda *how: told.append(how))

    torch.testing.assert_close(in_parts, whole, rtol=1e-12, atol=0)
    assert told == [(3, 7), (6, 7), (7, 7)]
    torch.testing.assert_close(log_evidence(net, bce, x[:2], samples=230), whole[:2])
    assert not torch.isclose(log_evidence(net, bce, x, samples=230, seed=1), whole).any()


@pytest.mark.parametrize(
    ("latent", "objective", "named"),
    [
        ("none", Objective(bce), "latent=deterministic is none; choose latent=gaussian"),
        ("vq", Objective(bce), "latent=vq is none"),
        ("gaussian", Objective(mse), "objective=mse: .* bce does, .* only with a variance"),
        ("gaussian", ImportanceWeighted(mse, samples=2), "objective=iwae .likelihood mse"),
        ("gaussian", Objective(multinomial), "objective=multinomial"),
    ],
)
def test_what_gives_samples_no_likelihood_says_what_does(
    latent: str, objective: Any, named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        likelihood_of(objective, autoencoder(LATENTS[latent]()))


@pytest.mark.parametrize("loss", [bce, poisson, nb, zinb])
def test_likelihoods_are_found_below_what_joins_them(loss: Any) -> None:
    net = autoencoder(Gaussian(CODE))

    for objective in (Objective(loss), ImportanceWeighted(loss, samples=2)):
        assert likelihood_of(objective, net) is loss
        assert likelihood_of(Regularised(objective, {}, 1.0), net) is loss


def test_values_without_a_probability_are_refused() -> None:
    refuse_improbable(bce, samples().round())
    refuse_improbable(poisson, 7 * samples().round())
    with pytest.raises(
        DataError, match=r"bce: gives values of 0 and 1 alone .* 100\.0% .*binarise=dynamic"
    ):
        refuse_improbable(bce, samples())
    with pytest.raises(DataError, match=r"poisson: gives whole numbers alone"):
        refuse_improbable(poisson, samples())


def test_what_is_missing_is_told_to_who_trains_and_to_who_has_trained() -> None:
    net = autoencoder(None)
    with pytest.raises(ConfigError, match=r"^score.nll=true: .*or leave score.nll=true out$"):
        likelihood_of(Objective(bce), net, "score.nll=true")
    with pytest.raises(ConfigError, match=r"or ask a run that was trained with it$"):
        likelihood_of(Objective(bce), net)
    with pytest.raises(ConfigError, match=r"or take another objective, as bce$"):
        ImportanceWeighted(bce, samples=2).check(net)


def test_a_bound_is_named_beside_its_likelihood() -> None:
    with pytest.raises(DataError, match=r"^objective=iwae \(likelihood bce\): gives values of 0"):
        refuse_improbable(ImportanceWeighted(bce, samples=2), samples())


def test_a_bound_that_holds_the_divergence_takes_it_no_second_time() -> None:
    bound = ImportanceWeighted(bce, samples=2)
    with pytest.raises(ConfigError, match=r"regulariser=kl: .*iwae .*leave regulariser=kl out"):
        Regularised(bound, {"kl": KL(1.0)}, 1.0)
    assert not Regularised(bound, {"kl": KL(0.0)}, 1.0).regularisers
    assert Regularised(bound, {"tc": TotalCorrelation(1.0)}, 1.0).regularisers


def iwae(net: Autoencoder, count: int) -> Tensor:
    batch = {"x": samples(), "latent": normal(BATCH, CODE)}
    if count > 1:
        batch["objective"] = normal(BATCH, count - 1, CODE, seed=6)
    objective = ImportanceWeighted(bce, samples=count)
    return Regularised(objective, {}, 1.0)(net, batch)["reconstruction"]


def test_one_importance_sample_is_the_likelihood_with_a_sampled_divergence() -> None:
    net = autoencoder(Gaussian(CODE), output=nn.Sigmoid())
    batch = {"x": samples(), "latent": normal(BATCH, CODE)}
    vae = Regularised(Objective(bce, l1=0.0, l2=0.0), {"kl": KL(1.0, sampled=True)}, 1.0)

    losses = iwae(net, 1), torch.stack([*vae(net, batch).values()]).sum()
    torch.testing.assert_close(*losses, rtol=1e-12, atol=0)
    slopes = [torch.autograd.grad(loss, [*net.parameters()]) for loss in losses]
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-12)
    assert not torch.isclose(iwae(net, 4), iwae(net, 1))
    assert ImportanceWeighted(bce, samples=1).draw is None


# -- knobs and limits


def test_beta_0_is_a_run_without_the_divergence() -> None:
    net = autoencoder(Gaussian(CODE))

    assert terms(net, kl=KL(0.0, warmup=10)) == terms(net)
    assert "kl" in terms(net, kl=KL(0.1))


def test_a_warm_up_grows_from_0_and_ends_at_beta() -> None:
    weight = KL(0.7, warmup=10).weight

    assert isinstance(weight, WarmUp)
    assert [weight(step) for step in (0, 5, 10, 11, 10**6)] == [0.0, 0.35, 0.7, 0.7, 0.7]
    assert KL(0.7, warmup=0).weight == KL(0.7).weight == 0.7


LATENTS: dict[str, Any] = {
    "gaussian": lambda: Gaussian(CODE),
    "vq": lambda: VectorQuantised(CODE, words=3, parts=1, decay=0.9),
    "none": lambda: None,
}
KNOBS = {
    "kl.beta": ("gaussian", KL(1.0), KL(2.0)),
    "kl.free_bits": ("gaussian", KL(1.0), KL(1.0, free_bits=2.0)),
    "kl.sampled": ("gaussian", KL(1.0), KL(1.0, sampled=True)),
    "tc.weight": ("gaussian", TotalCorrelation(1.0), TotalCorrelation(2.0)),
    "mmd.weight": ("none", MMD(1.0), MMD(2.0)),
    "rae_l2.weight": ("none", RAEWeights(1.0, 1.0), RAEWeights(2.0, 1.0)),
    "rae_l2.decoder": ("none", RAEWeights(1.0, 0.0), RAEWeights(1.0, 1.0)),
    "rae_gp.decoder": ("none", RAEGradient(1.0, 0.0), RAEGradient(1.0, 1.0)),
    "rae_sn.decoder": ("none", RAESpectral(1.0, 0.0), RAESpectral(1.0, 1.0)),
    "commitment.weight": ("vq", Commitment(1.0), Commitment(2.0)),
}


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_changes_the_loss_and_its_gradient(knob: str) -> None:
    latent, one, other = KNOBS[knob]
    net = autoencoder(LATENTS[latent]())
    found = []
    for regulariser in (one, other):
        regulariser.check(net)
        width = 2 * FEATURES if isinstance(regulariser, RAEGradient) else CODE
        drawn = {"it": normal(BATCH, width, seed=3)}
        batch = {"x": samples(), "latent": normal(BATCH, CODE), **drawn}
        total = torch.stack([*terms(net, batch, it=regulariser).values()]).sum()
        slopes = torch.autograd.grad(total, [*net.parameters()], allow_unused=True)
        found.append((total, torch.cat([s.flatten() for s in slopes if s is not None])))

    assert not torch.isclose(found[0][0], found[1][0])
    assert not torch.allclose(found[0][1], found[1][1])


@pytest.mark.parametrize(
    ("latent", "regulariser", "wanted"),
    [
        ("none", KL(1.0), "regulariser=kl.*latent=deterministic.*choose latent=gaussian"),
        ("vq", KL(1.0), "regulariser=kl.*latent=vq"),
        ("none", TotalCorrelation(1.0), "regulariser=tc"),
        ("vq", MMD(1.0), "regulariser=mmd"),
        ("vq", Adversarial(1.0, [4], 1e-3), "regulariser=adversarial"),
        ("gaussian", Commitment(1.0), "regulariser=commitment.*latent=gaussian.*latent=vq"),
        ("none", ImportanceWeighted(bce, samples=2), "objective=iwae"),
    ],
)
def test_what_a_latent_cannot_give_is_refused(latent: str, regulariser: Any, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        regulariser.check(autoencoder(LATENTS[latent]()))


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Spherical(1, noise=0.0), "encoding.dim=1"),
        (lambda: Spherical(2, noise=-1.0), "latent.noise=-1.0"),
        (lambda: VectorQuantised(4, words=1, parts=1, decay=0.9), "latent.words=1"),
        (lambda: VectorQuantised(4, words=8, parts=3, decay=0.9), "latent.parts=3"),
        (lambda: VectorQuantised(4, words=8, parts=2, decay=1.0), "latent.decay=1.0"),
        (lambda: KL(-1.0), "regulariser.kl.beta=-1.0"),
        (lambda: KL(1.0, warmup=-5), "regulariser.kl.warmup=-5"),
        (lambda: RAEWeights(1.0, -1.0), "regulariser.rae_l2.decoder=-1.0"),
        (lambda: Adversarial(1.0, [0], 1e-3), "regulariser.adversarial.hidden"),
        (lambda: Adversarial(1.0, [4], 0.0), "regulariser.adversarial.lr=0.0"),
        (lambda: ImportanceWeighted(bce, samples=0), "objective.samples=0"),
    ],
)
def test_numbers_of_no_sense_are_refused(make: Any, key: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        make()
    assert key in str(refusal.value)


# -- what goes wrong is named


def complaints(watched: Any, figures: dict[str, float], *, ended: bool = True) -> str:
    return " ".join(watched.complaints(figures, ended=ended))


def test_posterior_collapse_is_named_at_the_end() -> None:
    latent = Gaussian(CODE)
    collapsed = latent.figures(torch.zeros(10, 2 * CODE))

    assert (collapsed["active_units"], collapsed["units"], collapsed["kl"]) == (0, CODE, 0)
    assert "posterior collapse" in complaints(latent, collapsed)
    assert "regulariser.kl.beta" in complaints(latent, collapsed)
    assert not complaints(latent, collapsed, ended=False)
    assert not complaints(latent, latent.figures(normal(100, 2 * CODE)))


def test_a_variance_without_bound_is_named_at_once() -> None:
    latent = Gaussian(CODE)
    encoded = torch.cat([normal(10, CODE), torch.full((10, CODE), 25.0)], 1)

    assert "ln(variance) reaches 25" in complaints(latent, latent.figures(encoded), ended=False)


def test_a_dead_codebook_is_named() -> None:
    latent = VectorQuantised(CODE, words=50, parts=1, decay=0.9).double()
    dead = latent.figures(torch.zeros(10, CODE).double())

    assert (dead["perplexity"], dead["usage"]) == (1.0, pytest.approx(0.02))
    assert "dead codebook: 1 of its 50 words" in complaints(latent, dead)
    alive = latent.figures(latent.words.clone())
    assert alive["perplexity"] == pytest.approx(50)
    assert not complaints(latent, alive)


def test_a_critic_that_wins_or_loses_outright_is_named() -> None:
    critic = Adversarial(1.0, [4], 1e-3)

    assert "wins outright" in complaints(critic, {"of_prior": 0.99, "of_code": 0.01})
    assert "loses outright" in complaints(critic, {"of_prior": 0.2, "of_code": 0.8})
    assert not complaints(critic, {"of_prior": 0.55, "of_code": 0.45})
