"""Fitting a stack: from each member's own step in lockstep, until the last one has ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from time import perf_counter

import torch

from activae.data.normalisation import Samples
from activae.sweeps.stack.batches import Timetable
from activae.sweeps.stack.member import Member
from activae.sweeps.stack.stack import Stack
from activae.training.flat import rule_of
from activae.training.module import Diverged, Interrupted
from activae.training.process import choose_threads

log = logging.getLogger(__name__)

Inside = Callable[[int], AbstractContextManager[object]]


class StackFit:
    """Trains members together, each to its own end; `stop_requested` ends it between two steps.

    inside: entered with a member's place around everything that is done for it alone; on_steps:
    told after each chunk, with all members.
    """

    def __init__(
        self,
        members: Sequence[Member],
        device: torch.device,
        *,
        inside: Inside,
        on_steps: Callable[[Sequence[Member]], None],
    ) -> None:
        self.members = members
        self.device = device
        self.inside = inside
        self.on_steps = on_steps
        self.stop_requested = False
        self.timetable = Timetable()
        self.placed: dict[int, tuple[Samples, Samples]] = {}

    def run(self) -> Iterator[Member]:
        """Train, and yield every member as soon as it has ended, its `error` set if it failed.

        A stack that does not fit the device's memory is halved. Raises Interrupted when asked to
        stop, once the checkpoints of all that were running are written.
        """
        yield from [member for member in self.members if member.ended]
        waiting = _alike([member for member in self.members if not member.ended])
        while waiting:
            stack = waiting.pop(0)
            size = len(stack)
            try:
                yield from self._train(stack)
                continue
            except torch.OutOfMemoryError as error:
                shortage = error.with_traceback(None)  # its frames hold what is to be freed
            self._rewind(stack)
            if size == 1:
                stack[0].error = shortage
            else:
                log.warning("memory of %s is short for %d runs at once: halved", self.device, size)
            ended = [member for member in stack if member.ended]
            yield from map(self._ended, ended)
            running = [member for member in stack if not member.ended]
            half = (size + 1) // 2
            waiting[:0] = [*_alike(running[:half]), *_alike(running[half:])]

    def _train(self, members: list[Member]) -> Iterator[Member]:
        """Train these to their ends, each taken from the list when it has ended."""
        try:
            for member in members:
                with self._blaming(member):
                    member.start(self.device, self.placed)
            yield from self._without_ended(members)
            while members:
                stack = self._stack(members)
                while not any(member.ended for member in members):
                    self._advance(stack, members)
                for place in range(len(members)):
                    stack.sync(place)
                del stack
                yield from self._without_ended(members)
        except (torch.OutOfMemoryError, Interrupted, GeneratorExit):
            raise
        except BaseException as error:
            for member in members:
                with self._blaming(member):
                    member.end(error)
            if not isinstance(error, Exception):
                raise
            for member in members:
                member.error = error
            yield from members

    def _stack(self, members: Sequence[Member]) -> Stack:
        models = [member.model for member in members]
        first = members[0]
        work = len(members) * first.data.batch_size
        torch.set_num_threads(first.cfg.trainer.threads or choose_threads(first.model.net, work))
        stack = Stack(models)
        for place, model in enumerate(models):
            model.sync_optimizer = partial(stack.sync, place)
        return stack

    def _advance(self, stack: Stack, members: Sequence[Member]) -> None:
        """Take the steps of one chunk, and end the epochs that end with it."""
        started = perf_counter()
        chunk = self.timetable.next_chunk(stack.models)
        with _default_dtype(stack.flat.dtype):
            taken, broken = stack.train(chunk, lambda: self.stop_requested)
        for member, where in zip(members, broken, strict=True):
            if where is not None:
                member.error = Diverged(member.model.step + where)
            member.model.step += taken
        at_end = [
            place
            for place, member in enumerate(members)
            if taken and not member.ended and member.model.at_check
        ]
        with _default_dtype(stack.flat.dtype):
            scores = stack.evaluate(at_end)
        terms = stack.take_terms(at_end)
        share = (perf_counter() - started) / len(members)
        for member in members:
            member.model.seconds += share
        for place, its_terms, its_scores in zip(at_end, terms, scores, strict=True):
            with self._blaming(members[place]):
                stack.set_lr(place)
                members[place].end_epoch(its_terms, its_scores)
        self.on_steps(self.members)
        if self.stop_requested and not all(member.ended for member in members):
            self._interrupt(members)

    def _interrupt(self, members: Sequence[Member]) -> None:
        """Leave every member such that it can be resumed from the very step reached."""
        interrupted = Interrupted()
        for member in members:
            with self.inside(member.place):
                member.end(member.error if member.ended else interrupted)
        raise interrupted

    def _without_ended(self, members: list[Member]) -> Iterator[Member]:
        """Take those who have ended from the list, close their files, and yield them."""
        ended = [member for member in members if member.ended]
        members[:] = [member for member in members if not member.ended]
        yield from map(self._ended, ended)

    def _ended(self, member: Member) -> Member:
        with self._blaming(member):
            member.end(member.error)
        return member

    def _rewind(self, members: Sequence[Member]) -> None:
        for member in members:
            with self._blaming(member):
                member.rewind()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @contextmanager
    def _blaming(self, member: Member) -> Iterator[None]:
        """What goes wrong here ends this member alone, save for a lack of memory."""
        with self.inside(member.place):
            try:
                yield
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                member.error = error


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """New tensors in the precision of the weights, as under Lightning's trainer."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _alike(members: Sequence[Member]) -> list[list[Member]]:
    """Members in groups that can be stacked, those who share their samples side by side.

    A torch optimizer that steps for all counts steps for all; what a preparation makes of another
    split may have another number of features.
    """
    groups: dict[tuple[int | None, tuple[int, ...]], list[Member]] = {}
    for member in sorted(members, key=lambda member: id(member.data.samples["train"])):
        rule = rule_of(member.model.current_optimizer())
        key = (None if rule else member.model.step, member.data.shape)
        groups.setdefault(key, []).append(member)
    return list(groups.values())
