"""Checks of what a task declares: its members, its groups and their sizes, its sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from groupnas.engine.task_check.findings import Findings, Stopped, kind, told
from groupnas.spaces.schema import SHARED
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task, output_size
from groupnas.values import as_whole

TEXTS = ("name", "error_unit")
SIZES = ("inputs", "outputs")
METHODS = ("batch", "mean_output", "loss", "errors", "to", "fingerprint")


def check_declared(found: Findings, space: SearchSpace | None, task: Task) -> None:
    """Check members, groups and sources.

    Raises:
        Stopped: so that no batch can be asked for.
    """
    if isinstance(task, type):
        raise found.stop(f"is a class; expected a task of it: {task.__name__}(...)")
    members = (*TEXTS, *SIZES, "sources", *METHODS)
    missing = [name for name in members if not _has(found, task, name)]
    if missing:
        raise found.stop(f"has no {', '.join(missing)}; see groupnas.task.Task")
    for name in METHODS:
        if not callable(getattr(task, name)):
            found.add(f"{name}: expected a method, got {kind(getattr(task, name))}")
    for name in TEXTS:
        value = getattr(task, name)
        if not isinstance(value, str) or not value:
            found.add(f"{name}: expected a text, got {kind(value)}")
    check_sizes(found, space, task)
    _check_sources(found, task)
    if found.mistakes:
        raise Stopped
    _check_fingerprint(found, task)


def _has(found: Findings, task: Task, name: str) -> bool:
    """Return whether there is such a member; raise :class:`Stopped` if a property fails."""
    try:
        getattr(task, name)
    except Exception as error:
        if isinstance(error, AttributeError) and not hasattr(type(task), name):
            return False
        raise found.stop(f"{name}: raised {told(error)}") from error
    return True


def check_sizes(found: Findings, space: SearchSpace | None, task: Task) -> None:
    """Check the groups, and how many channels and outputs each has."""
    for what in SIZES:
        offered = getattr(task, what)
        if not isinstance(offered, Mapping) or not offered:
            found.add(f"{what}: expected a mapping from parts to sizes, got {kind(offered)}")
            continue
        for group, size in offered.items():
            count = as_whole(size)
            if not isinstance(group, str) or count is None or count < 1:
                found.add(
                    f"{what}: expected names and whole numbers from 1 on, got {group!r}: {size!r}"
                )
        needed = None if space is None else dict(getattr(space, what))
        if space is not None and list(offered.items()) != list((needed or {}).items()):
            order = "in this order: " if dict(offered) == needed else ""
            found.add(f"{what}: space {space.name} has {order}{needed}, the task {dict(offered)}")
    size = output_size(task)
    if space is not None and size != space.output_size:
        found.add(
            f"output_size: space {space.name} has {space.output_size or 'numbers, no maps'}, the "
            f"task {size or 'none'}"
        )
    if not found.mistakes and list(task.inputs) not in ([SHARED], list(task.outputs)):
        found.add(
            f"outputs: expected the parts of inputs, {', '.join(task.inputs)}; "
            f"got {', '.join(task.outputs)}"
        )


def _check_sources(found: Findings, task: Task) -> None:
    sources: Any = task.sources
    if isinstance(sources, (str, bytes, Mapping)) or not _is_sequence(sources):
        found.add(f"sources: expected a list of names, one for every sample; got {kind(sources)}")
        return
    count = len(sources)
    if not count:
        found.add("sources: expected at least 2 samples, got none")
        return
    for index in range(count):
        if not isinstance(sources[index], str):
            found.add(f"sources: expected names, got {kind(sources[index])} for sample {index}")
            return
    if len({sources[index] for index in range(count)}) < 2:
        found.add(
            f"sources: all {count} samples are of {sources[0]!r}; expected 2 or more, since the "
            "samples of a source are never split"
        )


def _check_fingerprint(found: Findings, task: Task) -> None:
    first = found.call("fingerprint()", task.fingerprint)
    if not isinstance(first, str) or not first:
        found.add(
            f"fingerprint(): expected a text that is a hash of the samples, got {kind(first)}"
        )
    elif found.call("fingerprint()", task.fingerprint) != first:
        found.add(
            "fingerprint(): expected the same for the same samples; it changes from call to call"
        )


def _is_sequence(value: Any) -> bool:
    try:
        len(value)
    except TypeError:  # an array without a dimension among them
        return False
    return hasattr(value, "__getitem__")
