"""A study of Optuna's: which trials come next, what became of them, and all of it on disk.

Samplers and pruners go by the names that the config gives them.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from activae.config.wording import did_you_mean
from activae.errors import ConfigError
from activae.sweeps.batches import PRUNED_AT, Result
from activae.sweeps.space import Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial


SEARCH = "search"
FOLDER = "folder"
STATUS = "status"
RETRIES = "retries trial"
SECONDS_TO_WAIT_FOR_THE_FILE = 60


@dataclass(frozen=True)
class Search:
    """A study and how it is searched.

    storage: URL of Optuna's storage; name: the study's; sampler, pruner: `name` and its parameters.
    """

    storage: str
    name: str
    space: Space
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any]

    def prepare(self) -> list[FrozenTrial]:
        """Make the study unless it is there; return its trials that have a result.

        Trials that failed are queued to be tried again.

        Raises ConfigError where it is the study of another search that has results.
        """
        import optuna

        wanted = self.space.signature()
        with opened_storage(self.storage) as storage:
            study = self._study(storage)
            found = json.loads(study.user_attrs.get(SEARCH, "null"))
            if found not in (None, wanted):
                if _finished(study):
                    raise ConfigError(
                        f"{self.storage}: holds another search ({_words(found)}) than this one "
                        f"({_words(wanted)}); choose another folder: sweep=NAME"
                    )
                optuna.delete_study(study_name=self.name, storage=storage)
                study = self._study(storage)
            study.set_user_attr(SEARCH, json.dumps(wanted))
            self._retry_failed(study)
            return _finished(study)

    def _retry_failed(self, study: Study) -> None:
        from optuna.trial import TrialState

        trials = study.get_trials()
        retried = {trial.user_attrs.get(RETRIES) for trial in trials}
        for trial in trials:
            failed = trial.state == TrialState.FAIL and self._is_whole(trial)
            if failed and trial.number not in retried:
                study.enqueue_trial(trial.params, user_attrs={RETRIES: trial.number})

    def next(self, at_once: int, wanted: int) -> list[FrozenTrial]:
        """The trials to train now: those that an interruption left, and new ones up to `at_once`.

        wanted: how many may be trained altogether from now on.
        """
        from optuna.trial import TrialState

        with opened_storage(self.storage) as storage:
            study = self._study(storage)
            numbers = []
            for trial in study.get_trials(states=[TrialState.RUNNING]):
                if self._is_whole(trial):
                    numbers.append(trial.number)
                else:  # interrupted while its values were drawn
                    study.tell(trial.number, state=TrialState.FAIL)
            known = sum(map(self._is_whole, study.get_trials(deepcopy=False)))
            for count in range(known, known + min(at_once, wanted) - len(numbers)):
                # Seeded by the trial, not by the process: a resumed search proposes
                # what it would have proposed.
                study.sampler = make_sampler(self.sampler, count)
                numbers.append(study.ask(self.space.distributions()).number)
            trials = {trial.number: trial for trial in study.get_trials()}
        return [trials[number] for number in numbers]

    def tell(self, trials: Sequence[FrozenTrial], results: Sequence[Result]) -> list[FrozenTrial]:
        """Note how trials ended; return all that have a result, pruned and diverged ones included.

        A diverged one is told as the worst there is, a failed one as failed.
        """
        from optuna.trial import TrialState

        states = {"failed": TrialState.FAIL, "pruned": TrialState.PRUNED}
        with opened_storage(self.storage) as storage:
            study = self._study(storage)
            for trial, result in zip(trials, results, strict=True):
                id_ = id_of(storage, self.name, trial.number)
                storage.set_trial_user_attr(id_, FOLDER, str(result.folder))
                storage.set_trial_user_attr(id_, STATUS, result.status)
                if result.status in states:
                    study.tell(trial.number, state=states[result.status])
                else:
                    study.tell(trial.number, result.se_val)
            return _finished(study)

    def prunes(self, trial: FrozenTrial, step: int, value: float) -> bool:
        """Report the objective so far, and say whether the trial ends here.

        An answer is kept: a search that was interrupted gets the same one.
        """
        with opened_storage(self.storage) as storage:
            study = self._study(storage)
            id_ = id_of(storage, self.name, trial.number)
            found = storage.get_trial(id_)
            pruned: int | None = found.user_attrs.get(PRUNED_AT)
            if step not in found.intermediate_values:
                storage.set_trial_intermediate_value(id_, step, value)
                if study.pruner.prune(study, storage.get_trial(id_)):
                    pruned = step
                    storage.set_trial_user_attr(id_, PRUNED_AT, step)
        return pruned is not None and step >= pruned

    def _study(self, storage: RDBStorage) -> Study:
        import optuna

        return optuna.create_study(
            study_name=self.name,
            storage=storage,
            sampler=make_sampler(self.sampler, 0),
            pruner=make_pruner(self.pruner),
            direction="minimize",
            load_if_exists=True,
        )

    def _is_whole(self, trial: FrozenTrial) -> bool:
        return trial.params.keys() == self.space.domains.keys()


def _finished(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED])


def _words(signature: Mapping[str, Sequence[str]]) -> str:
    return " ".join([*signature["space"], *signature["fixed"]])


@contextmanager
def opened_storage(url: str) -> Iterator[RDBStorage]:
    """Optuna's storage at a URL; its connections are closed in the end: none may cross a fork.

    Raises ConfigError where there can be none.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sqlite = {"connect_args": {"timeout": SECONDS_TO_WAIT_FOR_THE_FILE}}
    try:
        storage = optuna.storages.RDBStorage(
            url, engine_kwargs=sqlite if url.startswith("sqlite:") else None
        )
    except (SQLAlchemyError, ImportError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"hydra.sweeper.storage={url}: cannot be opened: {reason}") from error
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def id_of(storage: RDBStorage, study: str, trial: int) -> int:
    """What the storage calls a study's trial."""
    return storage.get_trial_id_from_study_id_trial_number(
        storage.get_study_id_from_name(study), trial
    )


def make_sampler(settings: Mapping[str, Any], number: int) -> BaseSampler:
    """The sampler that draws the trial of that number."""
    from optuna.samplers import RandomSampler, TPESampler

    settings = _named("sampler", settings)
    seed = settings.get("seed")
    if seed is not None and (type(seed) is not int or seed < 0):
        raise ConfigError(f"hydra.sweeper.sampler.seed={seed}: must be 0, 1, 2 ... or null")
    if seed is not None:
        seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    kinds = {"tpe": TPESampler, "random": RandomSampler}
    return _make("sampler", kinds, {**settings, "seed": seed})


def make_pruner(settings: Mapping[str, Any]) -> BasePruner:
    """The pruner by its name, with its parameters."""
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    kinds = {"none": NopPruner, "median": MedianPruner, "hyperband": HyperbandPruner}
    return _make("pruner", kinds, settings)


def _make(part: str, kinds: Mapping[str, Callable[..., Any]], settings: Any) -> Any:
    key = f"hydra.sweeper.{part}"
    settings = _named(part, settings)
    name, given = settings["name"], {k: v for k, v in settings.items() if k != "name"}
    if name not in kinds:
        raise ConfigError(
            f"{key}.name={name}: there is no such {part}. {did_you_mean(str(name), list(kinds))}"
            f"Choose one of {', '.join(kinds)}"
        )
    known = list(inspect.signature(kinds[name]).parameters)
    strange = [parameter for parameter in given if parameter not in known]
    if strange:
        raise ConfigError(f"{key}.{strange[0]}: {name} has {', '.join(known) or 'no parameters'}")
    try:
        return kinds[name](**given)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{key}: {error}") from error


def _named(part: str, settings: Any) -> Mapping[str, Any]:
    if not isinstance(settings, Mapping) or "name" not in settings:
        raise ConfigError(
            f"hydra.sweeper.{part}={settings}: is set with hydra.sweeper.{part}.name=NAME"
        )
    return settings
