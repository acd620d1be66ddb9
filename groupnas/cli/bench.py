"""``groupnas bench``: exported models against each other, and the latency table of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from groupnas.cli.options import SeveralOption, whole_number
from groupnas.cli.output import courtesy
from groupnas.errors import InputError
from groupnas.formats import LINES, TABLE, check_suffix

if TYPE_CHECKING:
    from groupnas.deploy.bench import Bench


def bench(
    models: list[Path] | None = None,
    /,
    *,
    batch: Annotated[list[int] | None, Parameter(consume_multiple=1, negative="")] = None,
    threads: Annotated[list[int] | None, Parameter(consume_multiple=1, negative="")] = None,
    rounds: Annotated[int, whole_number(1)] = 30,
    warm_up: Annotated[int, whole_number(0)] = 3,
    names: SeveralOption = None,
    shape: SeveralOption = None,
    input: SeveralOption = None,
    json_file: Annotated[Path | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
    table: Path | None = None,
    space: SeveralOption = None,
) -> None:
    """Time ONNX files side by side in ONNX Runtime on the CPU.

    All models take turns in every round; the table shows the median of the rounds with a tenth of
    them below and above, the quickest, and the ratio to the first model. An open first size is the
    batch; images of open size are 480 x 640.

    With --table FILE --space NAME..., measures instead what every kernel of some search spaces
    takes on this machine: what layouts are planned and latency budgets met with.

    Args:
        models: ONNX files, of any network; ratios are to the first.
        batch: Samples of a call; 1 by default.
        threads: CPU threads; 1 by default.
        rounds: In each, all models take a turn.
        warm_up: Calls of each model before.
        names: What to call the models, in their order.
        shape: NAME=1x3x224x224: an input's sizes, where the model leaves them open.
        input: NAME=FILE.npy: an input's values; drawn at random where not given.
        json_file: File for the results; - prints them instead of the table.
        table: Measure --space's kernels instead, and write this latency table.
        space: Search spaces whose kernels --table measures.
    """
    batches = _counts("--batch", batch)
    counts = _counts("--threads", threads)
    if table is not None:
        check_suffix(table, TABLE, "a latency table")
        if models:
            raise InputError("--table measures the kernels of --space: give no models with it")
        _measure(table, space, batches, counts)
        return
    if space:
        raise InputError("--space goes with --table FILE; models are ONNX files")
    if not models:
        raise InputError("bench needs ONNX files (`groupnas export` writes some), or --table FILE")

    for model in models:
        if model.is_dir():
            from groupnas.runs.kinds import describe

            raise InputError(f"{model}: {describe(model)}; expected an ONNX file")

    if json_file is not None and json_file != Path("-"):
        check_suffix(json_file, LINES, "a JSON file")

    from groupnas.deploy.bench import bench as run
    from groupnas.deploy.bench import named
    from groupnas.deploy.bench_inputs import parse_input, parse_shape

    found = run(
        named(models, names),
        batches=batches,
        threads=counts,
        rounds=rounds,
        warm_up=warm_up,
        shapes=dict(map(parse_shape, shape or [])),
        values=dict(map(parse_input, input or [])),
    )
    _show(found, json_file)


def _show(found: Bench, json_file: Path | None) -> None:
    from groupnas.writing import write_text

    text = json.dumps(found.to_dict(), indent=2)
    if json_file == Path("-"):
        print(text)
        return
    if json_file is None:
        _print(found)
        return
    write_text(json_file, text + "\n")
    with courtesy("the table was not printed", json_file):
        _print(found)


def _print(found: Bench) -> None:
    from groupnas.cli.tables import print_table

    print(f"{found.machine}, {found.runtime}")
    print_table(found.table(), numbers=True)
    for note in found.notes:
        print(note)


def _measure(
    table: Path, names: Sequence[str] | None, batches: Sequence[int], threads: Sequence[int]
) -> None:
    if not names:
        raise InputError("--table needs --space, whose kernels it measures")
    for option, values in (("--batch", batches), ("--threads", threads)):
        if len(values) > 1:
            raise InputError(f"{option}: a latency table is of one only, got {len(values)}")

    from groupnas.latency.measure import measure_table
    from groupnas.spaces import load_space

    spaces = [load_space(name) for name in names]
    with _watched() as progress:
        measured = measure_table(spaces, threads=threads[0], batch=batches[0], progress=progress)
    measured.save(table)
    with courtesy("the table's name was not printed", table):
        print(table)


@contextmanager
def _watched() -> Iterator[Callable[[int, int], None]]:
    """Takes how many points are measured and of how many; a bar where a terminal shows it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Measuring kernels", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _counts(option: str, values: list[int] | None) -> list[int]:
    counts = list(dict.fromkeys(values or [1]))
    for value in counts:
        if not 1 <= value <= 1024:
            raise InputError(f"{option}: expected whole numbers from 1 to 1024, got {value}")
    return counts
