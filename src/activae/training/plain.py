"""In a plain `pl.Trainer`: one batch a step, Lightning's own optimisation, figures by `self.log`.

Lightning takes the optimizer's step, clips, accumulates, rounds, counts and writes checkpoints, so
that its callbacks and the Trainer's arguments mean what they mean elsewhere. Samples, their order,
noise, learning rate and loss are those of the project's own fit, and so are the weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from math import inf, isfinite, nan
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from activae.data.module import STEPS_PER_CHUNK, AutoencoderDataModule
from activae.data.normalisation import Normalisation
from activae.errors import ConfigError, DataError
from activae.models import Autoencoder
from activae.objectives.batch import Batch, Noise, samples_of
from activae.objectives.declared import Objective, Terms, evaluated, total
from activae.training.endings import Diverged, raise_if_diverged
from activae.training.epoch_sums import Sums, over_steps
from activae.training.optimizers import Clipping, learning_rate, with_learning_rate
from activae.training.phases import Phase
from activae.training.process import choose_threads
from activae.training.schedules import Adaptive, Schedule, constant

KEPT = "activae"  # what a Trainer's checkpoint has of ours


class InPlainTrainer(pl.LightningModule):
    """The part of `AutoencoderModule` that serves a Trainer whose optimisation is automatic.

    Logged once an epoch, at its end: `SE/val`, `SE/train` (of as many samples), `loss/val`,
    `loss/train` (mean over the epoch's steps) and, of several terms, `loss_terms/NAME`; by
    `trainer.test`, `SE/test` and `loss/test`. `trainer.predict` gives reconstructions in the units
    of the data; codes come from `module.net.encode`.

    Batches are normalised samples [B, *shape], or lists that begin with them. Raises Diverged where
    a loss or SE/val is not finite.
    """

    # What `AutoencoderModule` has.
    net: Autoencoder
    data: AutoencoderDataModule
    normalisation: nn.Module
    follows_data: bool
    given_steps: int | None
    total_steps: int
    clipping: Clipping | None
    optimizer_factory: Callable[..., torch.optim.Optimizer]
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    whole_schedule: Schedule
    phases: Sequence[Phase]
    phase: Phase
    player: nn.Module | None
    noise: Noise | None
    step: int
    epoch: int
    seconds: float
    epoch_sums: Sums
    _evaluation: dict[str, Sums]
    if TYPE_CHECKING:

        @property
        def objective(self) -> Objective: ...  # noqa: D102
        def factor(self, step: int) -> float: ...  # noqa: D102
        def new_optimizer(self) -> torch.optim.Optimizer: ...  # noqa: D102
        def varying_strengths(self) -> tuple[list[float], ...]: ...  # noqa: D102
        def training_batch(self, x: Tensor, step: int) -> Batch: ...  # noqa: D102
        def evaluation_batch(self, x: Tensor) -> Batch: ...  # noqa: D102
        def score(self, stage: str, scored: Batch, weight: float, samples: int) -> None: ...  # noqa: D102
        def finish_epoch(self, terms: Any, train: Any, val: Any) -> None: ...  # noqa: D102

    def __init__(self) -> None:
        super().__init__()
        # Of a fit; here, because a Tuner runs its loop, and saves, before a fit has started.
        self.taken: list[tuple[Terms, int]] = []
        self.evaluated: tuple[Terms, int] | None = None
        self.updates: Mapping[str, Tensor] = {}
        self.scores: dict[str, dict[str, float]] = {}
        self.kept: dict[str, Any] | None = None
        self.rates: LambdaLR | None = None

    @property
    def lr(self) -> float:
        """The learning rate that the schedule multiplies; to set it makes the next steps go by it.

        What `Tuner(trainer).lr_find` reads and sets.
        """
        return learning_rate(self.optimizer_factory)

    @lr.setter
    def lr(self, value: float) -> None:
        self.optimizer_factory = with_learning_rate(self.optimizer_factory, value)
        if self.rates is not None:
            self.rates.base_lrs = [value] * len(self.rates.base_lrs)
            for group in self.rates.optimizer.param_groups:
                group["initial_lr"] = value

    def configure_callbacks(self) -> list[pl.Callback]:
        """What has a small network compute on one thread, unless the Trainer has it already."""
        callbacks: list[pl.Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        has_it = any(isinstance(callback, SuitableThreads) for callback in callbacks)
        return [SuitableThreads()] if self.automatic_optimization and not has_it else []

    def setup(self, stage: str) -> None:
        """Learn the DataModule's normalisation. Raises ConfigError for what Lightning cannot do."""
        if not self.automatic_optimization:
            return
        data = self._data_module()
        if data is not None and data.shape != self.net.shape:
            raise ConfigError(
                f"datamodule: its samples have shape {data.shape}, and the network takes "
                f"{self.net.shape}; make it of these data, as mlp_autoencoder(data.spec, code_dim)"
            )
        if data is not None and self.follows_data:
            self.normalisation.load_state_dict(data.normalisation.state_dict())
        if stage != "fit":
            return
        self.kept = None  # of a checkpoint that is read after this, if any is
        if len(self.phases) > 1:
            raise ConfigError(
                f"phases: {len(self.phases)} phases have an optimizer each, and a pl.Trainer has "
                "one throughout; train with activae.train or train.py, or without phases"
            )
        if self.player is not None:
            raise ConfigError(
                "objective: trains a second module in turn, with an optimizer of its own, and a "
                "pl.Trainer has one; train with activae.train or train.py"
            )

    def _data_module(self) -> AutoencoderDataModule | None:
        """Ours, if the Trainer was given one of ours."""
        data = getattr(self.trainer, "datamodule", None)
        return data if isinstance(data, AutoencoderDataModule) else None

    def own_data(self) -> AutoencoderDataModule | None:
        """What the module trains on, if that is one of our DataModules."""
        fitted: AutoencoderDataModule | None = getattr(self, "data", None)  # by our own fit
        return self._data_module() if fitted is None and self._trainer is not None else fitted

    def plain_optimizers(self) -> dict[str, Any]:
        """The optimizer, and the schedule as one of torch's, asked at every step."""
        self._plan()
        self.step = 0
        self.schedule = deepcopy(self.whole_schedule)
        trainer: Any = self.trainer
        clips = trainer.gradient_clip_val is not None or self.clipping is not None
        if clips and str(trainer.precision).endswith("mixed"):
            self.optimizer_factory = unfused(self.optimizer_factory)
        self.optimizer = self.new_optimizer()
        self.rates = LambdaLR(self.optimizer, self.factor)
        rates = {"scheduler": self.rates, "interval": "step"}
        return {"optimizer": self.optimizer, "lr_scheduler": rates}

    def _plan(self) -> None:
        """How long the schedule is."""
        self.total_steps = self.given_steps or self._steps_of_trainer()
        self.phases = [Phase("joint", 0, self.total_steps)]
        self.phase = self.phases[0]

    def _in_range_test(self) -> bool:
        """Whether a Tuner drives the learning rate in our place, up to where training fails."""
        driven: Any = self.trainer
        schedulers = [config.scheduler for config in driven.lr_scheduler_configs]
        return self.rates is not None and self.rates not in schedulers

    def _steps_of_trainer(self) -> int:
        steps = self.trainer.estimated_stepping_batches
        if steps != inf:
            return int(steps)
        if self.whole_schedule is constant or isinstance(self.whole_schedule, Adaptive):
            return 1  # neither goes by it
        raise ConfigError(
            "total_steps: the schedule goes by the length of the training, and this Trainer has "
            "none; give it max_epochs or max_steps, or AutoencoderModule(total_steps=...)"
        )

    def start_plain_fit(self) -> None:
        """Put the data beside the network; go on from what a checkpoint kept."""
        data = self._data_module()
        if data is not None:
            # Half of single precision is rounded a batch at a time: the samples stay what they are.
            kind = torch.promote_types(next(self.net.parameters()).dtype, torch.float32)
            data.to(self.device, kind)
        self.optimizer = self.trainer.optimizers[0]
        # A fit that goes on within an epoch does not start it.
        self.epoch, self.started = self.trainer.current_epoch, perf_counter()
        self.epoch_sums = Sums()
        self.taken, self.evaluated, self.updates, self.scores = [], None, {}, {}
        kept, self.kept = self.kept, None
        if kept is not None:
            self.epoch_sums.load(kept["epoch_sums"])
            if isinstance(self.schedule, Adaptive):
                self.schedule.load_state_dict(kept["schedule"])
        if self.rates is not None:  # a callback may have set the batch size just now, or lr
            self._plan()
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * self.factor(self.trainer.global_step)

    def start_plain_epoch(self) -> None:
        """Start the epoch's means afresh, unless it goes on from within."""
        self.epoch, self.started = self.trainer.current_epoch, perf_counter()
        self.scores = {}
        if not self.trainer.fit_loop.epoch_loop.batch_progress.current.ready:
            self.epoch_sums = Sums()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Note which step it is."""
        if self.automatic_optimization:
            self.step = self.trainer.global_step

    def plain_step(self, batch: Any) -> Tensor:
        """The loss of a batch; called several times for one by an optimizer that searches."""
        x = self._samples(batch)
        # Nothing that counts is read without need: torch.compile would compile each step anew.
        # Noise goes by the batch, of which accumulation takes several a step.
        number = 0 if self.noise is None else self.trainer.fit_loop.total_batch_idx
        drawn = self.training_batch(x, number)
        strengths = [samples_of(drawn).new_tensor(values) for values in self.varying_strengths()]
        terms, self.updates = evaluated(self.objective, self.net, drawn, *strengths)
        if self.evaluated is None:
            self.evaluated = {name: term.detach() for name, term in terms.items()}, len(x)
        return total(terms)

    def _samples(self, batch: Any) -> Tensor:
        """The samples of a batch that may have labels too. Raises DataError for another shape."""
        found = batch[0] if isinstance(batch, (list, tuple)) else batch
        if isinstance(found, Tensor) and found.shape[1:] == self.net.shape:
            return found
        told = list(found.shape) if isinstance(found, Tensor) else f"of a {type(found).__name__}"
        raise DataError(
            f"a batch has shape {told}, and the network takes [B, "
            f"{', '.join(map(str, self.net.shape))}]; give an AutoencoderDataModule, or a "
            "DataLoader of such samples"
        )

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """As the Trainer says, or else by `clipping`."""
        if gradient_clip_val is not None or self.clipping is None:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        trained = [p for p in self.net.parameters() if p.requires_grad]
        self.clipping.apply(trained)

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Any, idx: int) -> None:
        """Note the batch's terms, and the new values of the buffers that the latent updates."""
        if not self.automatic_optimization or self.evaluated is None:
            return
        for name, value in self.updates.items():
            self.net.get_buffer(name).copy_(value)
        self.taken.append(self.evaluated)
        self.evaluated = None
        self.step = self.trainer.global_step
        if len(self.taken) == STEPS_PER_CHUNK:
            self._count_taken()

    def _count_taken(self) -> None:
        """Add what was noted to the epoch's means; raise Diverged where it is not finite."""
        terms, sizes = [terms for terms, _ in self.taken], [size for _, size in self.taken]
        self.taken = []
        self.epoch_sums.add(over_steps(terms), sizes)
        first = self.trainer.fit_loop.total_batch_idx + 1 - len(terms)
        if not self._in_range_test():
            raise_if_diverged([total(each) for each in terms], first)

    def on_train_epoch_end(self) -> None:
        """Log the means over the epoch's steps; let the schedule hear of SE/val."""
        if not self.automatic_optimization:
            return
        self._count_taken()
        self.seconds += perf_counter() - self.started
        if not self.epoch_sums.sums:
            return
        terms = self.epoch_sums.take()
        if self._in_range_test():  # its epochs are not the run's
            return
        figures = {"loss/train": sum(terms.values())}
        if len(terms) > 1:
            figures |= {f"loss_terms/{name}": term for name, term in terms.items()}
        self.log_dict(figures)
        if "val" in self.scores:
            unknown = {"loss": nan, "SE": nan}
            self.finish_epoch(terms, self.scores.get("train", unknown), self.scores["val"])
        if isinstance(self.schedule, Adaptive):  # the rate of the next step was set before
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * self.factor(self.step)

    def plain_validation_step(self, batch: Any, loader: int) -> None:
        """Score a batch of the validation samples, or of another loader's."""
        ours = self._data_module() is not None and loader == 1
        stage = "train" if ours else f"val{loader or ''}"
        x = self._samples(batch)
        self.score(stage, self.evaluation_batch(x), 1.0, len(x))

    def end_plain_validation(self) -> None:
        """Log what the validation found."""
        self.scores = self._take_scores()
        if self.trainer.sanity_checking:
            return
        if self.trainer.state.fn == TrainerFn.FITTING:
            self._count_taken()
            if not isfinite(self.scores["val"]["SE"]) and not self._in_range_test():
                raise Diverged(self.step)
        for stage, scores in self.scores.items():
            self.log(f"SE/{stage}", scores["SE"], prog_bar=True)
            if stage != "train":
                self.log(f"loss/{stage}", scores["loss"])

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Score a batch of samples that are tested on."""
        x = self._samples(batch)
        self.score("test", self.evaluation_batch(x), 1.0, len(x))

    def on_test_epoch_end(self) -> None:
        """Log what the test found."""
        for name, value in self._take_scores()["test"].items():
            self.log(f"{name}/test", value)

    def _take_scores(self) -> dict[str, dict[str, float]]:
        found = {stage: sums.take() for stage, sums in self._evaluation.items() if sums.sums}
        self._evaluation.clear()
        return found

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Reconstructions [B, *shape] in the units that the data have before normalisation."""
        again = self.net(self._samples(batch))
        kind = self.normalisation
        return kind.inverse(again) if isinstance(kind, Normalisation) else again

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what a plain Trainer goes on from."""
        if not self.automatic_optimization:
            return
        if self.taken:
            self._count_taken()
        schedule = self.schedule
        checkpoint[KEPT] = {
            "epoch_sums": self.epoch_sums.state(),
            "schedule": schedule.state_dict() if isinstance(schedule, Adaptive) else None,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep that until the fit starts."""
        self.kept = checkpoint.get(KEPT)


class SuitableThreads(pl.Callback):
    """One thread for a network so small that others would slow it down, while the Trainer is at it.

    Larger ones keep the threads there are. The size of a batch is the DataModule's.
    """

    def __init__(self) -> None:
        self.before: int | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Choose, as soon as the sizes are known."""
        size = getattr(getattr(trainer, "datamodule", None), "batch_size", None)
        net = pl_module.net
        if isinstance(net, Autoencoder) and size and choose_threads(net, size) == 1:
            self.before = torch.get_num_threads()
            torch.set_num_threads(1)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """As it was before."""
        if self.before is not None:
            torch.set_num_threads(self.before)
            self.before = None

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """As it was before."""
        self.teardown(trainer, pl_module, "")


def unfused(factory: Callable[..., torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """What makes an optimizer whose gradients Lightning can clip in mixed precision.

    A fused one undoes the scale of the gradients itself, within its step.
    """
    known = inspect.signature(factory).parameters
    chosen = factory.keywords if isinstance(factory, partial) else {}
    if "foreach" not in known or "fused" in chosen or "foreach" in chosen:
        return factory
    return partial(factory, foreach=True)


def like_the_data(shape: Sequence[int]) -> Normalisation:
    """A normalisation that changes nothing, until it is given the state of another."""
    return Normalisation(torch.zeros(*shape), torch.ones(*shape), (0.0, 1.0))
