"""What an objective may declare: an eager step, a functional one and a stack agree on each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from activae.errors import ConfigError
from activae.models import Autoencoder, MLPDecoder, MLPEncoder, latents
from activae.models.latent import Latent
from activae.objectives import (
    KL,
    MMD,
    Commitment,
    ImportanceWeighted,
    Objective,
    RAEGradient,
    RAESpectral,
    RAEWeights,
    Regulariser,
    TotalCorrelation,
    mse,
)
from activae.objectives import Adversarial as OurCritic
from activae.objectives.batch import Noise, stacked
from activae.objectives.declared import Player, player_of, strengths_at
from activae.objectives.objective import draws_of, with_declared
from activae.randomness import generator
from activae.training.compiled_step import CompiledStep, Graph
from activae.training.eager_step import EagerStep
from activae.training.module import AutoencoderModule
from activae.training.optimizers import Clipping
from activae.training.parallel.fleet import refuse_unsuited
from activae.training.schedules import constant
from activae.training.step import FunctionalStep

BATCH, FEATURES, CODE, STEPS = 8, 10, 3, 6


class Jitter(Regulariser):
    """Codes that change little where the input is jittered."""

    def __init__(self, weight: Any = 0.1) -> None:
        super().__init__("jitter", weight)

    def draw(self, x: Tensor, code_dim: int, noise: torch.Generator) -> Tensor:
        return torch.randn(x.shape, generator=noise, dtype=x.dtype)

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None) -> Tensor:
        assert drawn is not None
        return (net.encode(x + 0.1 * drawn) - net.encode(x)).square().mean()


class Prior:
    """An objective of the user's own: codes pulled towards samples of a prior."""

    def draw(self, x: Tensor, code_dim: int, noise: torch.Generator) -> Tensor:
        return torch.randn(len(x), code_dim, generator=noise, dtype=x.dtype)

    def __call__(self, net: Autoencoder, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        x = batch["x"]
        return {"mse": mse(net, x), "prior": (net.encode(x) - batch["drawn"]).square().mean()}


class Gaussian(Latent):
    """A variational code, with a KL term that warms up."""

    inputs = 2 * CODE

    weight = staticmethod(lambda step: min(1.0, step / 4))

    def draw(self, x: Tensor, code_dim: int, noise: torch.Generator) -> Tensor:
        return torch.randn(len(x), code_dim, generator=noise, dtype=x.dtype)

    def code(self, encoded: Tensor) -> Tensor:
        return encoded.chunk(2, dim=1)[0]

    def forward(self, encoded: Tensor, drawn: Tensor | None) -> Any:
        mean, log_variance = encoded.chunk(2, dim=1)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        return mean + drawn * (log_variance / 2).exp(), {"kl": kl}, {}


class Codebook(Latent):
    """Codes rounded to the nearest of 4, which follow the mean of what is rounded to them."""

    updated = ("words",)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("words", torch.linspace(-1, 1, 4)[:, None] * torch.ones(CODE))

    def _nearest(self, encoded: Tensor) -> Tensor:
        distances = (encoded[:, None] - self.words).square().sum(2)
        return torch.eye(4, dtype=encoded.dtype)[distances.argmin(1)]

    def code(self, encoded: Tensor) -> Tensor:
        return self._nearest(encoded) @ self.words

    def forward(self, encoded: Tensor, drawn: Tensor | None) -> Any:
        chosen = self._nearest(encoded.detach())
        rounded = chosen @ self.words
        count = chosen.sum(0)[:, None]
        means = chosen.T @ encoded.detach() / count.clamp(min=1)
        words = torch.where(count > 0, 0.9 * self.words + 0.1 * means, self.words)
        commitment = (encoded - rounded).square().mean()
        return encoded + (rounded - encoded).detach(), {"commitment": commitment}, {"words": words}


class Adversarial:
    """Codes that a critic, who trains in turn, cannot tell from samples of a prior."""

    def __init__(self) -> None:
        critic = nn.Sequential(nn.Linear(CODE, 4), nn.Tanh(), nn.Linear(4, 1))
        optimizer = partial(torch.optim.Adam, lr=1e-2)
        self.player = Player(critic, self.play, optimizer)

    def draw(self, x: Tensor, code_dim: int, noise: torch.Generator) -> Tensor:
        return torch.randn(len(x), code_dim, generator=noise, dtype=x.dtype)

    def play(self, critic: nn.Module, net: Autoencoder, batch: dict[str, Tensor]) -> Tensor:
        codes = net.encode(batch["x"]).detach()
        real, made = critic(batch["objective"]), critic(codes)
        return nn.functional.softplus(-real).mean() + nn.functional.softplus(made).mean()

    def __call__(self, net: Autoencoder, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        fooled = nn.functional.softplus(-self.player.module(net.encode(batch["x"]))).mean()
        return {"mse": mse(net, batch["x"]), "fooled": fooled}


def plain() -> Objective:
    return Objective(mse, l1=1e-4, l2=0.0)


def words(decay: float | None) -> Callable[[], Latent]:
    return lambda: latents.VectorQuantised(CODE, words=4, parts=3, decay=decay)


# An objective, regularisers and a latent for each.
CASES: dict[str, tuple[Callable[[], Any], Callable[[], Any], Callable[[], Latent | None]]] = {
    "noise of a regulariser": (plain, lambda: {"jitter": Jitter()}, lambda: None),
    "noise of an objective": (Prior, dict, lambda: None),
    "a strength that warms up": (
        plain,
        lambda: {"jitter": Jitter(lambda step: step / STEPS)},
        lambda: None,
    ),
    "a latent with a term": (plain, dict, Gaussian),
    "a codebook": (plain, dict, Codebook),
    "a critic": (Adversarial, dict, lambda: None),
    "a VAE": (
        plain,
        lambda: {"kl": KL(1.0, warmup=4, free_bits=0.1)},
        lambda: latents.Gaussian(CODE),
    ),
    "a beta-TC-VAE": (
        plain,
        lambda: {"kl": KL(1.0), "tc": TotalCorrelation(3.0)},
        lambda: latents.Gaussian(CODE),
    ),
    "an IWAE": (lambda: ImportanceWeighted(mse, samples=3), dict, lambda: latents.Gaussian(CODE)),
    "a WAE on a sphere": (
        plain,
        lambda: {"mmd": MMD(3.0)},
        lambda: latents.Spherical(CODE, noise=0.1),
    ),
    "a RAE": (
        plain,
        lambda: {
            "l2": RAEWeights(0.1, 0.1),
            "gp": RAEGradient(0.1, 0.1),
            "sn": RAESpectral(0.1, 0.1),
        },
        lambda: None,
    ),
    "an AAE": (
        plain,
        lambda: {"adversarial": OurCritic(1.0, [4], 1e-2)},
        lambda: latents.Spherical(CODE, noise=0.1),
    ),
    "every penalty of a normal code": (
        plain,
        lambda: {
            "kl": KL(1.0, warmup=4, free_bits=0.1),
            "sampled": KL(0.5, sampled=True),
            "tc": TotalCorrelation(3.0),
            "mmd": MMD(3.0),
            "l2": RAEWeights(0.1, 0.1),
            "gp": RAEGradient(0.1, 0.1),
            "sn": RAESpectral(0.1, 0.1),
        },
        lambda: latents.Gaussian(CODE),
    ),
    "a VQ-VAE": (plain, lambda: {"commitment": Commitment(0.25)}, words(0.9)),
    "a VQ-VAE by gradient": (plain, dict, words(None)),
}


def module(case: str, seed: int) -> AutoencoderModule:
    torch.manual_seed(seed)
    make, regularisers, latent = (part() for part in CASES[case])
    half = {"activation": nn.Tanh, "hidden": [6]}
    encoded = latent.inputs if latent is not None and latent.inputs else CODE
    encoder = MLPEncoder((FEATURES,), encoded, **half)
    decoder = MLPDecoder(CODE, (FEATURES,), **half)
    net = Autoencoder(encoder, decoder, shape=(FEATURES,), latent=latent).double()
    for name, regulariser in regularisers.items():
        regulariser.start(net, CODE, generator(seed, "weights", name))
    if player_of(make):
        make.player.module.double()
    model = AutoencoderModule(
        net,
        with_declared(make, net, regularisers, corrupted=False),
        nn.Identity(),
        optimizer=partial(torch.optim.Adam, lr=1e-2, weight_decay=1e-3),
        schedule=partial(constant, warmup=0.0),
        total_steps=STEPS,
        noise=Noise(seed, None, draws_of(make, net, regularisers), CODE),
    )
    model.optimizer = model.current_optimizer()
    return model


def batches(model: AutoencoderModule, seed: int) -> list[Any]:
    noise = torch.Generator().manual_seed(seed)
    sizes = [BATCH] * (STEPS - 1) + [5]
    samples = [torch.rand(size, FEATURES, generator=noise).double() for size in sizes]
    return [model.training_batch(x, step) for step, x in enumerate(samples)]


def state(model: AutoencoderModule) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def alone(case: str, kind: str, seed: int) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    """Terms of each step, and everything trained, of one module."""
    model = module(case, seed)
    parts = (model.net, model.objective, model.optimizer, Clipping(1.0))
    step: EagerStep | CompiledStep = EagerStep(*parts, model.player_optimizer)
    if kind != "eager":
        size = {"batch_size": BATCH, "steps_taken": 0}
        step = CompiledStep(*parts, Graph(), model.player_optimizer, **size)
        if kind == "functional":
            step.graph.compiled = step.step
    found = []
    for batch in batches(model, seed):
        terms = step(batch, 0.5, *model.varying_strengths())
        model.step += 1
        found.append({name: term.item() for name, term in terms.items()})
    return found, state(model)


def together(case: str, seeds: tuple[int, ...]) -> tuple[list[Any], list[dict[str, Tensor]]]:
    """The same of several modules, whose steps are taken as one."""
    models = [module(case, seed) for seed in seeds]
    objectives = [model.objective for model in models]
    players: list[Any] = [m.player_optimizer for m in models] if models[0].player else []
    optimizers = [model.optimizer for model in models]
    nets = [model.net for model in models]
    step = FunctionalStep(nets, objectives, optimizers, Clipping(1.0), players, stacked=True)
    found: list[Any] = [[] for _ in seeds]
    for number, each in enumerate(zip(*map(batches, models, seeds), strict=True)):
        scalars = {}
        for name, trainee in step.trainees.items():
            half, one = torch.full((len(seeds),), 0.5).double(), torch.ones(len(seeds)).double()
            values = trainee.scalars(half, (number + 1) * one)
            scalars[name] = torch.stack([torch.as_tensor(v) * one for v in values])[..., None]
        strengths = step.strengths([number] * len(seeds))
        terms, _ = step.take(step.step, scalars, strengths, stacked(list(each)))
        for place, losses in enumerate(found):
            losses.append({name: term[place].item() for name, term in terms.items()})
    return found, [state(model) for model in models]


def assert_same(one: tuple[Any, Any], other: tuple[Any, Any], rel: float = 1e-8) -> None:
    for terms, expected in zip(one[0], other[0], strict=True):
        assert terms == pytest.approx(expected, rel=rel)
    for name, value in other[1].items():
        torch.testing.assert_close(one[1][name], value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_a_functional_step_is_the_eager_one(case: str) -> None:
    assert_same(alone(case, "functional", 0), alone(case, "eager", 0))


@pytest.mark.parametrize("case", CASES)
def test_a_stack_takes_the_steps_of_each_member(case: str) -> None:
    found, states = together(case, (0, 1))

    for place, seed in enumerate((0, 1)):
        assert_same((found[place], states[place]), alone(case, "eager", seed))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "case",
    [
        *("every penalty of a normal code", "an AAE", "a VQ-VAE"),
        *("a VQ-VAE by gradient", "an IWAE"),
    ],
)
def test_a_compiled_step_is_the_eager_one(case: str) -> None:
    assert_same(alone(case, "compiled", 0), alone(case, "eager", 0))


@pytest.mark.parametrize("case", CASES)
def test_each_part_has_an_effect(case: str) -> None:
    terms, trained = alone(case, "eager", 0)
    before = state(module(case, 0))

    for name in terms[-1]:
        assert terms[-1][name] != terms[0][name]
    for name, value in before.items():
        if not name.endswith("words"):
            assert not torch.equal(trained[name], value), name
    if case == "a codebook":
        assert not torch.equal(trained["net.latent.words"], before["net.latent.words"])


@pytest.mark.parametrize(("case", "what"), [("a critic", "a player"), ("a codebook", "buffers")])
def test_what_devices_would_not_share_is_refused(case: str, what: str) -> None:
    with pytest.raises(ConfigError, match=rf"trainer\.devices.*the run has {what}"):
        refuse_unsuited(module(case, 0))


def test_strengths_follow_the_step() -> None:
    jitter = Jitter(lambda step: step / STEPS)
    objective = with_declared(plain(), module("a critic", 0).net, {"jitter": jitter}, False)

    assert strengths_at(objective, 3) == [1e-4, 0.0, 0.5]


def test_codes_are_the_same_at_every_call_whatever_the_latent() -> None:
    x = torch.rand(4, FEATURES).double()

    for case in ("a latent with a term", "a codebook"):
        net = module(case, 0).net
        assert torch.equal(net.encode(x), net.encode(x))


def test_all_that_trains_is_in_a_snapshot_and_comes_back() -> None:
    first, second = module("a critic", 0), module("a critic", 1)
    first.sync_optimizer = lambda: None
    step = first.eager_step(first.optimizer)
    step(batches(first, 0)[0], 1.0)
    snapshot = first.snapshot()
    snapshot["state_dict"]["normalisation.scale"] = torch.ones(1).double()

    second.load_state_dict(first.state_dict())
    second.load_optimizer(second.optimizer, snapshot)

    assert any(name.startswith("player.") for name in first.state_dict())
    states = [m.player_optimizer.state_dict()["state"] for m in (first, second)]  # type: ignore[union-attr]
    assert torch.equal(states[0][0]["exp_avg"], states[1][0]["exp_avg"])
