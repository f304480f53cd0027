"""The LightningModule: one batch a `training_step`, or many; metrics once an epoch."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from math import inf, isfinite
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from activae.config.settling import CONFIG
from activae.config.wording import is_count
from activae.data.loaders import Chunk
from activae.data.module import AutoencoderDataModule
from activae.errors import ConfigError, DataError
from activae.models.autoencoder import Autoencoder, SeenOnce
from activae.objectives import Regularised, Regulariser
from activae.objectives.batch import Batch, Noise, samples_of
from activae.objectives.declared import (
    Objective,
    Terms,
    evaluated,
    player_of,
    strengths_at,
    total,
    varies,
)
from activae.training.arguments import (
    OptimizerFactory,
    clipping_of,
    corruption_of,
    network_of,
    normalisation_of,
    objective_of,
    optimizer_of,
    refuse_other_network,
    refuse_unless_file,
    regularisers_of,
    schedule_of,
    seed_of,
)
from activae.training.compiled_step import CompiledStep, Graph
from activae.training.declaring import Corruption, joined
from activae.training.eager_step import EagerStep
from activae.training.endings import Diverged, Interrupted, raise_if_diverged
from activae.training.epoch_sums import Sums, clone_tensors, over_steps
from activae.training.files import parts_of
from activae.training.optimizers import Clipping, check_state, make_optimizer
from activae.training.parallel.step import ParallelStep
from activae.training.parallel.team import Team
from activae.training.phases import Phase
from activae.training.plain import InPlainTrainer, like_the_data
from activae.training.restoring import load_checkpoint
from activae.training.schedules import Adaptive, Schedule, constant
from activae.training.watching import figures_of, warn

Row = dict[str, Any]  # numbers, and the phase by its name

log = logging.getLogger(__name__)


class AutoencoderModule(InPlainTrainer):
    """Trains an `Autoencoder` by an `Objective` with the optimizer and schedule given.

    In a `pl.Trainer` it is a LightningModule like others: see `activae.training.plain`. The
    project's own fit sets `automatic_optimization` to False: then `training_step` receives a chunk
    of batches from the DataModule and takes one step for each, because Lightning's own per-step
    work costs more than a small network's training step. Both ways lead to the same weights. `step`
    counts optimizer steps and is, with the seed, all there is to know of the position in the data.

    Args:
        net: what is trained.
        objective: (autoencoder, batch) -> named scalar terms, a loss (autoencoder, x) -> scalar, or
            the name of an option of configs/objective, such as "l1"; mean squared error by default.
        normalisation: kept with the weights; that of the DataModule by default.
        lr: of the optimizer; by default its own, 1e-3 for Adam.
        optimizer: makes another than Adam of parameters, such as partial(torch.optim.SGD, lr=0.1);
            or the name of an option of configs/optimizer, which has an lr of its own.
        schedule: (step, total_steps) -> what lr is multiplied by, or the name of an option of
            configs/scheduler, such as "onecycle"; constant by default.
        total_steps: the length that the schedule goes by; that of the Trainer's fit by default.
        clipping: the largest norm of the gradients, or an `activae.training.optimizers.Clipping`;
            a Trainer's gradient_clip_val overrules it.
        corruption: of what the encoder sees in training, such as
            partial(activae.objectives.corruptions.masking, probability=0.3), or an option's name.
        regularisers: penalties by name, such as {"code_l1": activae.objectives.CodeL1(1e-3)}, or
            names of options.
        seed: of the random numbers of corruption, regularisers and the network's latent.
        noise: draws these in place of the module; `objective` has all that joins it then.
        graph, phases: for the project's own fit.
    """

    def __init__(
        self,
        net: Autoencoder,
        objective: Objective | str | None = None,
        normalisation: nn.Module | None = None,
        *,
        lr: float | None = None,
        optimizer: OptimizerFactory | str | None = None,
        schedule: Schedule | str = constant,
        total_steps: int | None = None,
        clipping: Clipping | float | None = None,
        corruption: Corruption | str | None = None,
        regularisers: Mapping[str, Regulariser] | Sequence[str] | None = None,
        seed: int = 0,
        graph: Graph | None = None,
        noise: Noise | None = None,
        phases: Sequence[Phase] | None = None,
    ) -> None:
        super().__init__()
        self.net = network_of(net)
        self.frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
        self.follows_data = normalisation is None
        self.normalisation = normalisation_of(normalisation) or like_the_data(net.shape)
        objective = objective_of(objective, net)
        if noise is None and not isinstance(objective, Regularised):
            added = (corruption_of(corruption), regularisers_of(regularisers), seed_of(seed))
            objective, noise = joined(objective, net, self.normalisation, *added)
        elif corruption is not None or regularisers:
            raise ConfigError(
                "corruption, regularisers: are for a loss that nothing joins yet; leave out noise, "
                "and give the objective alone"
            )
        self.whole_objective = objective
        self.optimizer_factory = optimizer_of(optimizer)
        if lr is not None:
            self.lr = lr
        schedule = schedule_of(schedule)
        self.schedule: Schedule = schedule
        self.whole_schedule: Schedule = schedule
        if isinstance(schedule, Adaptive):  # each phase starts with one that has seen nothing
            self.whole_schedule = deepcopy(schedule)
        if total_steps is not None and not is_count(total_steps):
            raise ConfigError(f"total_steps={total_steps!r}: must be a whole number of 1 or more")
        self.given_steps = total_steps
        self.total_steps = total_steps or 0  # a plain Trainer's fit sets it
        self.clipping = clipping_of(clipping)
        self.graph = graph
        self.noise = noise
        playing = player_of(objective)
        self.player = playing.module if playing else None
        self.player_optimizer: torch.optim.Optimizer | None = None
        self.phases: Sequence[Phase] = phases or [Phase("joint", 0, self.total_steps)]
        self.phase = self.phases[0]
        self.step = 0
        self.epoch = 0
        self.seconds = 0.0
        self.stop_requested = False
        self.team: Team | None = None  # the other devices that the run trains on
        self.scaler: GradScaler | None = None  # of the loss, with trainer.precision=16-mixed
        self.row: Row = {}
        self.epoch_sums = Sums()
        self._evaluation: dict[str, Sums] = defaultdict(Sums)
        self._told: set[str] = set()  # of what was warned
        self._restored: dict[str, Any] | None = None
        self._restored_from: Path | None = None
        self.sync_optimizer: Callable[[], None]  # completes the state that the optimizer holds

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path,
        *,
        trusted: Sequence[str] = (),
        net: Autoencoder | None = None,
        **settings: Any,
    ) -> AutoencoderModule:
        """The module of a checkpoint, with its weights and normalisation.

        A checkpoint of a run, which lies in its folder, needs nothing else. One that a plain
        Trainer wrote holds no description of the network: give one of its kind as `net`, and as
        `settings` what the module was made with.

        In evaluation mode, on the CPU. It trains on once it is given to a Trainer with a
        DataModule. Opening it runs no code of the folder's: see `activae.load`, which says what
        `trusted` is and what is raised.
        """
        path = Path(checkpoint_path)
        refuse_unless_file(path)
        if net is None:
            # Here, because what builds the module from a config has to know this class.
            from activae.training.assembly import restored_module

            folder = path.absolute().parents[1]
            if not (folder / CONFIG).is_file():
                raise DataError(
                    f"{folder}: is not the folder of a run, whose {CONFIG} describes the network. "
                    "For a checkpoint that a pl.Trainer wrote, give a network of its kind: "
                    "AutoencoderModule.load_from_checkpoint(path, net=network)"
                )
            return restored_module(path, trusted)
        state = load_checkpoint(path)["state_dict"]
        model = cls(net, **settings).to(state["normalisation.scale"].dtype)
        refuse_other_network(net, state, path)
        with parts_of(path):
            model.load_state_dict(state)
        return model.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions [B, *shape] of normalised samples [B, *shape]."""
        return self.net(x)

    @property
    def objective(self) -> Objective:
        """The loss of the phase that the run is in."""
        return self.phase.objective or self.whole_objective

    def factor(self, step: int) -> float:
        """What lr is multiplied by at a step (from 0) of this phase, which has its own schedule."""
        return self.schedule(step - self.phase.start, self.phase.steps)

    def configure_optimizers(self) -> Any:
        """The optimizer, and in a plain Trainer what sets its learning rate at each step."""
        return self.plain_optimizers() if self.automatic_optimization else self.current_optimizer()

    def current_optimizer(self) -> torch.optim.Optimizer:
        """That of the phase that the step reached belongs to: see `new_optimizer`."""
        self.phase = self._phase_at(self.step)
        return self.new_optimizer()

    def _phase_at(self, step: int) -> Phase:
        return next(phase for phase in reversed(self.phases) if phase.start <= step)

    def new_optimizer(self) -> torch.optim.Optimizer:
        """An optimizer over the parameters that train in this phase; only the weights decay."""
        self.phase.freeze(self.net, self.frozen)
        playing = player_of(self.objective)
        self.player_optimizer = None
        if playing is not None:
            self.player_optimizer = with_initial_lr(playing.optimizer(playing.module.parameters()))
        return with_initial_lr(self.make_optimizer(self.net))

    def make_optimizer(self, net: Autoencoder) -> torch.optim.Optimizer:
        """An optimizer of the module's kind over the parameters of a network that train."""
        return make_optimizer(self.optimizer_factory, net)

    @property
    def playing_optimizers(self) -> list[torch.optim.Optimizer]:
        """The network's optimizer, and that of its player, if it has one."""
        return [self.optimizer] + ([self.player_optimizer] if self.player_optimizer else [])

    def on_fit_start(self) -> None:
        """Get ready to train with what Lightning's trainer has made."""
        trainer: Any = self.trainer
        if self.automatic_optimization:
            self.start_plain_fit()
            return
        self.scaler = getattr(trainer.precision_plugin, "scaler", None)
        self.get_ready(trainer.datamodule, trainer.optimizers[0])
        self._start_phase()

    def get_ready(self, data: AutoencoderDataModule, optimizer: torch.optim.Optimizer) -> None:
        """Put the data beside the network, and restore the optimizer's state if there is one."""
        self.data = data
        data.to(self.device, next(self.net.parameters()).dtype)
        self.optimizer = optimizer
        if self._restored is not None:
            with parts_of(self._restored_from):
                self.load_optimizer(optimizer, self._restored)
                torch.set_rng_state(self._restored["rng_state"])
                if self.scaler is not None and "scaler" in self._restored:
                    self.scaler.load_state_dict(self._restored["scaler"])
            if self.device.type == "cuda" and self._restored["cuda_rng_state"] is not None:
                torch.cuda.set_rng_state(self._restored["cuda_rng_state"], self.device)

    def load_optimizer(self, optimizer: torch.optim.Optimizer, snapshot: dict[str, Any]) -> None:
        """Restore a snapshot's states, unless they are those of an earlier phase."""
        if snapshot.get("phase", self.phase.name) == self.phase.name:
            states = snapshot["optimizer_states"]
            optimizer.load_state_dict(states[0])
            check_state(optimizer)
            if self.player_optimizer is not None:
                self.player_optimizer.load_state_dict(states[1])
                check_state(self.player_optimizer)

    def _start_phase(self) -> None:
        """Get ready to take the steps of the phase."""
        if len(self.phases) > 1:
            number = self.phases.index(self.phase) + 1
            log.info("phase  %d of %d: %s", number, len(self.phases), self.phase.name)
        self.take_step = self._make_step()
        self.sync_optimizer = self.take_step.sync

    def _make_step(self) -> EagerStep | CompiledStep:
        parts = (self.net, self.objective, self.optimizer, self.clipping)
        if self.team is not None:
            return ParallelStep(*parts, self.team, self, self.data.seed, self.step)
        if self.graph is None:
            return self.eager_step(self.optimizer)
        return CompiledStep(
            *parts,
            self.graph.slot(self.phase.name),
            self.player_optimizer,
            batch_size=self.data.largest_batch,
            steps_taken=self.step - self.phase.start,
        )

    def eager_step(self, optimizer: torch.optim.Optimizer) -> EagerStep:
        """Steps of this phase by torch's own means."""
        parts = (self.net, self.objective, optimizer, self.clipping)
        return EagerStep(*parts, self.player_optimizer, self.scaler)

    def on_train_epoch_start(self) -> None:
        """Note which epoch this is: a resumed run starts at a later one than Lightning counts."""
        if self.automatic_optimization:
            self.start_plain_epoch()
            return
        self.start_epoch()
        self._started = perf_counter()

    def start_epoch(self) -> None:
        """Count epochs by the step reached."""
        self.epoch = self.step // self.data.steps_per_epoch

    def note_epoch(self) -> None:
        """At its end, which epoch it is: several may have passed since the last was recorded."""
        self.epoch = (self.step - 1) // self.data.steps_per_epoch

    @property
    def at_check(self) -> bool:
        """Whether the step reached ends an epoch that is scored and recorded, or the run."""
        return self.step % self.data.steps_per_check == 0 or self.step >= self.total_steps

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        """The loss of a batch; or a step for each batch of a chunk, which chooses samples."""
        if self.automatic_optimization:
            return self.plain_step(batch)
        self._take_chunk(batch)
        return None

    def _take_chunk(self, chunk: Chunk) -> None:
        batches = chunk.split(self.data.batch_size)
        while batches:
            if self.step == self.phase.end:
                self._next_phase()
            count = self.phase.end - self.step
            self._take_steps(batches[:count])
            batches = batches[count:]

    def enter_next_phase(self) -> None:
        """From here on steps are those of the next phase, whose schedule starts afresh."""
        self.phase = self.phases[self.phases.index(self.phase) + 1]
        self.schedule = deepcopy(self.whole_schedule)

    def _next_phase(self) -> None:
        """An epoch in which a phase begins is described by the steps of that phase."""
        self.enter_next_phase()
        self.optimizer = self.new_optimizer()
        self.epoch_sums = Sums()
        self._start_phase()

    def _take_steps(self, batches: Sequence[Chunk]) -> None:
        taken: list[Terms] = []
        try:
            for chosen in batches:
                if self.stop_requested:
                    break
                batch = self.training_batch(self.data.training_rows(chosen, self.step), self.step)
                varying = self.varying_strengths()
                taken.append(self.take_step(batch, self.factor(self.step), *varying))
                self.step += 1
        except RuntimeError as error:
            if "returned nan values" in str(error):  # autograd's anomaly detection
                raise Diverged(self.step) from error
            raise
        self.epoch_sums.add(over_steps(taken), [len(chosen) for chosen in batches[: len(taken)]])
        raise_if_diverged([total(terms) for terms in taken], self.step - len(taken))
        if len(taken) < len(batches):
            self.seconds += perf_counter() - self._started
            raise Interrupted

    def varying_strengths(self) -> tuple[list[float], ...]:
        """The objective's strengths at the step reached, if any depends on the step."""
        return (strengths_at(self.objective, self.step),) if varies(self.objective) else ()

    def training_batch(self, x: Tensor, step: int) -> Batch:
        """Samples x [B, *shape] with what the step (from 0) draws for them."""
        return x if self.noise is None else self.noise.training(x, step)

    def evaluation_batch(self, x: Tensor) -> Batch:
        """Samples x [B, *shape] as they are scored: uncorrupted."""
        return x if self.noise is None else self.noise.evaluation(x)

    def terms(self, x: Tensor) -> Terms:
        """The terms of the loss of samples x [B, *shape] as they are scored."""
        return self.terms_of(self.evaluation_batch(x))

    def terms_of(self, batch: Batch, net: Autoencoder | None = None) -> Terms:
        """The terms of a batch's loss, with the strengths of the step reached.

        net: what stands in for the network.
        """
        strengths = [samples_of(batch).new_tensor(values) for values in self.varying_strengths()]
        return evaluated(self.objective, net or self.net, batch, *strengths)[0]

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score some samples of a stage: the whole of val, and as many of train."""
        if self.automatic_optimization:
            self.plain_validation_step(batch, dataloader_idx)
            return
        stage, chosen = batch
        whole = self.evaluation_batch(self.data.rows(stage, chosen))
        scored, weight = (whole, 1.0) if self.team is None else self.team.share(whole)
        self.score(stage, scored, weight, len(chosen))

    def score(self, stage: str, scored: Batch, weight: float, samples: int) -> None:
        """Add `loss` and `SE` of a batch, times `weight`, to the sums of a stage."""
        x = samples_of(scored)
        with torch.autocast(self.device.type, enabled=False):  # what is compared is not rounded
            net = cast(Autoencoder, SeenOnce(self.net, x))
            squared_error = (net(x) - x).square().sum() / len(x)
            loss = total(self.terms_of(scored, net))
        scores = {"loss": weight * loss, "SE": weight * squared_error}
        self._evaluation[stage].add(over_steps([scores]), [samples])

    def on_validation_epoch_end(self) -> None:
        """Take the epoch's means, and the time it took."""
        if self.automatic_optimization:
            self.end_plain_validation()
            return
        self.seconds += perf_counter() - self._started
        self._started = perf_counter()
        scores = [self._evaluation[stage].take() for stage in ("train", "val")]
        train, val = scores if self.team is None else self.team.summed(scores)
        self.note_epoch()
        self.finish_epoch(self.epoch_sums.take(), train, val)

    def finish_epoch(self, terms: Row, train: Row, val: Row) -> None:
        """Gather the epoch's figures in `row`.

        terms: the objective's, mean over the samples since the last row; train, val: `loss` and
        `SE` of the weights as they are now. Raises Diverged where SE/val is not finite.
        """
        self.row = {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            **({"phase": self.phase.name} if len(self.phases) > 1 else {}),
            "lr": self.optimizer.param_groups[0]["lr"],
            "loss/train": sum(terms.values()),
            "loss/val": val["loss"],
            **(
                {f"loss_terms/{name}": term for name, term in terms.items()}
                if len(terms) > 1
                else {}
            ),
            "SE/train": train["SE"],
            "SE/val": val["SE"],
            "gap/SE": val["SE"] - train["SE"],
        }
        found = figures_of(self)
        self.row |= {f"{n}/{key}": v for n, each in found.items() for key, v in each.items()}
        if not isfinite(self.row["SE/val"]):
            raise Diverged(self.step)
        warn(self, found, self._told)
        if isinstance(self.schedule, Adaptive):
            self.schedule.observe(self.row["SE/val"], self.step - self.phase.start)

    def snapshot(self) -> dict[str, Any]:
        """A copy of all that is needed to continue from here: tensors and primitives only."""
        self.sync_optimizer()
        return {
            "state_dict": clone_tensors(self.state_dict()),
            "phase": self.phase.name,
            "optimizer_states": [
                clone_tensors(each.state_dict()) for each in self.playing_optimizers
            ],
            "epoch": self.epoch,
            "global_step": self.step,
            "seconds": self.seconds,
            "epoch_sums": self.epoch_sums.state(),
            "schedule": (
                self.schedule.state_dict() if isinstance(self.schedule, Adaptive) else None
            ),
            **({} if self.scaler is None else {"scaler": self.scaler.state_dict()}),
            "rng_state": torch.get_rng_state(),
            "cuda_rng_state": (
                torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
            ),
        }

    def restore(self, snapshot: dict[str, Any], file: Path | None = None) -> None:
        """Continue from a snapshot; the optimizer's state is restored when fitting starts.

        file: where it was read from, if it was. Raises DataError where it does not fit.
        """
        with parts_of(file):
            self._restore(snapshot)
        self._restored, self._restored_from = snapshot, file

    def _restore(self, snapshot: dict[str, Any]) -> None:
        self.to(snapshot["state_dict"]["normalisation.scale"].dtype)  # float64 would be rounded
        self.load_state_dict(snapshot["state_dict"])
        self.step = _number(snapshot, "global_step", int)
        self.epoch = _number(snapshot, "epoch", int)
        self.seconds = _number(snapshot, "seconds", int, float)
        self.epoch_sums.load(snapshot["epoch_sums"])
        phase = self._phase_at(self.step).name
        if isinstance(self.schedule, Adaptive) and snapshot.get("phase", phase) == phase:
            self.schedule.load_state_dict(snapshot["schedule"])


def _number(snapshot: dict[str, Any], name: str, *kinds: type) -> Any:
    """A number of 0 or more of a snapshot."""
    value = snapshot[name]
    if type(value) not in kinds or not 0 <= value < inf:
        raise ValueError(f"{name} is {value!r}, not a number of 0 or more")
    return value


def with_initial_lr(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer, its groups knowing the lr that a schedule's factors multiply."""
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer
