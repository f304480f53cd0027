"""Working at a sweep with one single-threaded process for each core.

Small networks gain nothing from a second thread, and a graph that is compiled once serves its whole
group, so a core trains run after run. The processes need no scheduler: each claims the next job
that nobody has. They are forked where that is possible, which shares the data and the imports.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Any

import torch

from activae.config.identity import data_key, graph_key
from activae.config.names import run_name
from activae.config.wording import clipped_apart, counted
from activae.data.module import AutoencoderDataModule
from activae.errors import END_REQUESTS, EXIT_INTERRUPTED
from activae.results.events import load_writers
from activae.sweeps.folder import SweepFolder, note_failure, outcome_of
from activae.sweeps.job import Ended, Job, Outcome, Report, Said, Stepped
from activae.sweeps.stack import memory_per_member
from activae.sweeps.work import Surroundings, work
from activae.training.assembly import build_model
from activae.training.compiled_step import load_compiler
from activae.training.process import process_state
from activae.training.processes import Child, Crew, Line, interrupt, meaning_of_exit
from activae.training.shared import Shared

log = logging.getLogger(__name__)


MEGABYTE = 1e6
GROUPS_SHOWN = 20
LABEL_WIDTH = 55  # of what the runs of a stack have in common
FORK = "fork" if sys.platform == "linux" else "spawn"


@dataclass
class Pool:
    """How to work at a sweep on this machine.

    workers: processes; with one, and not supervised, this process does the work.
    compiling: whether to compile the steps of alike runs; None: where it is worth it.
    start_method: of multiprocessing.
    place, of: which of several pools this is that work at the same sweep.
    supervised: always work in other processes: what kills one fails a job, not the pool.
    """

    sweep: SweepFolder
    surroundings: Surroundings
    report: Report
    workers: int
    compiling: bool | None = None
    start_method: str = field(default_factory=lambda: FORK)
    place: int = 0
    of: int = 1
    supervised: bool = False

    def run(self, jobs: Sequence[Job]) -> None:
        """See all jobs to their end; KeyboardInterrupt when asked to stop."""
        for _, groups in groupby(group(jobs), key=lambda each: each.data):
            self._run_alike(list(groups))

    def _run_alike(self, groups: list[Group]) -> None:
        """Jobs with the same data, which are loaded once and shared."""
        jobs = [job for each in groups for job in each.jobs]
        todo = [job for job in jobs if outcome_of(job) is None]
        workers = min(self.workers, len(todo))
        shared = Shared(threads=1 if self.workers > 1 or self.supervised else None)
        if todo:
            self._prepare(shared, groups, todo[0])
        if not workers or (workers == 1 and not self.supervised):
            work(jobs, self.sweep, shared, self.surroundings, self.report)
            return
        while jobs:
            ended = self._run_processes(jobs, shared, workers)
            if not ended:
                raise RuntimeError("no process could work at the sweep; see the messages above")
            jobs = [job for job in jobs if job.id not in ended]

    def _prepare(self, shared: Shared, groups: Sequence[Group], first: Job) -> None:
        """Load the data, and decide which graphs are compiled."""
        try:
            with process_state(0):
                torch.set_num_threads(1)  # no pool of threads, which a fork would not survive
                data = shared.load(first.cfg)
        except Exception:
            return  # every job will meet it, and say so in its log
        if self.compiling:
            shared.compiled = {each.graph for each in groups}
        elif self.compiling is None and _has_compiler():
            shared.compiled = worth_compiling(groups, data)
        if self.start_method == "fork":
            if shared.compiled:
                load_compiler()
            if first.cfg.logger.tensorboard:
                load_writers()
        self._announce(shared, groups, data)

    def _announce(
        self, shared: Shared, groups: Sequence[Group], data: AutoencoderDataModule
    ) -> None:
        """Tell the grouping, and what memory it takes."""
        size = sum(part.nbytes for part in data.samples.values()) / MEGABYTE
        processes = f"{self.workers} processes" if self.workers > 1 else "this process"
        self.report(
            Said(f"pool   {processes}; {data.source.name}: {size:.1f} MB, shared", routine=True)
        )
        shown = groups[:GROUPS_SHOWN]
        for each, which in zip(shown, labels(shown, of=groups), strict=True):
            how = "one compiled step" if each.graph in shared.compiled else "not compiled"
            memory = _memory_of_run(each.jobs[0], data)
            count = counted(len(each.jobs), "run")
            self.report(Said(f"stack  {count}{which}: {how}{memory}", routine=True))
        if len(groups) > GROUPS_SHOWN:
            more = f"       and {len(groups) - GROUPS_SHOWN} more groups"
            self.report(Said(more, routine=True))

    def _run_processes(self, jobs: Sequence[Job], shared: Shared, count: int) -> set[str]:
        """One round of processes; returns the jobs that ended, those that killed one included."""
        ended: set[str] = set()
        at: dict[Child, str | None] = {}
        with Crew(self.start_method) as crew:
            for place in range(count):
                far = self.place * count + place  # far apart, so that each compiles other graphs
                start = far * len(jobs) // (count * self.of)
                order = [*jobs[start:], *jobs[:start]]
                crew.start(_main, order, self.sweep, self.surroundings, shared)
            try:
                self._listen(crew, at, ended)
            except BaseException:  # of a signal: Ctrl-C, or the end of a batch job's time
                for child in crew.working:
                    child.ask_to_stop()
                self._listen(crew, at, ended)
                raise
        folders = {job.id: job.folder for job in jobs}
        for child in crew.children:
            self._blame(child, at.get(child), folders, ended)
        if any(child.exit_code == EXIT_INTERRUPTED for child in crew.children):
            raise KeyboardInterrupt
        return ended

    def _listen(self, crew: Crew, at: dict[Child, str | None], ended: set[str]) -> None:
        """Pass on what the processes tell, until all have ended; note which job each is at."""
        while crew.working:
            for child, event in crew.hear():
                if event is None:
                    continue
                if isinstance(event, Stepped):
                    at[child] = event.job
                elif isinstance(event, Ended):
                    ended.add(event.job)
                    at[child] = None if event.job == at.get(child) else at.get(child)
                self.report(event)

    def _blame(
        self, child: Child, job: str | None, folders: Mapping[str, Path], ended: set[str]
    ) -> None:
        """A process's death is the failure of the job it was at; the others are taken over."""
        if child.exit_code in (0, EXIT_INTERRUPTED) or job is None or job in ended:
            return
        reason = f"the process that trained it ended with {meaning_of_exit(child.exit_code)}"
        note_failure(folders[job], reason)
        ended.add(job)
        self.report(Ended(job, Outcome("failed", reason=reason)))


def _main(
    jobs: Sequence[Job], sweep: SweepFolder, surroundings: Surroundings, shared: Shared, line: Line
) -> None:
    """What a process of the pool does."""
    os.setpgid(0, 0)  # Ctrl-C reaches the launcher alone, which passes it on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for told_to_all in (*END_REQUESTS, signal.SIGUSR1, signal.SIGUSR2):  # the latter are Slurm's
        signal.signal(told_to_all, signal.SIG_IGN)  # the launcher acts on it
    line.listen(interrupt)
    for name in (None, "hydra"):
        logging.getLogger(name).handlers.clear()
    torch.set_num_threads(1)
    try:
        work(jobs, sweep, shared, surroundings, line.tell)
    except KeyboardInterrupt:  # what was computed is in the folders
        sys.exit(EXIT_INTERRUPTED)


def _memory_of_run(job: Job, data: AutoencoderDataModule) -> str:
    """What a run takes while it is trained; nothing where its network cannot be built."""
    cfg = job.cfg
    previous = logging.root.manager.disable
    logging.disable()  # the run's own log will tell what it is
    try:
        with process_state(cfg.seed):
            model = build_model(cfg, data)
            return f", {memory_per_member(model, cfg.data.batch_size) / MEGABYTE:.1f} MB a run"
    except Exception:  # whatever it is, the job will raise it again, and be named with it
        return ""
    finally:
        logging.disable(previous)


def _has_compiler() -> bool:
    """Whether there is the C++ compiler that torch.compile needs on a CPU."""
    return any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++"))))


# Compiling takes 7 to 9 s a graph, and saves 0.8 ms at each step of the article's network with
# batches of 32, more with larger ones (docs/benchmarks.md).
STEPS_WORTH_COMPILING = 10_000


@dataclass(frozen=True)
class Group:
    """Jobs that agree in all but seed, lr, and the strengths of decay and penalties."""

    data: str
    graph: str
    jobs: tuple[Job, ...]


def group(jobs: Sequence[Job]) -> list[Group]:
    """The jobs by what they can share: those with the same data, and within them the same graph."""
    found: dict[tuple[str, str], list[Job]] = {}
    order: dict[str, int] = {}
    for job in jobs:
        key = data_key(job.settled)
        order.setdefault(key, len(order))
        found.setdefault((key, graph_key(job.settled)), []).append(job)
    groups = [Group(data, graph, tuple(members)) for (data, graph), members in found.items()]
    return sorted(groups, key=lambda each: order[each.data])


def labels(groups: Sequence[Group], of: Sequence[Group]) -> list[str]:
    """What the runs of some groups have in common, different where the groups are."""
    alike = [job for each in of for job in each.jobs]
    return clipped_apart([in_common(each.jobs, alike) for each in groups], LABEL_WIDTH)


def in_common(jobs: Sequence[Job], others: Sequence[Job]) -> str:
    """What `jobs` share and tells them from `others`, or nothing: " of gelu,lr=0.003"."""
    shared, everywhere = (
        set.intersection(*(set(job.overrides) for job in some)) for some in (jobs, others)
    )
    told = sorted(shared - everywhere)
    return f" of {run_name(','.join(told))}" if told else ""


def worth_compiling(groups: Sequence[Group], data: AutoencoderDataModule) -> set[str]:
    """The graphs whose jobs take enough steps together, counting those that are done already.

    So it does not depend on how often the sweep was interrupted. `data` is that of the groups, of
    whose training part the jobs may take another fraction.
    """
    rows = len(data.samples["train"]) / data.train_fraction
    steps: dict[str, float] = {}
    for each in groups:
        taken = sum(_steps(job.settled, rows) for job in each.jobs)
        steps[each.graph] = steps.get(each.graph, 0) + taken
    return {graph for graph, taken in steps.items() if taken >= STEPS_WORTH_COMPILING}


def _steps(settled: Mapping[str, Any], rows: float) -> int:
    data, trainer = settled["data"], settled["trainer"]
    epoch = ceil(rows * data["train_fraction"] / data["batch_size"])
    whole = int(trainer["max_epochs"]) * epoch
    return min(whole, trainer["max_steps"] or whole)
