"""From a settled config to the objects of a run: DataModule, network, LightningModule."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from math import prod
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from activae.config.instantiating import activation_label, build, call, label, targets
from activae.config.own_code import without_source
from activae.config.settling import container, sampler_kind
from activae.config.wording import wrapped
from activae.data.module import AutoencoderDataModule, batches_of
from activae.data.spec import DataSpec
from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.models.densities.kinds import refuse_few, refuse_unsuited
from activae.objectives import Regulariser
from activae.objectives.batch import Noise
from activae.objectives.corruptions import corrupts
from activae.objectives.declared import Draw
from activae.objectives.importance import likelihood_of, refuse_improbable
from activae.objectives.objective import draws_of, with_declared
from activae.randomness import generator
from activae.training.arguments import given_by
from activae.training.compiled_step import Graph
from activae.training.files import parts_of
from activae.training.module import AutoencoderModule
from activae.training.network import build_network, initialise
from activae.training.optimizers import Clipping, make_optimizer
from activae.training.restoring import load_checkpoint, load_network
from activae.training.schedules import make_schedule

log = logging.getLogger(__name__)


INIT_SAMPLES = 1024


def build_data(cfg: DictConfig) -> AutoencoderDataModule:
    """The DataModule, set up: loaded, split, normalised."""
    data = AutoencoderDataModule(
        build(container(cfg.data.source), "data.source"),
        batch_size=cfg.data.batch_size,
        normalisation=cfg.data.normalisation,
        val_fraction=cfg.data.val_fraction,
        test_fraction=cfg.data.test_fraction,
        train_fraction=cfg.data.train_fraction,
        split_seed=cfg.data.split_seed,
        seed=cfg.seed,
    )
    call(data.setup, "data.source")
    return data


def describe_data(data: AutoencoderDataModule) -> None:
    """Log what the data are, and what to know of them."""
    log.info("%s", wrapped(f"data   {data}"))
    if data.source.note:
        log.warning("%s", wrapped(f"note   {data.source.note}"))


def build_model(
    cfg: DictConfig, data: AutoencoderDataModule, graph: Graph | None = None
) -> AutoencoderModule:
    """The LightningModule around a freshly initialised network; `graph` may be shared."""
    data.limit_train_batches = cfg.trainer.limit_train_batches
    data.limit_val_batches = cfg.trainer.limit_val_batches
    data.check_every = cfg.trainer.check_val_every_n_epoch or 1
    net = build_network(cfg, data.spec)
    initialise(cfg, net, lambda: init_samples(cfg.seed, data, net))
    check_batches(net, data)
    if cfg.score.get("probe"):
        check_labels(data)
    if cfg.score.get("nll"):
        objective = build(container(cfg.objective), "objective")
        likelihood_of(objective, net, "score.nll=true")
        refuse_improbable(objective, data.samples["val"][:INIT_SAMPLES])
    check_sampler(cfg, net, len(data.samples["train"]))
    model = module_around(cfg, net, data.spec, data.normalisation, graph)
    if cfg.encoding.dim >= prod(data.spec.shape):
        note = (
            f"note   encoding.dim={cfg.encoding.dim} is no smaller than the "
            f"{prod(data.spec.shape)} values of a sample: a code that need not compress can copy "
            "its input; choose a smaller one, or penalise it (regulariser, corruption)"
        )
        log.warning("%s", wrapped(note))
    for path in without_source(container(cfg)):
        note = (
            f"note   {path} has no source that could be read: once it is edited, a run of the old "
            "code passes for one of the new; put it into a file"
        )
        log.warning("%s", wrapped(note))
    halves = f"{label(cfg.encoder)}, code {cfg.encoding.dim}, {label(cfg.decoder)}"
    size = f"{sum(p.numel() for p in net.parameters()):,} parameters"
    log.info("%s", wrapped(f"model  {halves}; {activation_label(cfg)}; {size}"))
    check_own_loss(cfg, model, data)
    return model


def module_around(
    cfg: DictConfig,
    net: Autoencoder,
    spec: DataSpec,
    normalisation: nn.Module,
    graph: Graph | None = None,
) -> AutoencoderModule:
    """The LightningModule that trains a network as the config says. Raises ConfigError."""
    objective = build(container(cfg.objective), "objective")
    if hasattr(objective, "needs"):
        objective.check(net)
    regularisers = build_regularisers(cfg, net)
    if cfg.freeze:
        getattr(net, cfg.freeze).requires_grad_(False)
    noise = build_noise(cfg, spec, draws_of(objective, net, regularisers))
    optimizer = build(container(cfg.optimizer), "optimizer")
    schedule = call(make_schedule, "scheduler", build(container(cfg.scheduler), "scheduler"))
    total_steps = steps_in_all(cfg, spec.samples["train"])
    # Both refuse their parameters now, not after the first step.
    call(schedule, "scheduler", 0, total_steps)
    call(make_optimizer, "optimizer", optimizer, net)
    phases = None
    if cfg.phases is not None:
        phases = call(build(container(cfg.phases), "phases"), "phases", net, total_steps)
    return AutoencoderModule(
        net,
        with_declared(objective, net, regularisers, noise is not None),
        normalisation,
        optimizer=optimizer,
        schedule=schedule,
        total_steps=total_steps,
        clipping=_clipping(cfg.trainer),
        graph=graph or (Graph() if cfg.trainer.compile else None),
        noise=noise,
        phases=phases,
    )


def _clipping(trainer: DictConfig) -> Clipping | None:
    limit, how = trainer.gradient_clip_val, trainer.get("gradient_clip_algorithm")
    return None if limit is None else Clipping(limit, by_value=how == "value")


def steps_in_all(cfg: DictConfig, samples: int) -> int:
    """How many optimizer steps a run takes that has so many training samples."""
    an_epoch = batches_of(samples, cfg.data.batch_size, cfg.trainer.limit_train_batches)
    whole_epochs: int = cfg.trainer.max_epochs * an_epoch
    return min(whole_epochs, cfg.trainer.max_steps or whole_epochs)


def restored_module(checkpoint: Path, trusted: Sequence[str] = ()) -> AutoencoderModule:
    """What `AutoencoderModule.load_from_checkpoint` returns."""
    restored = load_network(checkpoint.absolute().parents[1], trusted)
    model = module_around(restored.config, restored.net, restored.spec, restored.normalisation)
    with parts_of(checkpoint):
        model.load_state_dict(load_checkpoint(checkpoint)["state_dict"])
    model.given_steps = None  # a plain Trainer says itself how long it trains
    return model.eval()


def check_own_loss(cfg: DictConfig, model: AutoencoderModule, data: AutoencoderDataModule) -> None:
    """Try an objective and regularisers that are not ours on a batch; draws nothing from the run.

    Raises ConfigError where they cannot be called as a loss is, or give something else than one.
    """
    nodes = [*targets(container(cfg.objective), "objective")]
    nodes += targets(container(cfg.regulariser), "regulariser")
    own = [(key, node["_target_"]) for key, node in nodes if not _is_ours(node["_target_"])]
    if not own:
        return
    where = ", ".join(f"{key}._target_={path}" for key, path in own)
    samples = data.samples["train"]
    x = samples[: min(data.largest_batch, INIT_SAMPLES)].to(next(model.net.parameters()))
    given_by(f"{where}:", partial(model.terms, x), model.net)


def _is_ours(path: str) -> bool:
    return path.startswith("activae.")


def build_regularisers(cfg: DictConfig, net: Autoencoder) -> dict[str, Regulariser]:
    """Those of the config that have a weight, by name. Raises ConfigError for others than ours."""
    built = {}
    for name, node in container(cfg.regulariser).items():
        regulariser = build(node, f"regulariser.{name}")
        if not isinstance(regulariser, Regulariser):
            raise ConfigError(
                f"regulariser.{name}._target_={node.get('_target_')}: makes a "
                f"{type(regulariser).__name__}, not an activae.objectives.Regulariser"
            )
        regulariser.check(net)
        if regulariser.weight:
            noise = generator(cfg.seed, "weights", str(name))
            regulariser.start(net, cfg.encoding.dim, noise)
            built[str(name)] = regulariser
    return built


def build_noise(cfg: DictConfig, spec: DataSpec, draws: dict[str, Draw]) -> Noise | None:
    """What draws the random numbers that the run's steps need; None where they need none."""
    corrupt = None
    if corrupts(cfg.corruption):
        factory = build(container(cfg.corruption), "corruption")
        corrupt = partial(factory, value_range=spec.normalised_range)
        # Refuses its parameters now, not at the first step.
        call(corrupt, "corruption", torch.zeros(1, *spec.shape), noise=torch.Generator())
    return Noise(cfg.seed, corrupt, draws, cfg.encoding.dim) if corrupt or draws else None


def check_batches(net: Autoencoder, data: AutoencoderDataModule) -> None:
    """Raise ConfigError where batch normalisation would meet a batch of one sample."""
    size, samples = data.batch_size, len(data.samples["train"])
    normalises = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in net.modules())
    if normalises and 1 in (size, samples % size):
        raise ConfigError(
            f"data.batch_size={size}: leaves a batch of one of the {samples} training samples, "
            "which cannot be normalised by its own mean and variance; choose another batch size, "
            "or normalisation=layer"
        )


def check_labels(data: AutoencoderDataModule) -> None:
    """Raise ConfigError unless the training split has labels of two kinds or more."""
    labels = data.labels["train"]
    if labels is None or len(labels.unique()) < 2:
        has = "no labels" if labels is None else "one label only"
        raise ConfigError(
            f"{data.source.name}: has {has}, which a probe (score.probe=true) tells apart; go "
            "without it, or give data with labels (of tables, data.source.label_column=NAME)"
        )


def check_sampler(cfg: DictConfig, net: Autoencoder, samples: int) -> None:
    """Raise UserError where the sampler that is wanted cannot be fitted to the network's codes.

    samples: how many the training split has.
    """
    kind = sampler_kind(cfg)
    if kind is None and cfg.score.get("samples"):
        raise ConfigError(
            "score.samples=true: nothing draws samples of this run; add sampler=gmm, or another of "
            "configs/sampler"
        )
    if kind is not None:
        refuse_unsuited(kind, net, cfg.regulariser, f"sampler={kind}")
        given = build(container(cfg.sampler), "sampler")
        refuse_few(kind, given.keywords, samples)


def init_samples(seed: int, data: AutoencoderDataModule, net: Autoencoder) -> Tensor:
    """Training samples [B, *shape] for an init that looks at data, beside the network.

    At most INIT_SAMPLES, which depend on seed and split alone.
    """
    samples = data.samples["train"]
    noise = generator(seed, "init samples")
    rows = torch.randint(len(samples), (INIT_SAMPLES,), generator=noise).unique()
    return samples[rows.to(samples.device)].to(next(net.parameters()))
