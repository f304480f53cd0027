"""Getting the next thing ready while the last one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetched(jobs: Iterable[Callable[[], T]]) -> Iterator[T]:
    """The results of the jobs in their order, each begun when the one before it is handed out.

    A thread does them, one at a time; it ends with the iteration, also one that is given up.
    """
    waiting = iter(jobs)
    first = next(waiting, None)
    if first is None:
        return
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        coming = thread.submit(first)
        for job in waiting:
            ready = coming.result()
            coming = thread.submit(job)
            yield ready
        yield coming.result()
