"""Checks, in seconds, that a task does what :class:`groupnas.task.Task` asks.

A task's mistakes show late and elsewhere: as an error of torch in the middle of an epoch, or not
at all, in a search that learned from noise. So the protocol is tried out, on a few samples.
"""

from __future__ import annotations

import torch

from groupnas.engine.task_check.answers import check_answers
from groupnas.engine.task_check.batches import check_batches
from groupnas.engine.task_check.declared import check_declared
from groupnas.engine.task_check.findings import Findings, Stopped
from groupnas.engine.task_check.randomness import own_randomness
from groupnas.errors import InputError
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task
from groupnas.values import instance


@torch.inference_mode(False)  # whatever the caller computes in
def check_task(space: SearchSpace | None, task: Task) -> None:
    """Try out what :class:`groupnas.task.Task` asks of a task, on a few of its samples.

    :func:`groupnas.search`, :func:`groupnas.train` and :func:`groupnas.compare` call it before they
    write anything. It takes about twenty batches of up to eight samples. The caller's random states
    (of torch, numpy and Python) are left as they were.

    Among what it finds: groups, sizes, shapes and dtypes that are not the space's or the
    protocol's; sources that are not one for each sample; batches that do not follow their indices,
    change from call to call, or draw from elsewhere than their generator; losses without a
    gradient, or without one for some group; errors that are negative, or mix samples. An error of
    NaN is right where a sample does not show a group.

    Args:
        space: The space that is to be searched; ``None`` checks the task alone.
        task: The task.

    Raises:
        InputError: all that is wrong, in one line, as far as it can be told at once.
    """
    if space is not None:
        instance("space", space, SearchSpace)
    found = Findings()
    try:
        check_declared(found, space, task)
        with own_randomness() as reseed:
            samples = check_batches(found, space, task, reseed)
            check_answers(found, task, samples)
    except Stopped as stopped:
        reason: BaseException | None = stopped.__cause__
    else:
        reason = None
    if found.mistakes:
        name = getattr(task, "name", None)
        who = f"task {name}" if isinstance(name, str) and name else f"task {type(task).__name__}"
        raise InputError(f"{who}: {'; '.join(found.mistakes)}") from reason
