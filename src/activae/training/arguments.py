"""What a script gives the LightningModule: options by their names, and kinds that will not do.

Each function turns an argument into what training works with, or raises a ConfigError that says
what to give instead. A config's nodes are checked before they get here (`config.settling`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from activae.config.instantiating import build, build_option
from activae.config.wording import is_positive
from activae.errors import ConfigError, DataError
from activae.models import Autoencoder
from activae.objectives import Demand, Regulariser, mse
from activae.objectives import Objective as Reconstruction
from activae.objectives.declared import Objective
from activae.training.declaring import Corruption
from activae.training.optimizers import Clipping
from activae.training.schedules import Schedule, make_schedule

OptimizerFactory = Callable[..., torch.optim.Optimizer]  # of parameters

LOSS = (
    "A loss is called with the autoencoder and samples x [B, *shape], and returns one number that "
    "depends on the weights. Name a function of your own, such as: def my_loss(net, x): return "
    "torch.nn.functional.smooth_l1_loss(net(x), x)"
)


def network_of(given: Any) -> Autoencoder:
    """The network to train."""
    if isinstance(given, Autoencoder):
        return given
    raise ConfigError(
        f"net: is {_kind(given)}, not an activae.Autoencoder; make one of two halves, "
        "Autoencoder(encoder, decoder, shape=data.spec.shape), or by mlp_autoencoder(data.spec, 8)"
    )


def optimizer_of(given: Any) -> OptimizerFactory:
    """What makes the optimizer: that of an option's name, or of a factory; Adam by default."""
    if given is None:
        return torch.optim.Adam
    if isinstance(given, str):
        factory: OptimizerFactory = build_option("optimizer", given, "optimizer")
        return factory
    if isinstance(given, torch.optim.Optimizer) or not callable(given):
        raise ConfigError(
            f"optimizer: is {_kind(given)}, not what makes an optimizer of parameters; give a "
            'class, partial(torch.optim.SGD, lr=0.1), or the name of an option, such as "sgd"'
        )
    return given


def schedule_of(given: Any) -> Schedule:
    """What lr is multiplied by at a step: that of an option's name, or a function."""
    if isinstance(given, str):
        return make_schedule(build_option("scheduler", given, "schedule"))
    plain = given.func if isinstance(given, partial) else given
    of_torch = str(getattr(plain, "__module__", type(plain).__module__)).startswith("torch.")
    if of_torch or not callable(given):
        raise ConfigError(
            f"schedule: is {_kind(given)}, not a function (step, total_steps) -> what lr is "
            'multiplied by; give one, or the name of an option, such as "onecycle"'
        )
    return given


def clipping_of(given: Any) -> Clipping | None:
    """How gradients are clipped: a number is the limit of their norm."""
    if given is None or isinstance(given, Clipping):
        return given
    if not is_positive(given):
        raise ConfigError(
            f"clipping={given!r}: must be the largest norm of the gradients, such as 1.0, or an "
            "activae.training.optimizers.Clipping"
        )
    return Clipping(given)


def corruption_of(given: Any) -> Corruption | None:
    """What an encoder sees in training: by an option's name, or a function."""
    found = build_option("corruption", given, "corruption") if isinstance(given, str) else given
    if found is not None and not callable(found):
        raise ConfigError(
            f"corruption: is {_kind(given)}, not a function of samples; give the name of an "
            'option, such as "masking", or partial(activae.objectives.corruptions.masking, '
            "probability=0.3)"
        )
    return found


def regularisers_of(given: Any) -> dict[str, Regulariser]:
    """The penalties by their names; of options' names those of the options."""
    if isinstance(given, str):
        given = [given]
    if isinstance(given, (list, tuple)) and all(isinstance(name, str) for name in given):
        return {k: v for name in given for k, v in _regulariser(name).items()}
    if given is None or isinstance(given, Mapping):
        return dict(given or {})
    raise ConfigError(
        f"regularisers: is {_kind(given)}, not penalties by name; give them as "
        '{"code_l1": activae.objectives.CodeL1(1e-3)}, or names of options, ["code_l1"]'
    )


def _regulariser(name: str) -> dict[str, Regulariser]:
    nodes = build_option("regulariser", name, "regularisers")
    return {key: build(node, f"regularisers.{key}") for key, node in nodes.items()}


def normalisation_of(given: Any) -> nn.Module | None:
    """What is kept with the weights; None is that of the DataModule."""
    if given is None or isinstance(given, nn.Module):
        return given
    raise ConfigError(
        f"normalisation: is {_kind(given)}, not a module; leave it out: it is the DataModule's, "
        'which takes normalisation="standardise" and the like'
    )


def seed_of(given: Any) -> int:
    """The seed of random numbers."""
    if isinstance(given, Integral) and not isinstance(given, bool) and int(given) >= 0:
        return int(given)
    raise ConfigError(f"seed={given!r}: must be a whole number of 0 or more")


def objective_of(given: Any, net: Autoencoder) -> Objective:
    """What is minimised: that of an option's name, a loss (net, x), or an objective as it is."""
    if given is None:
        return Reconstruction(mse)
    found = build_option("objective", given, "objective") if isinstance(given, str) else given
    if isinstance(found, type) or not callable(found):
        raise ConfigError(f'objective: is {_kind(found)}; give "mse", "l1" or a loss. {LOSS}')
    if not hasattr(found, "strengths") and not hasattr(found, "draw"):
        found = _tried(found, net)
    _check_output(found, given, net)
    return found


def _tried(loss: Callable[..., Any], net: Autoencoder) -> Objective:
    """The objective that a function is, or that a loss becomes; refused where it cannot be."""
    name = _kind(loss)
    if str(getattr(loss, "__module__", type(loss).__module__)).startswith("torch.nn."):
        raise ConfigError(f"objective: {name} compares two tensors. {LOSS}")
    x = torch.full((2, *net.shape), 0.5).to(next(net.parameters()))
    found = given_by(f"objective: {name}", partial(loss, net, x), net)
    return loss if isinstance(found, Mapping) else Reconstruction(loss)


def given_by(where: str, evaluate: Callable[[], Any], net: Autoencoder) -> Any:
    """What a loss that is not ours gives of some samples; draws nothing from the run.

    where: what names it. Raises ConfigError where it cannot be called, or gives no terms.
    """
    trains = net.training
    net.eval()
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            found = evaluate()
        terms = found.values() if isinstance(found, Mapping) else [found]
        wrong = next(filter(None, map(_no_term, terms)), None)
    except Exception as error:  # whatever a user's function raises
        raise ConfigError(f"{where} raised {type(error).__name__}: {error}. {LOSS}") from error
    finally:
        net.train(trains)
    if wrong:
        raise ConfigError(f"{where} gives {wrong}. {LOSS}")
    return found


def refuse_unless_file(checkpoint: Path) -> None:
    """Raise DataError where there is no checkpoint by that name."""
    if not checkpoint.is_file():
        what = "is a folder; give a file in it" if checkpoint.is_dir() else "there is no such file"
        raise DataError(f"{checkpoint}: {what} (looked in {Path.cwd()})")


def refuse_other_network(net: Autoencoder, state: Mapping[str, Tensor], checkpoint: Path) -> None:
    """Raise ConfigError where a network has not the parameters that a checkpoint holds."""
    own = net.state_dict()
    kept = {k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")}
    for name in {**kept, **own}:
        theirs, here = (
            tuple(each[name].shape) if name in each else "missing" for each in (kept, own)
        )
        if theirs != here:
            raise ConfigError(
                f"net: is another network than that of {checkpoint}: its {name} is {here}, in the "
                f"checkpoint {theirs}; make it with the same code_dim, layers and activation"
            )


def _no_term(term: Any) -> str | None:
    """What a term is, if it is no differentiable number."""
    if not isinstance(term, Tensor):
        return f"a {type(term).__name__}, not a tensor"
    if term.ndim:
        return f"a tensor of shape {tuple(term.shape)}, not one number"
    return None if term.requires_grad else "a number through which no gradient gets to the weights"


def _check_output(objective: Any, given: Any, net: Autoencoder) -> None:
    """Refuse an objective whose output activation the network has not got."""
    demand: Demand = getattr(objective, "demand", Demand())
    asked = demand.output(net.shape) if demand.output else None
    has = net.output_activation
    if asked is not None and type(asked) is not type(has):
        name = f"objective={given!r}" if isinstance(given, str) else "objective"
        raise ConfigError(
            f"{name}: takes the output for {demand.takes_output_for}; the network's output "
            f"activation is {type(has).__name__}, not {type(asked).__name__}: give it as "
            "output_activation where the network is made, or choose another objective"
        )


def _kind(given: Any) -> str:
    """What was given, in a few words: its name, or the kind of thing it is."""
    named = given.func if isinstance(given, partial) else given
    if isinstance(named, type) or hasattr(named, "__qualname__"):
        home = named.__module__
        return f"{home}.{named.__qualname__}" if home != "builtins" else str(named.__qualname__)
    if isinstance(given, (bool, int, float, str)) or given is None:
        return repr(given)
    return f"a {type(given).__name__}"
