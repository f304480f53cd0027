"""The folder of a sweep: which job lies where, how each ended, who is at work on which.

Claims are locks on a file for each job (`results.claims`). The commands that the sweep was launched
with are kept too: `resume=outputs/sweeps/NAME` launches them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from activae.config.identity import job_id
from activae.config.settling import read
from activae.errors import ConfigError, DataError, UserError
from activae.results.claims import Claimed, NoLocks, claim, take_lock
from activae.results.run_folder import (
    CONFIG,
    FAILED,
    METRICS,
    ended,
    read_metrics,
    write_text,
)
from activae.sweeps.job import Job, Outcome

CLAIMS = ".claims"


class SweepFolder:
    """`outputs/sweeps/NAME`: a run folder for each job, and `sweep.json`, which says where.

    `sweep.json` holds the commands that the sweep was launched with and, for each job's id, its
    folder's name and overrides.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def enrol(
        self, command: Sequence[str], jobs: Mapping[str, tuple[str, Sequence[str]]]
    ) -> dict[str, Path]:
        """Give every job (id -> wanted name, overrides) a folder; those known keep theirs."""
        (self.path / CLAIMS).mkdir(parents=True, exist_ok=True)
        lock = self._lock("index")
        try:
            index = self.index()
            if list(command) not in index["commands"]:
                index["commands"].append(list(command))
            known = index["jobs"]
            taken = {entry["folder"] for entry in known.values()}
            for id_, (wanted, overrides) in jobs.items():
                if id_ not in known:
                    name = self._free_name(wanted, id_, taken)
                    taken.add(name)
                    known[id_] = {"folder": name, "overrides": list(overrides)}
            write_text(self.path / INDEX, json.dumps(index, indent=1) + "\n")
        finally:
            lock.release()
        return {id_: self.path / known[id_]["folder"] for id_ in jobs}

    def index(self) -> dict[str, Any]:
        """What `sweep.json` holds. Raises ConfigError where it is damaged."""
        file = self.path / INDEX
        if not file.exists():
            return {"commands": [], "jobs": self._runs()}
        try:
            index: dict[str, Any] = json.loads(file.read_text())
            return {"commands": index["commands"], "jobs": index["jobs"]}
        except (ValueError, LookupError) as error:
            raise ConfigError(
                f"{file}: is damaged ({error}); delete it and launch the sweep again: what is done "
                "is found by the runs' own folders"
            ) from error

    def _runs(self) -> dict[str, dict[str, Any]]:
        """What the index would say of the run folders that lie here, if it had not been lost."""
        found = {}
        for config in sorted(self.path.glob(f"*/{CONFIG}")):
            record = config.parent / ".hydra" / "overrides.yaml"
            overrides = list(OmegaConf.load(record)) if record.exists() else []
            found[_id_of(config.parent) or ""] = {
                "folder": config.parent.name,
                "overrides": overrides,
            }
        found.pop("", None)
        return found

    def _free_name(self, wanted: str, id_: str, taken: set[str]) -> str:
        """The wanted name, unless it is that of another job."""
        free = wanted not in taken and _id_of(self.path / wanted) in (None, id_)
        return wanted if free else f"{wanted}-{id_[:8]}"

    @contextmanager
    def claim(self, job: Job) -> Iterator[bool]:
        """Whether the job is ours to train, as long as the context lasts.

        It is not while another launch is at it, nor while its run is resumed by itself.
        """
        with ExitStack() as held:
            try:
                held.callback(self._lock(job.id, blocking=False).release)
                held.enter_context(claim(job.folder))
                ours = True
            except (Timeout, Claimed):
                ours = False
            yield ours

    def _lock(self, name: str, *, blocking: bool = True) -> FileLock:
        """Take a lock, to be released. Raises Timeout if it is taken and we are not to wait for it,
        ConfigError where the file system has none.
        """
        try:
            return take_lock(self.path / CLAIMS / f"{name}.lock", blocking=blocking)
        except NoLocks as error:
            raise ConfigError(
                f"{error}, by which processes share a sweep; choose another folder with "
                "hydra.sweep.dir=FOLDER"
            ) from error


def outcome_of(job: Job) -> Outcome | None:
    """How a job ended, as its folder tells it; None where there is something left to do.

    Raises DataError where its metrics.json lacks what a run writes.
    """
    status = ended(job.folder)
    if status is not None:
        try:
            return _ended_as(status, read_metrics(job.folder) or {})
        except (LookupError, TypeError) as error:
            raise DataError(
                f"{job.folder / METRICS}: is damaged ({type(error).__name__}: {error}); delete it "
                "and launch the sweep again: the run is then scored anew from its checkpoints"
            ) from error
    noted = failure_noted(job.folder)
    if noted is None or noted == job.old_failure:
        return None
    return Outcome("failed", reason=(job.folder / FAILED).read_text().strip(), fresh=False)


def _ended_as(status: str, metrics: dict[str, Any]) -> Outcome:
    if status == "diverged":
        reason = f"training diverged at step {metrics['step']}; {metrics['where']}"
        return Outcome("diverged", reason=reason, fresh=False)
    return Outcome(
        "pruned" if status == "pruned" else "completed",
        metrics["val"]["SE"],
        fresh=False,
        seconds=metrics["seconds"]["all"],
    )


def note_failure(folder: Path, reason: str) -> None:
    """Leave the reason in the folder, for other launches at work and for the reader."""
    with suppress(OSError):  # a full disk may be that very reason; the launch tells it too
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / FAILED, f"{reason}\n")


def forget_failure(folder: Path) -> None:
    """Remove the note of an earlier failure."""
    with suppress(OSError):
        (folder / FAILED).unlink()


def failure_noted(folder: Path) -> int | None:
    """When a failure was noted in the folder, in ns; None if none was."""
    try:
        return (folder / FAILED).stat().st_mtime_ns
    except OSError:
        return None


def _id_of(folder: Path) -> str | None:
    """The id of the run in a folder; None without a run, empty where it cannot be read."""
    if not folder.exists():
        return None
    try:
        return job_id(read(folder / CONFIG)) if (folder / CONFIG).exists() else None
    except UserError:
        return ""


INDEX = "sweep.json"
_FLAGS = ("-m", "--multirun")
# What the command that resumes a sweep may set: how it runs, not what.
_HOW = ("hydra.", "hydra/", "trusted_modules=")


def resumed_sweep(arguments: Sequence[str]) -> Path | None:
    """The folder of the sweep that a command line resumes, if it does."""
    folder = resumed(arguments)
    return folder if folder is not None and (folder / INDEX).is_file() else None


def resumed(arguments: Sequence[str]) -> Path | None:
    """The folder that a command line resumes, whatever it holds."""
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "resume" and value:
            return Path(value.strip("'\""))
    return None


def commands_of(sweep: Path, arguments: Sequence[str]) -> list[list[str]]:
    """The command lines that a sweep was launched with, to be launched again.

    Raises ConfigError where `arguments` change what is trained, or the sweep's record is damaged.
    """
    others = [a for a in arguments if a not in _FLAGS and not a.startswith("resume=")]
    strange = [a for a in others if not a.startswith(_HOW)]
    if strange:
        raise ConfigError(
            f"{' '.join(strange)}: resume={sweep} continues that sweep with its own configs, where "
            "nothing else can be set; to add runs, launch a larger grid under the same name"
        )
    try:
        commands: list[list[str]] = json.loads((sweep / INDEX).read_text())["commands"]
    except (OSError, ValueError, LookupError) as error:
        raise ConfigError(f"resume={sweep}: {sweep / INDEX} is damaged: {error}") from error
    place = [f"hydra.sweep.dir={sweep}", f"resume={sweep}"]
    return [["-m", *filter(_is_harmless, command), *place, *others] for command in commands]


def _is_harmless(override: str) -> bool:
    """Whether it names neither code nor configs, which a folder from elsewhere must not."""
    if not override.lstrip("+~").startswith(("hydra.", "hydra@", "hydra=")):
        return True
    ours = ("hydra.launcher.", "hydra.sweeper.", "+hydra.launcher.additional_parameters.")
    # A line break would end the comment that sbatch takes such a parameter from.
    return override.startswith(ours) and "_target_" not in override and "\n" not in override
