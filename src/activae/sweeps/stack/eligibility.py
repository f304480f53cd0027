"""Which runs can be stacked; which of them together is what `config.identity.stack_key` says."""

from __future__ import annotations

import warnings
from copy import deepcopy

from omegaconf import DictConfig

from activae.data.module import AutoencoderDataModule
from activae.objectives.batch import stacked
from activae.objectives.declared import player_of
from activae.sweeps.stack.member import HOOKS, hooks_missed
from activae.training.fitting import configured_callbacks
from activae.training.flat import rule_of, why_not_elementwise
from activae.training.loggers import share_a_process
from activae.training.module import AutoencoderModule, with_initial_lr
from activae.training.step import FunctionalStep, unwritten_buffer


def why_not_stackable(
    cfg: DictConfig, model: AutoencoderModule, data: AutoencoderDataModule | None = None
) -> str | None:
    """Why a run has to be trained alone, in words; None where it can be stacked.

    cfg is its settled config, model what `build_model` made of it and of the data. Takes a trial
    gradient.
    """
    return (
        _trainer_objection(cfg)
        or _callbacks_objection(cfg)
        or _data_objection(data)
        or _phases_objection(model)
        or _network_objection(model)
        or _optimizer_objection(model)
        or _trial_objection(model)
    )


def _trainer_objection(cfg: DictConfig) -> str | None:
    if cfg.trainer.detect_anomaly:
        return "trainer.detect_anomaly=true watches one run's gradients"
    if cfg.trainer.precision not in ("32-true", "64-true"):
        return f"trainer.precision={cfg.trainer.precision} is not stacked"
    for key in ("deterministic", "benchmark", "profiler", "log_every_n_steps"):
        if cfg.trainer[key]:
            return f"trainer.{key}={cfg.trainer[key]} is of Lightning's trainer, which has one run"
    return None


def _callbacks_objection(cfg: DictConfig) -> str | None:
    if not share_a_process(cfg):
        return f"logger.others={', '.join(cfg.logger.others)}: a service's client has one run"
    for callback in configured_callbacks(cfg):
        missed = hooks_missed(callback)
        if missed:
            name = type(callback).__name__
            return (
                f"callbacks: {name}.{missed[0]} is no hook that a stack calls ({', '.join(HOOKS)})"
            )
    return None


def _data_objection(data: AutoencoderDataModule | None) -> str | None:
    if data is not None and data.on_disk:
        return "its samples stay on disk (data.source.in_memory), and each would read them anew"
    return None


def _phases_objection(model: AutoencoderModule) -> str | None:
    if len(model.phases) > 1:
        return "its phases train different parameters, and a stack has one optimizer for all"
    return None


def _network_objection(model: AutoencoderModule) -> str | None:
    name = unwritten_buffer(model.net)
    if name is not None:
        return f"{name} is a buffer, which training may change (as it does those of BatchNorm)"
    for name, parameter in model.net.named_parameters():
        if not parameter.requires_grad:
            return f"{name} is frozen"
    return None


def _optimizer_objection(model: AutoencoderModule) -> str | None:
    objection = why_not_elementwise(model.current_optimizer())
    player = model.player_optimizer
    if objection is None and player is not None and rule_of(player) is None:
        return f"{type(player).__name__} has no rule by which a player's step could be taken"
    return objection


def _trial_objection(model: AutoencoderModule) -> str | None:
    """What torch.func.vmap says of two members' gradients: random numbers, for one, it refuses."""
    nets = [deepcopy(model.net) for _ in range(2)]
    objectives = [deepcopy(model.objective) for _ in range(2)]
    optimizers = [with_initial_lr(model.make_optimizer(net)) for net in nets]
    playing = [player for objective in objectives if (player := player_of(objective))]
    players = [with_initial_lr(p.optimizer(p.module.parameters())) for p in playing]
    x = next(model.net.parameters()).new_full((2, 2, *model.net.shape), 0.5)
    batch = stacked([model.training_batch(its, 0) for its in x])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operations that it knows only one member at a time
        try:
            step = FunctionalStep(
                nets, objectives, optimizers, model.clipping, players, stacked=True
            )
            scalars = {name: x.new_ones(9, 2, 1) for name in step.trainees}
            strengths = step.strengths([0, 0])
            step.take(step.step, scalars, strengths, batch)
            step.scores(model.evaluation_batch(x[0]), strengths, None)
        except Exception as error:
            return f"torch.func.vmap refuses its gradient: {_first_sentence(error)}"
    return None


def _first_sentence(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].partition(". ")[0] or type(error).__name__
