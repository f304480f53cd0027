"""From the overrides of a sweep's jobs to a run folder for each, and what Hydra wants to know."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from time import perf_counter
from typing import Any

from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from activae.config.choices import note_choices
from activae.config.devices import refuse_several_in_a_sweep, refuse_torchrun
from activae.config.identity import ID_LENGTH, job_id, matters_to_condition
from activae.config.names import key_of, place_of, run_name, varying
from activae.config.program import config_flags, training, using
from activae.config.rates import put_rate
from activae.config.run_folders import refuse_unless_run
from activae.config.settling import container, sampler_kind, settle
from activae.config.trust import trusting
from activae.config.wording import counted, wrapped
from activae.errors import EXIT_INTERRUPTED, ConfigError, SweepFailed, UserError
from activae.results.events import SUMMARY
from activae.results.hparams import write_experiment
from activae.sweeps.batches import (
    Pruning,
    batch_of,
    prunings,
    refuse_budget_without_race,
    trials_of,
)
from activae.sweeps.composing import compose_jobs
from activae.sweeps.display import Display
from activae.sweeps.folder import (
    SweepFolder,
    failure_noted,
    note_failure,
    outcome_of,
    told_together,
)
from activae.sweeps.job import Ended, Job, Outcome, Report
from activae.sweeps.work import Surroundings, job_return, surroundings

log = logging.getLogger(__name__)

_TWINS_TOLD = 4

# Sees all jobs of a sweep to their end: (jobs, folder, what surrounds a job, report).
Engine = Callable[[Sequence[Job], SweepFolder, Surroundings, Report], None]


@dataclass(frozen=True)
class _Composed:
    """What is known of a job before it has a folder; `mistake` is why it cannot be trained."""

    id: str
    name: str
    condition: str
    composed: dict[str, Any]
    settled: dict[str, Any]
    mistake: str = ""

    @property
    def overrides(self) -> list[str]:
        """What it was composed with."""
        return list(self.composed["hydra"]["overrides"]["task"])


def launch(
    context: HydraContext,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first: int,
    engine: Engine,
) -> list[JobReturn]:
    """Train the jobs of a sweep that have no result yet; return how each ended, with its SE/val.

    The return value of a failed one raises SweepFailed, which names all that failed. Raises what
    Hydra raises where a job's config cannot be composed: then nothing was trained.
    """
    started = perf_counter()
    setup_globals()
    refuse_torchrun()
    refuse_budget_without_race(config, config.hydra)
    _refuse_several_samplers(config, job_overrides)
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    sweep = SweepFolder(Path(str(config.hydra.sweep.dir)))
    keys = _varying(config, sweep, job_overrides)
    found = [
        _check(composed, sweep, keys)
        for composed in compose_jobs(context.config_loader, config, job_overrides, first)
    ]
    whole = batch_of(config) is None  # else the sweeper tells of the whole
    if whole:
        _refuse_what_all_share(found, sweep)
    trials = prunings(config, first)
    if first == 0:
        _tell_twins(found)
    heading = (batch_of(config) or {}).get("heading")
    jobs = _with_folders(found, sweep, _command(config), trials)
    _open_hparams(sweep, keys, found)
    unique = {job.id: job for job in jobs}
    mistakes = {each.id: each.mistake for each in found if each.mistake}
    if whole:
        log.info("sweep  %s\n       %s", sweep.path, _count(unique.values()))
    around = partial(surroundings, callbacks=context.callbacks)
    try:
        with Display(
            list(unique.values()), heading, by_condition=whole, trials=trials_of(config)
        ) as display:
            for id_, mistake in mistakes.items():
                note_failure(unique[id_].folder, mistake)
                display(Ended(id_, Outcome("failed", reason=mistake)))
            engine([j for j in unique.values() if j.id not in mistakes], sweep, around, display)
    except KeyboardInterrupt:
        how = _resume(config, sweep, unique.values())
        log.warning("interrupted; continue with: %s %s", training(), how)
        sys.exit(EXIT_INTERRUPTED)
    for job in unique.values():
        if job.id not in display.outcomes:  # its process died between the end and the telling
            display.outcomes[job.id] = outcome_of(job) or Outcome("failed", reason="not trained")
    _fit_missing_samplers(unique.values(), display.outcomes)
    if whole:
        _conclude(unique, display.outcomes, sweep, perf_counter() - started)
    return _returns(jobs, display.outcomes)


def _refuse_several_samplers(config: DictConfig, job_overrides: Sequence[Sequence[str]]) -> None:
    """Raise ConfigError where jobs differ in their sampler alone: they would be one run."""
    several = sorted(key for key in varying(job_overrides) if key.split(".")[0] == "sampler")
    if several and not OmegaConf.select(config, "score.samples"):
        raise ConfigError(
            f"{', '.join(several)}: a sweep trains each run once, whatever its sampler, and a run "
            f"keeps one; give one here, and fit others later with `{using()} fit-sampler RUN`. "
            "With score.samples=true each sampler makes a run of its own"
        )


def _fit_missing_samplers(jobs: Iterable[Job], outcomes: Mapping[str, Outcome]) -> None:
    """Fit the samplers that this launch asks for to runs that were found done without them.

    What TensorBoard and the report show of new samples is drawn by them from then on.
    """
    found = [job for job in jobs if not outcomes[job.id].fresh and outcomes[job.id].ok]
    if not any(sampler_kind(job.settled) for job in found):
        return
    from activae.results.recording import drawing  # these import torch
    from activae.results.run_folder import read_metrics
    from activae.results.sampling import fit_missing
    from activae.results.tensorboard import show_samples_anew
    from activae.training.shared import Shared

    shared = Shared()
    for job in found:
        run = fit_missing(job.cfg, job.folder, partial(shared.load, job.cfg))
        if run is not None:
            step = (read_metrics(job.folder) or {}).get("steps", 0)
            with drawing(job.folder):
                show_samples_anew(job.cfg, run, shared.load(job.cfg), job.folder, step)


def _refuse_what_all_share(found: Sequence[_Composed], sweep: SweepFolder) -> None:
    """Raise ConfigError for a mistake that is in every job: it is no job's, but the command's."""
    mistakes = {each.mistake for each in found}
    if len(found) < 2 or len(mistakes) > 1 or "" in mistakes:
        return
    record = sweep.path / "multirun.yaml"  # Hydra has written it already
    if [*sweep.path.iterdir()] == [record]:
        record.unlink()
        sweep.path.rmdir()
    raise ConfigError(f"{mistakes.pop()}\nThis is so in all {len(found)} runs; none was started")


def _tell_twins(found: Sequence[_Composed]) -> None:
    """Say which jobs are one: their overrides differ, their settled configs do not."""
    firsts: dict[str, _Composed] = {}
    twins: dict[tuple[str, str], None] = {}
    for each in found:
        first = firsts.setdefault(each.id, each)
        own, its = (
            " ".join(line for line in one.overrides if line not in other.overrides)
            for one, other in ((each, first), (first, each))
        )
        if own:
            twins[own, its] = None
    for own, its in list(twins)[:_TWINS_TOLD]:
        log.info(
            "%s",
            wrapped(
                f"note   {own} is {its} by another name: one config, which is trained once and is "
                "one condition of a comparison. A control needs other code of the same function, "
                "as activation=leaky_relu activation.negative_slope=0 for relu"
            ),
        )


def _varying(
    config: DictConfig, sweep: SweepFolder, job_overrides: Sequence[Sequence[str]]
) -> set[str]:
    """The keys that tell the sweep's jobs apart, those of earlier launches included."""
    jobs = [[line for line in job if not _is_hydras(line)] for job in job_overrides]
    known = [job["overrides"] for job in sweep.index()["jobs"].values()]
    return varying([*jobs, *known], _lines(config.hydra.overrides.task)) - set(
        config.hydra.job.config.override_dirname.exclude_keys
    )


def _is_hydras(override: str) -> bool:
    return override.lstrip("+~").startswith(("hydra.", "hydra/", "hydra@"))


def _check(config: DictConfig, sweep: SweepFolder, keys: set[str]) -> _Composed:
    """Settle a composed config; a mistake in it is the job's failure, not the sweep's.

    Raises ConfigError for a run on several devices, which no sweep can have.
    """
    refuse_several_in_a_sweep(config.trainer)
    resumed = config.resume
    config.resume = None  # names the sweep; the job's own folder tells whether it is resumed
    wrong: UserError | None = None
    try:
        put_rate(config, config.hydra)
        note_choices(config, config.hydra)
    except UserError as error:
        wrong = error
    with open_dict(config):
        lines = [line for line in _lines(config.hydra.overrides.task) if key_of(line) in keys]
        if lines:  # else there is one job, or it is what the others are compared with
            how = config.hydra.job.config.override_dirname
            dirname = how.item_sep.join(sorted(lines)).replace("=", how.kv_sep)
            config.hydra.job.override_dirname = dirname
        name = str(config.hydra.sweep.subdir)
        condition = run_name(",".join(sorted(filter(_tells_conditions, lines))))
        config.hydra.output_subdir = config.hydra.output_subdir  # resolved, here and now
        config.hydra.job.name = config.hydra.job.name
        composed: Any = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
        del config["hydra"]
    try:
        if wrong is not None:
            raise wrong
        if resumed and Path(resumed).resolve() != sweep.path.resolve():
            raise ConfigError(f"resume={resumed}: continues one run; leave out --multirun")
        # A resumed sweep's lines come from its folder; its commands give no trusted_modules.
        settled = container(settle(config, list(config.trusted_modules) if resumed else None))
        _refuse_missing(settled["data"]["path"])
        if settled["init_from"]:
            refuse_unless_run(settled["init_from"], "init_from=")
    except UserError as error:
        task = {key: value for key, value in composed.items() if key != "hydra"}
        text = json.dumps(task, sort_keys=True, default=str)
        id_ = hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]
        return _Composed(id_, name, condition, composed, {}, str(error))
    return _Composed(job_id(settled), name, condition, composed, settled)


def _tells_conditions(line: str) -> bool:
    """Whether an override is of a run's condition: seed and logger, say, are not."""
    key = place_of(key_of(line))
    return key == "lr" or matters_to_condition(key)  # lr stands for the optimizer's


def _refuse_missing(path: str | None) -> None:
    """Raise ConfigError where there are no data: told now, once, and not by every job."""
    if path is not None and not Path(path).exists():
        raise ConfigError(
            f"data.path={path}: there is no such file or folder (looked in {Path.cwd()})"
        )


def _with_folders(
    found: Sequence[_Composed],
    sweep: SweepFolder,
    command: Sequence[str],
    trials: Mapping[int, Pruning],
) -> list[Job]:
    folders = sweep.enrol(command, {each.id: (each.name, each.overrides) for each in found})
    return [
        _job(each, folders[each.id], trials.get(each.composed["hydra"]["job"]["num"]))
        for each in found
    ]


def _job(found: _Composed, folder: Path, pruning: Pruning | None) -> Job:
    hydra = found.composed["hydra"]
    hydra["runtime"]["output_dir"] = str(folder.resolve())
    return Job(
        id=found.id,
        number=hydra["job"]["num"],
        overrides=tuple(found.overrides),
        folder=folder,
        settled=found.settled,
        composed=found.composed,
        condition=found.condition,
        old_failure=failure_noted(folder),
        pruning=pruning,
    )


def _open_hparams(sweep: SweepFolder, keys: set[str], found: Sequence[_Composed]) -> None:
    """Tell TensorBoard's HPARAMS page what varies; no run knows, and the page is open meanwhile."""
    shown = [
        each.settled for each in found if each.settled and each.settled["logger"]["tensorboard"]
    ]
    if shown and keys:
        lines = [job["overrides"] for job in sweep.index()["jobs"].values()]
        score = {
            name: any(settled["score"].get(name) for settled in shown)
            for name in ("test", "nll", "samples")
        }
        write_experiment(sweep.below(SUMMARY), keys, lines, score)


def _count(jobs: Any) -> str:
    done = sum(outcome_of(job) is not None for job in jobs)
    return f"{counted(len(jobs), 'run')}, {len(jobs) - done} to train" + (
        f", {done} done" if done else ""
    )


def _conclude(
    jobs: Mapping[str, Job], outcomes: Mapping[str, Outcome], sweep: SweepFolder, seconds: float
) -> None:
    fresh = sum(outcome.fresh for outcome in outcomes.values())
    before = "1 was" if len(jobs) - fresh == 1 else f"{len(jobs) - fresh} were"
    log.info("took   %.1f s for %s; %s done before", seconds, counted(fresh, "run"), before)
    shown = [id_ for id_, job in jobs.items() if job.settled.get("logger", {}).get("tensorboard")]
    if any(outcomes[id_].se_val is not None for id_ in shown):
        log.info("look   tensorboard --logdir %s", quote(str(sweep.path)))


def _returns(jobs: Sequence[Job], outcomes: Mapping[str, Outcome]) -> list[JobReturn]:
    failed = {job.id: job for job in jobs if not outcomes[job.id].ok}
    failure = SweepFailed(_failures([(job.folder, outcomes[job.id]) for job in failed.values()]))
    return [
        job_return(job, failure if job.id in failed else outcomes[job.id].se_val) for job in jobs
    ]


def _failures(failed: Sequence[tuple[Path, Outcome]]) -> str:
    """Each reason, once, with the folder of the job, or of the first of those that share it.

    Those that diverged share one: each one's own figures are in its folder.
    """
    diverged = sum(outcome.status == "diverged" for _, outcome in failed)
    head = f"{len(failed)} of the sweep's jobs failed"
    if diverged:
        head += f" ({diverged} of them diverged)"
    kinds = (
        (folder, o.status if o.status == "diverged" else o.reason, o.reason) for folder, o in failed
    )
    return "\n".join([f"{head}:", *told_together(kinds)])


def _command(config: DictConfig) -> list[str]:
    """What was asked for, as it can be asked for again."""
    overrides = config.hydra.overrides
    where = ("hydra.mode=", "hydra.sweep.dir=")  # given again when the sweep is resumed
    hydra = [line for line in _lines(overrides.hydra) if not line.startswith(where)]
    # The user says at each resume what he trusts: the folder's word for it would be worth nothing.
    task = [line for line in _lines(overrides.task) if key_of(line) not in _EACH_TIME]
    return [*config_flags(config), *hydra, *task]


_EACH_TIME = ("resume", "trusted_modules")


def _lines(overrides: Any) -> list[str]:
    """Override lines as they were given: what they refer to may be known in a job alone."""
    lines: Any = OmegaConf.to_container(overrides, resolve=False)
    return list(lines)


def _resume(config: DictConfig, sweep: SweepFolder, jobs: Iterable[Job]) -> str:
    """What continues the sweep, with what only the user can vouch for."""
    flags = config_flags(config)
    return " ".join(
        [*map(quote, flags), quote(f"resume={sweep.path}"), *trusting(j.settled for j in jobs)]
    )
