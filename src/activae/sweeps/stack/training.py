"""Runs trained as one stack: what activae.results.run.train does for one, done for each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from activae.config.identity import stack_key
from activae.data.module import AutoencoderDataModule
from activae.results.run import Finished, close_diverged, finish
from activae.results.run_folder import record
from activae.sweeps.stack.eligibility import why_not_stackable
from activae.sweeps.stack.fitting import Inside, StackFit
from activae.sweeps.stack.member import Member
from activae.training.assembly import build_data, build_model, describe_data
from activae.training.module import Diverged
from activae.training.process import process_state, stopping_on_interrupt
from activae.training.shared import Shared

Outcome = dict[str, Any] | Exception
DataFor = Callable[[DictConfig], AutoencoderDataModule]


def train_stack(
    jobs: Sequence[tuple[DictConfig, Path]],
    *,
    data_for: DataFor | None = None,
    shared: Shared | None = None,
    watchers: Sequence[Sequence[pl.Callback]] | None = None,
    inside: Inside = lambda place: nullcontext(),
    on_steps: Callable[[Sequence[Member]], None] = lambda members: None,
    on_end: Callable[[int, Outcome], None] = lambda place, outcome: None,
) -> list[Outcome]:
    """Train, score and record runs as one; a folder with an unfinished run is continued.

    Args:
        jobs: settled configs of one `stack_key`, for none of which `why_not_stackable` has an
            answer, and the folder of each.
        data_for: the data of a config. It may return one object for several: samples are shared,
            and the order of batches follows each config's seed. None: built once for each `data`.
        shared: keeps PCA's scores for the runs of this process.
        watchers: callbacks of each job, beside those that record it.
        inside: entered with a job's place in `jobs` around all that is done for it alone.
        on_steps: told after each chunk of steps, with all runs.
        on_end: told of each run that has ended, with what is returned for it.

    Returns what metrics.json holds for each job, its `seconds` being its share of the stack's, or
    the exception that ended it: TrainingDiverged, what its construction raised, or
    torch.OutOfMemoryError where not even one run fits the device.
    Raises Interrupted when asked to stop; what was computed until then is in the folders.
    """
    assert len({stack_key(cfg) for cfg, _ in jobs}) == 1, "one key for all"
    outcomes: dict[int, Outcome] = {}
    shared = shared or Shared()
    data_for = data_for or _sharing_data()

    def ended(place: int, outcome: Outcome) -> None:
        outcomes[place] = outcome
        on_end(place, outcome)

    with process_state(jobs[0][0].seed):
        members = []
        for place, (cfg, folder) in enumerate(jobs):
            with inside(place):
                try:
                    own = watchers[place] if watchers else ()
                    members.append(_prepare(place, cfg, folder, data_for, own))
                except Exception as error:
                    ended(place, error)
        if members:  # the others' networks and optimizers are the same
            reason = why_not_stackable(members[0].cfg, members[0].model)
            assert reason is None, reason
        device = choose_device(jobs[0][0].trainer.accelerator)
        fit = StackFit(members, device, inside=inside, on_steps=on_steps)
        with stopping_on_interrupt(fit):
            for member in fit.run():
                with inside(member.place):
                    ended(member.place, _close(member, shared))
    return [outcomes[place] for place in range(len(jobs))]


def choose_device(accelerator: str) -> torch.device:
    """The device that trainer.accelerator means here."""
    if accelerator == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available() and accelerator != "mps":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _sharing_data() -> DataFor:
    built: dict[str, AutoencoderDataModule] = {}

    def data_for(cfg: DictConfig) -> AutoencoderDataModule:
        key = OmegaConf.to_yaml(cfg.data)
        if key not in built:
            built[key] = build_data(cfg)
        return built[key]

    return data_for


def _prepare(
    place: int,
    cfg: DictConfig,
    folder: Path,
    data_for: DataFor,
    watchers: Sequence[pl.Callback],
) -> Member:
    started = perf_counter()
    record(cfg, folder)
    torch.manual_seed(cfg.seed)  # for modules that draw their own initial parameters
    data = data_for(cfg).for_run(seed=cfg.seed, batch_size=cfg.data.batch_size)
    describe_data(data)
    model = build_model(cfg, data)
    member = Member(place, cfg, folder, model, data, watchers)
    member.restore()
    member.seconds_alone = perf_counter() - started
    return member


def _close(member: Member, shared: Shared) -> Outcome:
    """Score the member and close its folder; what that raises is its outcome."""
    try:
        return _scored(member, shared)
    except Exception as error:
        return error
    finally:
        member.data.forget()  # on a GPU, a divergence is located with a copy of its own


def _scored(member: Member, shared: Shared) -> dict[str, Any]:
    started = perf_counter()
    cfg, model, data, folder = member.cfg, member.model, member.data, member.folder
    if isinstance(member.error, Diverged):
        raise close_diverged(cfg, model, data, folder, member.error.step)
    if member.error is not None:
        raise member.error
    run = Finished(cfg, model, data, folder, shared, member.watchers)
    return finish(run, lambda: model.seconds + member.seconds_alone + perf_counter() - started)
