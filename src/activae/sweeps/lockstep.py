"""Working at a sweep with stacks in this process: alike runs step together, on one device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from time import monotonic
from typing import Any

import torch

from activae.results.run import TrainingDiverged
from activae.results.run_folder import refuse_links
from activae.sweeps.batches import judges
from activae.sweeps.folder import SweepFolder, forget_failure, outcome_of
from activae.sweeps.job import Ended, Job, Outcome, Report, Said, Stepped
from activae.sweeps.stack import (
    members_that_fit,
    memory_per_member,
    stack_key,
    train_stack,
    why_not_stackable,
)
from activae.sweeps.stack.member import Member
from activae.sweeps.stack.training import choose_device
from activae.sweeps.work import SECONDS_BETWEEN_REPORTS, Surroundings, failed, logged, work
from activae.training.assembly import build_model
from activae.training.module import Interrupted
from activae.training.process import process_state
from activae.training.shared import Shared

MEGABYTE = 1e6


class Lockstep:
    """Groups jobs that can share a stack, and trains each group as one.

    A stack is as large as the device's free memory allows, and is halved where that was too much.
    What cannot be stacked is trained singly; why, is told.
    """

    def __init__(self, sweep: SweepFolder, surroundings: Surroundings, report: Report) -> None:
        self.sweep = sweep
        self.surroundings = surroundings
        self.report = report
        self.shared = Shared(keeps_all_data=True)  # a sweep's are few, and a stack may mix them
        self._told_at = 0.0

    def run(self, jobs: Sequence[Job]) -> None:
        """See all jobs to their end; KeyboardInterrupt when asked to stop."""
        groups: dict[str, list[Job]] = {}
        for job in jobs:
            if outcome_of(job) is None:
                groups.setdefault(stack_key(job.settled), []).append(job)
        for group in groups.values():
            self._train_group(group)
        # Those found done, those that cannot be stacked, and those that others were at.
        work(jobs, self.sweep, self.shared, self.surroundings, self.report)

    def _train_group(self, jobs: list[Job]) -> None:
        size = self._stack_size(jobs)
        while jobs and size:
            chunk, jobs = jobs[:size], jobs[size:]
            with ExitStack() as claims:
                ours = [job for job in chunk if claims.enter_context(self.sweep.claim(job))]
                ours = [job for job in ours if outcome_of(job) is None]
                ours = [job for job in ours if self._opened(job)]
                if ours:
                    self._train(ours)

    def _stack_size(self, jobs: Sequence[Job]) -> int:
        """How many of the jobs step together; 0 where they have to be trained singly."""
        first = jobs[0].cfg
        try:
            with process_state(first.seed):
                data = self.shared.load(first)
                model = build_model(first, data)
                reason = why_not_stackable(first, model, data)
        except Exception:  # whatever it is, each will meet it, and say so in its own log
            return 0
        title = f"{len(jobs)} runs like {jobs[0].name}"
        if reason:
            self.report(Said(f"single {title}: {reason}", routine=True))
            return 0
        device = choose_device(first.trainer.accelerator)
        batch_size = first.data.batch_size
        size = min(len(jobs), members_that_fit(_free_bytes(device), model, batch_size))
        megabytes = memory_per_member(model, batch_size) / MEGABYTE
        told = f"stack  {title}: {size} at a time on {device}, {megabytes:.1f} MB a member"
        self.report(Said(told, routine=True))
        return size

    def _opened(self, job: Job) -> bool:
        """Whether the job's folder can be written; if not, that is its end."""
        self.report(Stepped(job.id, 0, 0))
        try:
            job.folder.mkdir(parents=True, exist_ok=True)
            refuse_links(job.folder)
            forget_failure(job.folder)
            with self.surroundings(job):  # leaves Hydra's record
                return True
        except Exception as error:
            self.report(Ended(job.id, failed(job, error)))
            return False

    def _train(self, jobs: Sequence[Job]) -> None:
        def ended(place: int, result: dict[str, Any] | Exception) -> None:
            with logged(jobs[place]):
                self.report(Ended(jobs[place].id, _outcome(jobs[place], result)))

        def stepped(members: Sequence[Member]) -> None:
            if monotonic() - self._told_at > SECONDS_BETWEEN_REPORTS:
                for member in members:
                    model = member.model
                    if not member.ended:
                        job = jobs[member.place].id
                        self.report(Stepped(job, model.step, model.total_steps))
                self._told_at = monotonic()

        try:
            with ExitStack() as open_studies:
                train_stack(
                    [(job.cfg, job.folder) for job in jobs],
                    data_for=self.shared.load,
                    shared=self.shared,
                    watchers=[open_studies.enter_context(judges(job.pruning)) for job in jobs],
                    inside=lambda place: logged(jobs[place]),
                    on_steps=stepped,
                    on_end=ended,
                )
        except Interrupted:
            raise KeyboardInterrupt from None


def _outcome(job: Job, result: dict[str, Any] | Exception) -> Outcome:
    if isinstance(result, TrainingDiverged):
        return Outcome("diverged", reason=str(result))
    if isinstance(result, Exception):
        return failed(job, result)
    return Outcome(result["status"], result["val"]["SE"], seconds=result["seconds"]["all"])


def _free_bytes(device: torch.device) -> int:
    """Memory that is free on the device; on a CPU, what the machine has available."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
