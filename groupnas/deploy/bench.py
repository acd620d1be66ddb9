"""ONNX files against each other: what each takes in ONNX Runtime, all in turns in one run.

A number of milliseconds is of the machine and of what else it did at the time; the ratio of two
that took turns is not. All models of one batch and one number of threads take turns, each on
inputs drawn once before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from groupnas.deploy.bench_inputs import (
    GivenInputs,
    check_given,
    draw_feed,
    fixed_batch,
    read_ports,
)
from groupnas.errors import InputError
from groupnas.latency.timing import Timing, time_side_by_side
from groupnas.machine import machine
from groupnas.onnx_tools import import_runtime, open_session, refusals

_REST_MS = 50.0  # until the threads of the model before sleep
_TURN_MS = 20.0  # so that a turn is mostly of calls that find the cache as the last one left it


@dataclass(frozen=True)
class TimedRow:
    """The times and outputs of one model.

    Attributes:
        model: Its name.
        threads: ONNX Runtime's, inside an operator.
        batch: Samples of one call.
        timing: Milliseconds of a call, not of a sample.
        ratio: Its median over that of the first model of the same batch and threads.
        least_ratio: Likewise of the quickest rounds: steadier where other work disturbs.
    """

    model: str
    threads: int
    batch: int
    timing: Timing
    ratio: float
    least_ratio: float


@dataclass(frozen=True)
class Bench:
    """The result of :func:`bench`.

    Attributes:
        rows: By threads, then batch, then in the models' order.
        notes: Which models were left out where, and why.
        machine: Operating system, architecture and processor.
        runtime: ONNX Runtime's version and provider.
    """

    rows: tuple[TimedRow, ...]
    notes: tuple[str, ...]
    machine: str
    runtime: str

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values for JSON; times in milliseconds a call."""
        return {
            "machine": self.machine,
            "runtime": self.runtime,
            "unit": "ms per call",
            "rows": [asdict(row) for row in self.rows],
            "notes": list(self.notes),
        }

    def table(self) -> list[list[str]]:
        """The rows as text, under a header."""
        header = ["model", "threads", "batch", "median ms", "10 %", "90 %", "least", "ratio"]
        lines = [[*header, "of least"]]
        for row in self.rows:
            took = row.timing
            times = map(_digits, (took.median, took.low, took.high, took.least))
            ratios = f"{row.ratio:.2f}", f"{row.least_ratio:.2f}"
            lines.append([row.model, str(row.threads), str(row.batch), *times, *ratios])
        return lines


def bench(
    models: Mapping[str, str | os.PathLike[str]],
    *,
    batches: Sequence[int] = (1,),
    threads: Sequence[int] = (1,),
    rounds: int = 30,
    warm_up: int = 3,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    values: Mapping[str, NDArray[Any]] | None = None,
) -> Bench:
    """Time models side by side in ONNX Runtime on the CPU.

    Inputs are drawn: floats from a normal distribution, pixels evenly from 0 to 255, other whole
    numbers are 0. A first size that is open is the batch. An image ``(H, W, 3)`` of open size is
    480 x 640, and the input ``box`` ``(4,)`` of the same model its central square.

    Args:
        models: Name to ONNX file; the first is what ratios are of.
        batches: Samples of a call. A model whose batch is fixed is left out at all others.
        threads: Numbers of threads.
        rounds: Rounds that count, at least 1.
        warm_up: Calls of each before.
        shapes: Shapes of inputs by name, where the model leaves sizes open.
        values: Inputs by name, instead of drawn ones.

    Raises:
        InputError: a file that ONNX Runtime cannot run, an input that no model has, a shape or
            type that does not fit, open sizes that no rule fills, or no model at any batch.
    """
    given = GivenInputs(shapes or {}, values or {})
    rows: list[TimedRow] = []
    notes: dict[str, None] = {}
    for count in threads:
        sessions = {name: open_session(path, count) for name, path in models.items()}
        ports = {name: read_ports(name, session) for name, session in sessions.items()}
        check_given(given, ports)
        for batch in batches:
            work: dict[str, Callable[[], Any]] = {}
            for name, session in sessions.items():
                only = fixed_batch(ports[name], given)
                if only not in (None, batch):
                    notes[f"{name}: takes batches of {only} only; left out at {batch}"] = None
                    continue
                feed = draw_feed(name, ports[name], batch, given)
                work[name] = partial(session.run, None, feed)
                with refusals(f"{name}: ONNX Runtime cannot run it on such inputs"):
                    work[name]()
            rest_ms = _REST_MS if count > 1 else 0.0
            timings = time_side_by_side(
                work, rounds=rounds, warm_up=warm_up, least_ms=_TURN_MS, rest_ms=rest_ms
            )
            rows += _rows(timings, count, batch)
    if not rows:
        raise InputError(f"no model to time: {'; '.join(notes) or 'none was given'}")
    runtime = f"onnxruntime {import_runtime().__version__}, CPU"
    return Bench(tuple(rows), tuple(notes), machine(), runtime)


def named(paths: Sequence[Path], names: Sequence[str] | None = None) -> dict[str, Path]:
    """Files by what tables call them: the names given, else their stems, else their paths.

    Raises:
        InputError: not one name for each file, or one name twice.
    """
    if names is not None and len(names) != len(paths):
        raise InputError(f"--names: expected {len(paths)}, one for each model, got {len(names)}")
    stems = [path.stem for path in paths]
    unique = len(set(stems)) == len(stems)
    chosen = list(names) if names is not None else stems if unique else list(map(str, paths))
    for name in chosen:
        if chosen.count(name) > 1:
            raise InputError(f"{name}: is there twice; give each model once, under its own name")
    return dict(zip(chosen, paths, strict=True))


def _rows(timings: Mapping[str, Timing], threads: int, batch: int) -> list[TimedRow]:
    first = next(iter(timings.values()), None)
    return [
        TimedRow(name, threads, batch, one, one.median / first.median, one.least / first.least)
        for name, one in timings.items()
        if first is not None
    ]


def _digits(ms: float) -> str:
    return f"{ms:.3f}" if ms < 10 else f"{ms:.1f}"
