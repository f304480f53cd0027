"""The LightningModule: many optimizer steps a `training_step`, metrics once an epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from activae.batch import Batch, Noise
from activae.compiled_step import CompiledStep, Graph
from activae.data.module import AutoencoderDataModule, Chunk
from activae.models.network import Autoencoder
from activae.schedules import Schedule
from activae.steps import EagerStep, Objective, total

Row = dict[str, float]
OptimizerFactory = Callable[[Autoencoder], torch.optim.Optimizer]


class Interrupted(Exception):
    """Raised between two optimizer steps after the user asked to stop."""


class Diverged(Exception):
    """Raised when the loss is no longer finite; `step` counts from 0."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


class AutoencoderModule(pl.LightningModule):
    """Trains an `Autoencoder` by an `Objective` with the optimizer and schedule given.

    Optimisation is manual: `training_step` receives a chunk of batches and takes one step for each,
    because Lightning's own per-step work costs more than a small network's training step. `step`
    counts optimizer steps and is, with the seed, all there is to know of the position in the data.
    """

    def __init__(
        self,
        net: Autoencoder,
        objective: Objective,
        normalisation: nn.Module,
        *,
        optimizer: OptimizerFactory,
        schedule: Schedule,
        total_steps: int,
        clip_norm: float | None = None,
        graph: Graph | None = None,
        noise: Noise | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net = net
        self.normalisation = normalisation
        self.objective = objective
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.total_steps = total_steps
        self.clip_norm = clip_norm
        self.graph = graph
        self.noise = noise
        self.step = 0
        self.epoch = 0
        self.seconds = 0.0
        self.stop_requested = False
        self.row: Row = {}
        self.epoch_sums = Sums()
        self._evaluation = {"train": Sums(), "val": Sums()}
        self._restored: dict[str, Any] | None = None
        self.sync_optimizer: Callable[[], None]  # completes the state that the optimizer holds

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions [B, *shape] of normalised samples [B, *shape]."""
        return self.net(x)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer over the network's parameters, of which only the weights decay."""
        optimizer = self.make_optimizer(self.net)
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        return optimizer

    def on_fit_start(self) -> None:
        """Get ready to train with what Lightning's trainer has made."""
        trainer: Any = self.trainer
        self.get_ready(trainer.datamodule, trainer.optimizers[0])
        self.take_step = self._make_step()
        self.sync_optimizer = self.take_step.sync

    def get_ready(self, data: AutoencoderDataModule, optimizer: torch.optim.Optimizer) -> None:
        """Put the data beside the network, and let the optimizer take up a restored state."""
        self.data = data
        data.to(self.device, next(self.net.parameters()).dtype)
        self.optimizer = optimizer
        if self._restored is not None:
            self.optimizer.load_state_dict(self._restored["optimizer_states"][0])
            torch.set_rng_state(self._restored["rng_state"])
            if self.device.type == "cuda" and self._restored["cuda_rng_state"] is not None:
                torch.cuda.set_rng_state(self._restored["cuda_rng_state"], self.device)

    def _make_step(self) -> EagerStep | CompiledStep:
        parts = (self.net, self.objective, self.optimizer, self.clip_norm)
        if self.graph is None:
            return EagerStep(*parts)
        size = self.data.batch_size
        return CompiledStep(*parts, self.graph, batch_size=size, steps_taken=self.step)

    def on_train_epoch_start(self) -> None:
        """Note which epoch this is: a resumed run starts at a later one than Lightning counts."""
        self.epoch = self.step // self.data.steps_per_epoch
        self._started = perf_counter()

    def training_step(self, chunk: Chunk, batch_idx: int) -> None:
        """One optimizer step for each batch of the chunk, which chooses training samples."""
        taken: list[dict[str, Tensor]] = []
        batches = chunk.split(self.data.batch_size)
        try:
            for chosen in batches:
                if self.stop_requested:
                    break
                factor = self.schedule(self.step, self.total_steps)
                batch = self.training_batch(self.data.rows("train", chosen), self.step)
                taken.append(self.take_step(batch, factor))
                self.step += 1
        except RuntimeError as error:
            if "returned nan values" in str(error):  # autograd's anomaly detection
                raise Diverged(self.step) from error
            raise
        self.epoch_sums.add(taken, [len(chosen) for chosen in batches[: len(taken)]])
        _raise_if_diverged([total(terms) for terms in taken], self.step - len(taken))
        if len(taken) < len(batches):
            self.seconds += perf_counter() - self._started
            raise Interrupted

    def training_batch(self, x: Tensor, step: int) -> Batch:
        """Samples x [B, *shape] with what the step (from 0) draws for them."""
        return x if self.noise is None else self.noise.training(x, step)

    def evaluation_batch(self, x: Tensor) -> Batch:
        """Samples x [B, *shape] as they are scored: uncorrupted."""
        return x if self.noise is None else self.noise.evaluation(x)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """The terms of the loss of samples x [B, *shape] as they are scored."""
        return self.objective(self.net, self.evaluation_batch(x))

    def validation_step(self, batch: tuple[str, Chunk], batch_idx: int) -> None:
        """Score some samples of a stage: the whole of val, and as many of train."""
        stage, chosen = batch
        x = self.data.rows(stage, chosen)
        squared_error = (self.net(x) - x).square().sum() / len(x)
        scores = {"loss": total(self.terms(x)), "SE": squared_error}
        self._evaluation[stage].add([scores], [len(x)])

    def on_validation_epoch_end(self) -> None:
        """Take the epoch's means, and the time it took."""
        self.seconds += perf_counter() - self._started
        self._started = perf_counter()
        train, val = (self._evaluation[stage].take() for stage in ("train", "val"))
        self.finish_epoch(self.epoch_sums.take(), train, val)

    def finish_epoch(self, terms: Row, train: Row, val: Row) -> None:
        """Gather the epoch's figures in `row`.

        terms: the objective's, mean over the epoch's samples; train, val: `loss` and `SE` of the
        weights as they are now. Raises Diverged where SE/val is not finite.
        """
        self.row = {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
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
        if not isfinite(self.row["SE/val"]):
            raise Diverged(self.step)

    def snapshot(self) -> dict[str, Any]:
        """A copy of all that is needed to go on from here: tensors and primitives only."""
        self.sync_optimizer()
        return {
            "state_dict": clone_tensors(self.state_dict()),
            "optimizer_states": [clone_tensors(self.optimizer.state_dict())],
            "epoch": self.epoch,
            "global_step": self.step,
            "seconds": self.seconds,
            "epoch_sums": self.epoch_sums.state(),
            "rng_state": torch.get_rng_state(),
            "cuda_rng_state": (
                torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
            ),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot; the optimizer takes it up when fitting starts."""
        self.to(snapshot["state_dict"]["normalisation.scale"].dtype)  # float64 would be rounded
        self.load_state_dict(snapshot["state_dict"])
        self.step = snapshot["global_step"]
        self.epoch = snapshot["epoch"]
        self.seconds = snapshot["seconds"]
        self.epoch_sums.load(snapshot["epoch_sums"])
        self._restored = snapshot


class Sums:
    """Means of named values over samples, each weighted by its batch size, kept on the device."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.samples = 0

    def add(self, batches: Sequence[dict[str, Tensor]], sizes: Sequence[int]) -> None:
        """Add the values of several batches at once, which spares the device a sum for each."""
        for name in batches[0] if batches else ():
            values = torch.stack([batch[name] for batch in batches]).double()
            weighted = values * torch.tensor(sizes, device=values.device)
            before = self.sums.get(name, weighted.new_zeros(())).to(weighted.device)
            # One after the other, so that it makes no difference where an interruption cut.
            self.sums[name] = torch.cat((before[None], weighted)).cumsum(0)[-1]
        self.samples += sum(sizes)

    def take(self) -> dict[str, float]:
        """The means, in one transfer from the device; starts afresh."""
        means = torch.stack(list(self.sums.values())) / self.samples
        named = dict(zip(self.sums, means.tolist(), strict=True))
        self.sums, self.samples = {}, 0
        return named

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of them."""
        return {"sums": dict(self.sums), "samples": self.samples}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.sums, self.samples = dict(state["sums"]), state["samples"]


def _raise_if_diverged(losses: Sequence[Tensor], first_step: int) -> None:
    finite = torch.stack(list(losses)).isfinite().tolist() if losses else []
    if not all(finite):
        raise Diverged(first_step + finite.index(False))


def clone_tensors(tree: Any) -> Any:
    """The same nesting of dicts and lists with every tensor copied."""
    if isinstance(tree, Tensor):
        return tree.detach().clone()
    if isinstance(tree, dict):
        return {key: clone_tensors(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [clone_tensors(value) for value in tree]
    return tree
