"""What happens between Hydra and a training: errors as sentences, exit codes, the closing table."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote
from shutil import rmtree
from typing import NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from activae.cli.arguments import for_hydra, shows_only, with_home
from activae.cli.end_requests import ended_as_by_ctrl_c
from activae.config import names
from activae.config.choices import note_choices
from activae.config.devices import refuse_several_in_a_sweep, refuse_torchrun
from activae.config.messages import NOTHING, explain, without
from activae.config.names import key_of
from activae.config.program import configs_folder, training
from activae.config.rates import put_rate
from activae.config.settling import container, read, sampler_kind, settle
from activae.config.trust import refuse_untrusted, trusting
from activae.config.wording import as_error
from activae.errors import EXIT_INTERRUPTED, ConfigError, SweepFailed, UserError
from activae.results.run_folder import CLAIM, CONFIG, ended, refuse_links
from activae.sweeps.resuming import commands_of, resumed, resumed_sweep

log = logging.getLogger(__name__)

LONGER = ("trainer.max_epochs", "trainer.max_steps")  # what a run that is resumed may be given
FULL_ERRORS = "HYDRA_FULL_ERROR"

# What Hydra lets through while it composes a config, makes the output folder or launches a sweep.
_UNUSABLE = (
    UserError,
    CompactHydraException,
    OmegaConfBaseException,
    OSError,
    YAMLError,
    UnicodeError,
)
_ONE_OF_FLAGS = "Only one of --run, --multirun"  # and of its ValueError for -m --cfg
_NULL_GROUP = "Config group override must be"  # how Hydra's ValueError for GROUP=null starts
_failures: list[str] = []


class JobFailed(CompactHydraException):
    """Tells Hydra's sweep that a job failed, whose reason has been shown already."""


def start(main: Callable[[], object]) -> None:
    """Run a function that hydra.main decorated; a mistake in the command is one message.

    With HYDRA_FULL_ERROR=1 in the environment it is Hydra's traceback; hydra.verbose=true shows
    that of an error in the job.
    """
    arguments = list(map(with_home, sys.argv[1:]))
    if _names_modules(arguments):
        sys.path.append(os.getcwd())  # activation.function may name a module that lies there
    with ended_as_by_ctrl_c():
        _start(main, arguments)


def _start(main: Callable[[], object], arguments: Sequence[str]) -> None:
    sweep = resumed_sweep(arguments)
    try:
        folder = resumed(arguments)
        if folder is not None and sweep is None:
            refuse_links(folder)  # before Hydra writes to its log
    except ConfigError as error:
        _exit(as_error(error))
    if sweep is None:
        _run(main, arguments)
        return
    try:
        again = commands_of(sweep, arguments)
    except ConfigError as error:
        _exit(as_error(error))
    if str(again):
        print(f"note   {again}", file=sys.stderr)
    codes = [_exit_code(main, command) for command in again.commands]
    sys.exit(max(codes, default=0))


def _names_modules(arguments: Sequence[str]) -> bool:
    """Whether a command may import from the working folder, because the user himself says so.

    One that resumes takes its names from a folder, which the working folder may be part of.
    """
    return resumed(arguments) is None or any(
        "_target_" in argument or key_of(argument) == "trusted_modules" for argument in arguments
    )


def _exit_code(main: Callable[[], object], arguments: Sequence[str]) -> int:
    """How one of several commands ends; an interruption ends them all."""
    try:
        _run(main, arguments)
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:
            raise
        return int(end.code or 0)
    return 0


def _run(main: Callable[[], object], arguments: Sequence[str]) -> None:
    """One command, from Hydra to the exit code."""
    sys.argv[1:] = for_hydra(arguments)
    if shows_only(arguments):
        names.register(claim=False)
    _failures.clear()
    if os.environ.get(FULL_ERRORS) == "1":
        main()
        return
    os.environ[FULL_ERRORS] = "1"  # makes Hydra raise its errors; it would print and exit
    try:
        main()
    except SweepFailed as error:
        _exit(str(error))
    except JobFailed as error:
        failures = _failures or [str(error)]
        _exit(f"{len(failures)} of the sweep's jobs failed:\n" + "\n".join(failures))
    except UserError as error:
        _exit(as_error(error))
    except _UNUSABLE as error:
        _exit(as_error(explain(error)))
    except ValueError as error:
        if str(error).startswith(_ONE_OF_FLAGS):
            _exit("error: --cfg and --info show one run; leave out -m, and give one value a key")
        if not str(error).startswith(_NULL_GROUP):
            raise
        _exit(as_error(_null_groups(arguments)))
    except KeyboardInterrupt:
        _exit("interrupted", EXIT_INTERRUPTED)
    finally:
        os.environ.pop(FULL_ERRORS, None)


def _null_groups(arguments: Sequence[str]) -> str:
    """What to do about GROUP=null, where Hydra does not say which group it is."""
    groups = {folder.name for folder in configs_folder().iterdir() if folder.is_dir()}
    settings = [argument.partition("=") for argument in arguments]
    found = [
        (key, value)
        for key, _, value in settings
        if key in groups and value.lower() in (*NOTHING, "true", "")
    ]
    named = " ".join(f"{key}={value}" for key, value in found) or " ".join(arguments)
    advice = "".join(f"; {without(key)}" for key, _ in found if without(key))
    return (
        f"{named}: a group cannot be null, true or false; give the name of one of its options, "
        f"which --help lists{advice}"
    )


def run_job(composed: DictConfig) -> float:
    """Train what Hydra composed, or continue the run it names; return the best SE/val.

    A user's mistake ends in one message and exit code 1, an interruption in exit code 130 (143
    after SIGTERM, 129 after SIGHUP); in a sweep a failed job raises JobFailed, which lets the
    others run.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        return _train(composed, folder)
    except KeyboardInterrupt:
        log.warning("interrupted; %s", _how_to_continue(folder))
        sys.exit(EXIT_INTERRUPTED)
    except (UserError, OSError) as error:
        log.error("%s", as_error(error), exc_info=log.isEnabledFor(logging.DEBUG))
        from activae.training.checkpoint import LAST  # imports torch, which --help does without

        if isinstance(error, OSError) and (folder / LAST).exists():
            log.warning("after fixing that, %s", _how_to_continue(folder))
        if isinstance(error, UserError):
            _remove_if_refused(folder, composed)
        _fail(folder, str(error))
    except Exception as error:
        log.exception("unexpected error")
        _fail(folder, f"{type(error).__name__}: {error}")


def _fail(folder: Path, reason: str) -> NoReturn:
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        _failures.append(f"  {folder}: {reason}")
        raise JobFailed(_failures[-1])
    sys.exit(1)


def _remove_if_refused(folder: Path, composed: DictConfig) -> None:
    """Remove the folder that this launch made for a run whose config was refused.

    It stays where the user named it, where a run is resumed or in a sweep, and where there is
    anything but the config, Hydra's record and the log.
    """
    hydra = HydraConfig.get()
    named = any(line.startswith("hydra.run.dir=") for line in hydra.overrides.hydra)
    log_file = f"{hydra.job.name}.log"
    if composed.resume or named or hydra.mode is RunMode.MULTIRUN:
        return
    if {entry.name for entry in folder.iterdir()} - {".hydra", CLAIM, CONFIG, log_file}:
        return
    for handler in list(logging.getLogger().handlers):
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).parent == folder:
            logging.getLogger().removeHandler(handler)
            handler.close()
    with suppress(OSError):
        rmtree(folder)
        folder.parent.rmdir()  # that of the day, unless it holds other runs


def _exit(message: str, code: int = 1) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(code)


def _train(composed: DictConfig, folder: Path) -> float:
    # Here, because they import torch, for which --help should not wait.
    from activae.results.run import train
    from activae.results.terminal import conclude
    from activae.sweeps.batches import refuse_budget_without_race
    from activae.training.module import Interrupted

    refuse_torchrun()
    refuse_budget_without_race(composed, HydraConfig.get())
    if composed.race and HydraConfig.get().mode is RunMode.RUN:
        raise ConfigError(
            f"experiment=race: is a race of many runs, for which {training()} needs -m"
        )
    if not composed.resume:
        put_rate(composed, HydraConfig.get())
        note_choices(composed, HydraConfig.get())
    cfg = _config_of_run(composed, folder) if composed.resume else composed
    if HydraConfig.get().mode is RunMode.MULTIRUN:  # of a launcher that is not ours
        refuse_several_in_a_sweep(cfg.trainer)
    try:
        metrics = train(cfg, folder)
    except Interrupted:
        raise KeyboardInterrupt from None
    conclude(metrics, cfg, folder)
    return float(metrics["val"]["SE"])


def _config_of_run(composed: DictConfig, folder: Path) -> DictConfig:
    """The config saved in the run folder to continue, once it is known to be harmless."""
    lines = HydraConfig.get().overrides.task
    longer = {key_of(line): line for line in lines if key_of(line) in LONGER}
    others = [x for x in lines if key_of(x) not in ("resume", "trusted_modules", *LONGER)]
    kind = sampler_kind(composed)
    if others and kind and all(key_of(x).split(".")[0] == "sampler" for x in others):
        raise ConfigError(_sampler_of_a_run(others, kind, composed, folder))
    if others:
        raise ConfigError(
            f"{' '.join(others)}: resume={composed.resume} continues that run with its own config, "
            f"where nothing else can be set but how long it trains ({', '.join(LONGER)}); leave it "
            f"out, or start a new run, from its weights if you like: init_from={composed.resume}"
        )
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        raise ConfigError(f"resume={composed.resume}: continues one run; leave out --multirun")
    status = ended(folder)
    if status and not longer:
        raise ConfigError(
            f"resume={composed.resume}: this run has ended ({status}); there is nothing to "
            "continue. It trains on with trainer.max_epochs=N, where N is more than it has"
        )
    from activae.results.extending import extend  # imports torch

    saved = read(folder / CONFIG)
    refuse_untrusted(container(saved), composed.trusted_modules)
    for key in longer:
        OmegaConf.update(saved, key, OmegaConf.select(composed, key))
    if longer:
        extend(settle(saved), folder)
    return saved


def _sampler_of_a_run(lines: Sequence[str], kind: str, composed: DictConfig, folder: Path) -> str:
    """What to do for a run that exists to get a sampler that its own config does not ask for."""
    from activae.results.sampler import Recipe, to_fit  # imports torch

    settings = {k: v for k, v in container(composed.sampler).items() if not k.startswith("_")}
    return (
        f"{' '.join(lines)}: resume={composed.resume} continues that run with its own config. Once "
        f"it has ended, fit the sampler by {to_fit(Recipe(kind, settings, 0), folder)}"
    )


def _how_to_continue(folder: Path) -> str:
    """The command that resumes the run, with the user's own modules that it has to name."""
    if not (folder / CONFIG).exists():
        return "nothing was computed yet"
    trusted = trusting([container(read(folder / CONFIG))])
    return f"continue with: {training()} {' '.join([quote(f'resume={folder}'), *trusted])}"
