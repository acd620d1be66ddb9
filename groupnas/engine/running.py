"""Run a job to its end, epoch by epoch, and tell those who want to know."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from groupnas.engine.job import Job, Record
from groupnas.engine.observer import Observer
from groupnas.runs.folder import HISTORY, RESULT, TIMINGS, RunFolder


def run_job(
    folder: RunFolder,
    job: Job,
    observers: Sequence[Observer],
    conclude: Callable[[], Record],
    write_outcome: Callable[[], None] = lambda: None,
) -> Record:
    """Run the epochs that are left; each ends with a checkpoint and what derives from it.

    Args:
        folder: Held by the caller.
        job: New, or resumed.
        observers: Told how it goes.
        conclude: What there is to say of the finished job.
        write_outcome: Writes what else can be read off the job after each epoch.

    Returns:
        What ``conclude`` said, which ``result.json`` holds now.
    """

    def write() -> None:
        write_outcome()
        folder.write_lines(HISTORY, job.history)

    def tell(done: int, total: int) -> None:
        for observer in observers:
            observer.stepped(done, total)

    # A kill may have come between a checkpoint and these; the checkpoint is what counts.
    write()
    with ExitStack() as ending:
        for observer in observers:
            ending.callback(observer.closed)
            observer.started(folder, job)
        while len(job.history) < job.total_epochs:
            record = _timed_epoch(folder, job, tell)
            write()
            for observer in observers:
                observer.epoch_ended(record)
        result = conclude()
        folder.write_json(RESULT, result)
        for observer in observers:
            observer.finished(result)
    return result


def _timed_epoch(folder: RunFolder, job: Job, tell: Callable[[int, int], None]) -> Record:
    """Run one epoch and save it in the checkpoint."""
    start, busy, waited = time.perf_counter(), time.process_time(), job.data_seconds
    record = job.run_epoch(tell)
    timing = {
        "epoch": record["epoch"],
        "seconds": round(time.perf_counter() - start, 3),
        # Of all threads: what others do on the machine does not count.
        "cpu_seconds": round(time.process_time() - busy, 3),
        "data_seconds": round(job.data_seconds - waited, 3),
    }
    folder.save_checkpoint(job.state_dict())
    folder.append_line(TIMINGS, timing)
    return record
