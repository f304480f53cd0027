"""Which runs can be stacked; which of them together is what `config.identity.stack_key` says."""

from __future__ import annotations

import warnings

import torch
from omegaconf import DictConfig

from activae.data.module import AutoencoderDataModule
from activae.objectives import total
from activae.objectives.batch import stacked
from activae.sweeps.stack.loss import regulariser_weights, stacked_loss
from activae.sweeps.stack.update import LINEAR_IN_LR, update_rule
from activae.training.module import AutoencoderModule


def why_not_stackable(
    cfg: DictConfig, model: AutoencoderModule, data: AutoencoderDataModule | None = None
) -> str | None:
    """Why a run has to be trained alone, in words; None where it can be stacked.

    cfg is its settled config, model what `build_model` made of it and of the data. Takes a trial
    gradient.
    """
    return (
        _trainer_objection(cfg)
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
    for name, _ in model.net.named_buffers():
        return f"{name} is a buffer, which training may change (as it does those of BatchNorm)"
    for name, parameter in model.net.named_parameters():
        if not parameter.requires_grad:
            return f"{name} is frozen"
    return None


def _optimizer_objection(model: AutoencoderModule) -> str | None:
    optimizer = model.configure_optimizers()
    name = type(optimizer).__name__
    if type(optimizer) not in LINEAR_IN_LR and update_rule(optimizer) is None:
        return f"{name} is not known to be elementwise and linear in lr"
    for key in ("maximize", "differentiable"):
        if optimizer.param_groups[0].get(key):
            return f"{name}({key}=True) is not stacked"
    return None


def _trial_objection(model: AutoencoderModule) -> str | None:
    """What torch.func.vmap says of two members' gradients: random numbers, for one, it refuses."""
    parameters = {name: torch.stack([p, p]) for name, p in model.net.named_parameters()}
    x = next(model.net.parameters()).new_full((2, 2, *model.net.shape), 0.5)
    loss = stacked_loss([model])
    batch = stacked([model.training_batch(its, 0) for its in x])
    strengths = regulariser_weights([model, model], x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operations that it knows only one member at a time
        try:
            terms = loss.terms(parameters, batch, strengths)
            torch.autograd.grad(total(terms).sum(), list(parameters.values()), allow_unused=True)
            loss.scores(parameters, model.evaluation_batch(x[0]), strengths)
        except Exception as error:
            return f"torch.func.vmap refuses its gradient: {_first_sentence(error)}"
        finally:
            model.net.train()
    return None


def _first_sentence(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].partition(". ")[0] or type(error).__name__
