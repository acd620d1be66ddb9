"""Many files at once, with a progress bar where it takes long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from groupnas.machine import cores

PATIENCE = 2.0  # seconds without a progress bar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def in_threads(
    function: Callable[[ItemT], ResultT], items: Sequence[ItemT], what: str
) -> list[ResultT]:
    """``[function(item) for item in items]`` on all cores, in order.

    Threads, because Pillow decodes and resamples without the interpreter's lock. A progress bar
    comes up on standard error if it takes longer than :data:`PATIENCE` seconds.
    """
    with ThreadPoolExecutor(min(8, cores())) as pool:
        try:
            return list(_with_progress(pool.map(function, items), len(items), what))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # neither an error nor Ctrl-C waits for the rest
            raise


def _with_progress(results: Iterator[ResultT], total: int, what: str) -> Iterator[ResultT]:
    from rich.console import Console
    from rich.progress import Progress

    begin = time.monotonic()
    console = Console(stderr=True)
    # In a notebook rich would ask for another package.
    progress = Progress(console=console, transient=True, disable=not console.is_terminal)
    bar = progress.add_task(what, total=total)
    try:
        for result in results:
            progress.advance(bar)
            if not progress.live.is_started and time.monotonic() - begin > PATIENCE:
                progress.start()
            yield result
    finally:
        if progress.live.is_started:  # or it would end a bar that is not there with a newline
            progress.stop()
