"""The folder of a sweep: which job lies where, how each ended, who is at work on which.

Claims are locks on a file for each job (`results.claims`). The commands that the sweep was launched
with are kept too: `resume=outputs/sweeps/NAME` launches them again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from activae.config.identity import job_id
from activae.config.settling import read
from activae.config.wording import WIDTH, wrapped
from activae.errors import ConfigError, DataError, UserError
from activae.results.claims import Claimed, NoLocks, claim, take_lock
from activae.results.run_folder import (
    CONFIG,
    FAILED,
    METRICS,
    ended,
    overrides,
    read_metrics,
    write_text,
)
from activae.sweeps.job import Job, Outcome

INDEX = "sweep.json"
CLAIMS = ".claims"
TUNED = "tuned_lr.yaml"  # the best rate of each condition
FOUND = "optimization_results.yaml"  # of a search


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
        """Give every job (id -> wanted name, overrides) a folder; those known keep theirs.

        Raises ConfigError for a folder that would not lie below the sweep's.
        """
        self.below(CLAIMS)
        (self.path / CLAIMS).mkdir(parents=True, exist_ok=True)
        lock = self._lock("index")
        try:
            index = self.index()
            if list(command) not in index["commands"]:
                index["commands"].append(list(command))
            known = index["jobs"]
            taken = {entry["folder"] for entry in known.values()}
            for id_, (wanted, lines) in jobs.items():
                if id_ not in known:
                    self.below(wanted)
                    name = self._free_name(wanted, id_, taken)
                    taken.add(name)
                    known[id_] = {"folder": name, "overrides": list(lines)}
            write_text(self.path / INDEX, json.dumps(index, indent=1) + "\n")
        finally:
            lock.release()
        return {id_: self.path / known[id_]["folder"] for id_ in jobs}

    def index(self) -> dict[str, Any]:
        """What `sweep.json` holds.

        Raises ConfigError where it is damaged, or names a folder that is not below the sweep's.
        """
        file = self.path / INDEX
        if not file.exists():
            return {"commands": [], "jobs": self._runs()}
        try:
            index = _checked(json.loads(file.read_text()))
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"{file}: is damaged ({error}); delete it and launch the sweep again: what is done "
                "is found by the runs' own folders"
            ) from error
        for entry in index["jobs"].values():
            self.below(entry["folder"])
        return index

    def below(self, name: str) -> Path:
        """The path of what lies below the sweep's folder by that name, links followed.

        Raises ConfigError where it lies elsewhere.
        """
        own, path = self.path.resolve(), self.path / name
        if ".." in Path(name).parts or own not in path.resolve().parents:
            raise ConfigError(
                f"{self.path}: {name!r} is not below the sweep's folder, where all of it must lie; "
                f"correct hydra.sweep.subdir, or the name in {INDEX} or the link that leads away"
            )
        return path

    def refuse_links_away(self) -> None:
        """Raise ConfigError for a link that leads out of the folder: a launch may write there."""
        for folder, folders, files in os.walk(self.path):
            for path in (Path(folder, name) for name in (*folders, *files)):
                if path.is_symlink():
                    self.below(str(path.relative_to(self.path)))

    def _runs(self) -> dict[str, dict[str, Any]]:
        """What the index would say of the run folders that lie here, if it had not been lost."""
        found = {}
        for config in sorted(self.path.glob(f"*/{CONFIG}")):
            found[_id_of(config.parent) or ""] = {
                "folder": config.parent.name,
                "overrides": overrides(config.parent) or [],
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


def _checked(index: Any) -> dict[str, Any]:
    """The index, if it has the shape it should have. Raises ValueError or LookupError if not."""
    commands, jobs = index["commands"], index["jobs"]
    if not (isinstance(commands, list) and all(map(_are_lines, commands))):
        raise ValueError("commands: must be lists of overrides")
    if not (isinstance(jobs, dict) and all(isinstance(job, dict) for job in jobs.values())):
        raise ValueError("jobs: must be a folder and overrides for each id")
    for job in jobs.values():
        if not (isinstance(job["folder"], str) and "\0" not in job["folder"]):
            raise ValueError("folder: must be a name")
        if not _are_lines(job["overrides"]):
            raise ValueError("overrides: must be a list of text")
    return {"commands": commands, "jobs": jobs}


def _are_lines(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(line, str) for line in found)


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


def told_together(failed: Iterable[tuple[Path, str, str]]) -> list[str]:
    """A line for each kind of the (folder, kind, reason): the first, and how many share it."""
    sharing: dict[str, list[tuple[Path, str]]] = {}
    for folder, kind, reason in failed:
        sharing.setdefault(kind, []).append((folder, reason))
    return [
        "  "
        + wrapped(f"{folder}{f' and {len(others)} more' if others else ''}: {reason}", WIDTH - 2)
        for (folder, reason), *others in sharing.values()
    ]


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
