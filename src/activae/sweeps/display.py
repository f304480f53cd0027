"""How far a sweep is: a line for each finished run, one bar on a terminal, plain lines in a log.

Above the bar stands where the conditions are by now; a log has that at the end. A batch of many may
have a heading instead, such as the standing of a race: on a terminal it stands above the bar until
the batch has ended, and only runs that failed have a line. What a batch of a search shows counts
the trials of the whole search.
"""

from __future__ import annotations

import logging
import sys
import textwrap
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn
from rich.text import Text

from activae.config.wording import INDENT, clipped, wrapped
from activae.sweeps.job import Ended, Event, Job, Outcome, Said, Stepped, Trials
from activae.sweeps.standing import ROWS, standing

log = logging.getLogger(__name__)

REDRAWS_A_SECOND = 4.0
SECONDS_BETWEEN_LINES = 30.0
SECONDS_OF_SPEED = 10.0
LOG_WIDTH = 100
NAME_WIDTH = 40  # of a job, beside the reason why it failed
BAR_WIDTH = 8
_OTHER_LINES = 6  # of the screen: the table's head and end, the bar, runs


class Display:
    """Takes the events of a sweep and shows them; knows, at the end, how each job ended.

    by_condition: whether it shows where the conditions stand; trials: the search that the jobs are
    a part of.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        heading: str | None = None,
        *,
        by_condition: bool = False,
        trials: Trials | None = None,
    ) -> None:
        self.heading = heading
        self.by_condition = by_condition
        self.trials = trials
        self._noun = "sweep" if trials is None else "search"
        self.jobs = {job.id: job for job in jobs}
        self.outcomes: dict[str, Outcome] = {}
        self._running: dict[str, Stepped] = {}
        self._steps = 0
        self._speeds: deque[tuple[float, int]] = deque()
        self._started = self._shown_at = monotonic()
        self._share_at_start = 0.0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Display:
        if sys.stdout.isatty():
            if self.heading is not None:
                _wipe(self.heading)
            columns = (
                TextColumn(f"{self._noun} "),
                BarColumn(bar_width=BAR_WIDTH),
                TextColumn("{task.description}"),
            )
            self._bar = _Bar(self._above, self.heading is not None, *columns)
            self._bar.start()
            self._task = self._bar.add_task(
                escape(self.summary()), total=self._runs_in_all(), completed=self._runs_before()
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._show()
            self._bar.stop()
            self._bar = None
        elif self.by_condition and self.outcomes:
            for line in standing(list(self.jobs.values()), self.outcomes, LOG_WIDTH):
                log.info("%s", line)

    def __call__(self, event: Event) -> None:
        """Take note of an event, and show what has changed if it is time to."""
        match event:
            case Stepped():
                self._note_steps(event)
            case Ended() if event.job not in self.outcomes and not self._is_second_hand(event):
                self.outcomes[event.job] = event.outcome
                self._running.pop(event.job, None)
                if event.outcome.fresh and not self._is_brief(event):
                    self._line(self._of_job(self.jobs[event.job], event.outcome))
            case Said() if not (event.routine and self._was_said_before()):
                self._line(event.text)
        pause = 1 / REDRAWS_A_SECOND if self._bar else SECONDS_BETWEEN_LINES
        if monotonic() - self._shown_at > pause:
            self._show()

    def _is_brief(self, event: Ended) -> bool:
        has_lines = self.heading is None or self.trials is not None
        return not has_lines and event.outcome.status != "failed"

    def _was_said_before(self) -> bool:
        """Whether what is said at each launch would be of no news: only a search says it, once."""
        return self.heading is not None and (self.trials is None or self._runs_before() > 0)

    def _is_second_hand(self, event: Ended) -> bool:
        """Another process has seen the result of a job before the one that trained it told it."""
        return not event.outcome.fresh and event.job in self._running

    def _note_steps(self, event: Stepped) -> None:
        before = self._running.get(event.job)
        self._running[event.job] = event
        if before is None:
            return  # a resumed job starts where it was, and did not take these steps now
        self._steps += event.step - before.step if before.total_steps else 0
        now = monotonic()
        self._speeds.append((now, self._steps))
        while now - self._speeds[0][0] > SECONDS_OF_SPEED:
            self._speeds.popleft()

    def summary(self) -> str:
        """Runs done, running, diverged, failed; time left; steps a second where there is room."""
        ended = self._ended()
        counts = {
            "done": ended["completed"],
            "running": len(self._running),
            "pruned": ended["pruned"],
            "diverged": ended["diverged"],
            "failed": ended["failed"] + ended["interrupted"],
        }
        told = [f"{n} {what}" for what, n in counts.items() if n or what in ("done", "running")]
        parts = [f"{', '.join(told)} of {self._wanted()}"]
        left = self._seconds_left()
        if left is not None:
            parts.append(f"{_clock(left)} left")
        if len(self._speeds) > 1:
            (start, first), (end, last) = self._speeds[0], self._speeds[-1]
            if end > start and last > first:
                parts.append(f"{(last - first) / (end - start):,.0f} model-steps/s")
        beside = len(self._noun) + 3 + BAR_WIDTH + 1 if self._bar else len(INDENT)
        room = self._width() - beside
        while len(", ".join(parts)) > room and len(parts) > 1:
            parts.pop()
        return ", ".join(parts)

    def _ended(self) -> Counter[str]:
        """How many jobs have ended, by status; of a search its trials, each as it ends."""
        here = [outcome.status for outcome in self.outcomes.values()]
        if self.trials is None:
            return Counter(here)
        return Counter(self.trials.ended) + Counter(here if self.trials.runs == 1 else ())

    def _wanted(self) -> str:
        return str(len(self.jobs)) if self.trials is None else f"{self.trials.wanted} trials"

    def _runs_in_all(self) -> int:
        return len(self.jobs) if self.trials is None else self.trials.wanted * self.trials.runs

    def _runs_before(self) -> int:
        """Runs that had ended before this batch was launched, or will not be."""
        if self.trials is None:
            return 0
        return sum(self.trials.ended.values()) * self.trials.runs + self.trials.begun

    def _above(self, size: ConsoleDimensions) -> str:
        """What stands above the bar."""
        if self.heading is not None or not self.by_condition:
            return self.heading or ""
        rows = max(1, min(ROWS, size.height - _OTHER_LINES))
        return "\n".join(standing(list(self.jobs.values()), self.outcomes, size.width, rows))

    def _width(self) -> int:
        return self._bar.console.width if self._bar else LOG_WIDTH

    def _seconds_left(self) -> float | None:
        """By the share of the work that was done since the start; None while little was."""
        found_done = sum(not outcome.fresh for outcome in self.outcomes.values())
        todo = self._runs_in_all() - self._runs_before() - found_done
        done = len(self.outcomes) - found_done + sum(map(_share, self._running.values()))
        elapsed = monotonic() - self._started
        if elapsed < 2 or done < 0.01 * todo or done <= 0:
            return None
        return elapsed * max(0.0, todo - done) / done

    def _show(self) -> None:
        self._shown_at = monotonic()
        if self._bar is not None:
            assert self._task is not None
            running = sum(map(_share, self._running.values()))
            done = self._runs_before() + len(self.outcomes) + running
            self._bar.update(self._task, completed=done, description=escape(self.summary()))
            self._bar.refresh()
        elif len(self.outcomes) < len(self.jobs):
            log.info("%-6s %s", self._noun, self.summary())

    def _line(self, text: str) -> None:
        text = wrapped(text, self._width())
        if self._bar is not None:
            self._bar.console.print(escape(text), highlight=False, soft_wrap=True)
        else:
            log.info("%s", text)

    def _of_job(self, job: Job, outcome: Outcome) -> str:
        count = f"{self._runs_before() + len(self.outcomes)}/{self._runs_in_all()}"
        head = f"{outcome.status:<9} {count:>7}  "
        took = f"  ({outcome.seconds:.1f} s)" if outcome.seconds else ""  # elsewhere: not known
        room = self._width() - len(head)
        if outcome.se_val is not None:
            told = f"SE/val {outcome.se_val:.4g}{took}"
            return f"{head}{clipped(job.name, room - len(told) - 2)}  {told}"
        name = clipped(job.name, min(NAME_WIDTH, room // 2))
        left = room - len(name) - len(took) - 2
        reason = textwrap.shorten(outcome.reason.splitlines()[0], left, placeholder=" ...")
        return f"{head}{name}  {reason}{took}"  # the closing message has the whole reason


def show_early(heading: str) -> None:
    """Show the heading of a batch on a terminal while the batch is prepared, which takes seconds.

    The display of that batch takes its place.
    """
    if sys.stdout.isatty():
        Console().print(Text(heading))


def _wipe(heading: str) -> None:
    """Clear what `show_early` has shown, as many lines as it took."""
    width = Console().width
    lines = sum(max(1, -(-len(line) // width)) for line in heading.splitlines())
    sys.stdout.write(f"\x1b[{lines}F\x1b[J")


class _Bar(Progress):
    """Drawn when it is asked to, with what `above` returns; both vanish in the end if transient."""

    def __init__(
        self, above: Callable[[ConsoleDimensions], str], transient: bool, *columns: ProgressColumn
    ) -> None:
        self.above = above
        self.screen = Console()
        super().__init__(*columns, console=self.screen, auto_refresh=False, transient=transient)

    def get_renderables(self) -> Iterable[RenderableType]:
        """What stands above it, and the bar."""
        if above := self.above(self.screen.size):
            yield Text(above)
        yield from super().get_renderables()


def _share(reached: Stepped) -> float:
    return reached.step / reached.total_steps if reached.total_steps else 0.0


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        return f"{hours / 24:.0f} days"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
