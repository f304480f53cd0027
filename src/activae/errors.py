"""The errors a user can fix: their text is all that is shown, never a traceback."""

from __future__ import annotations

import signal

EXIT_BY_SIGNAL = 128  # to which a shell adds the number of the signal
EXIT_INTERRUPTED = EXIT_BY_SIGNAL + signal.SIGINT

# What asks a command to end, beside Ctrl-C. The launcher acts on them; its processes ignore them.
END_REQUESTS = (signal.SIGTERM, signal.SIGHUP)


class UserError(ValueError):
    """A mistake the user can fix. The message names what is wrong, its value and what to do."""


class ConfigError(UserError):
    """A config key has a value that cannot work; the message names the key and the choices."""


class DataError(UserError):
    """A data set cannot be used; the message names the file or source and what is wrong in it."""


class SweepFailed(UserError):
    """Some of a sweep's jobs have no result; the message names each with its folder and reason."""
