"""Damage what groupnas writes, types and structure above all, and have it read again.

Every format is changed in copies of small runs: values of other types, shapes and sizes at any
depth, odd texts, flipped bytes, and special files in its place. What is read must be refused in one
line of at most 1,000 characters, or be read; anything else is counted and told, and fails the run.

    python benchmarks/fuzz_saved.py [--inputs 12000] [--seed 0] [--only NAME]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from fuzz_formats import FORMATS, Format, load, store
from fuzz_loaders import damaged
from fuzz_values import damaged_text, mutated

from groupnas.errors import InputError

LIMIT = 20  # seconds for one input
LONGEST = 1000  # characters of a message
_UNWRITTEN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_TEXTS = (".json", ".jsonl", ".yaml", ".csv")


class Hang(BaseException):
    """An input took too long; no handler of exceptions may catch it."""


@dataclass
class Outcome:
    """What came of the inputs of a format."""

    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def fuzz(which: Format, folder: Path, inputs: int, seed: int) -> Outcome:
    """Read so many damaged copies of one format.

    Args:
        which: The format.
        folder: Where its run is.
        inputs: How many.
        seed: Of everything drawn.
    """
    draw, outcome = random.Random(f"{seed} {which.name}"), Outcome()
    original = (folder / which.file).read_bytes()
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "run"
        shutil.copytree(folder, copy)
        which.read(copy)  # what is sound is read
        for number in range(inputs):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(folder, copy)
            file = copy / which.file
            file.unlink()
            what = _damage(which, file, original, draw, number)
            end, wrong = _read(which, copy)
            outcome.ends[end] += 1
            if wrong:
                outcome.failures.append(f"{which.name}, input {number} ({what}): {end}: {wrong}")
            for made in Path(place).iterdir():
                if made != copy:  # the target of a link
                    made.unlink()
    return outcome


def _damage(which: Format, file: Path, original: bytes, draw: random.Random, number: int) -> str:
    """Put a damaged copy, or something that is no file, in a file's place."""
    if number < len(_SPECIAL):
        name = list(_SPECIAL)[number]
        _SPECIAL[name](file)
        return name
    text = file.suffix in _TEXTS
    kind = draw.choice(("types",) * 6 + ("bytes",) + (("text",) if text else ()))
    if file.suffix == ".csv" and kind == "types":
        kind = "bytes"
    if kind == "types":
        try:
            store(file, mutated(load(which.suffix, original), draw))
        except (
            LookupError,
            AttributeError,
            TypeError,
            ValueError,
            RecursionError,
            OverflowError,
            RuntimeError,
        ):
            kind = "bytes"  # what cannot be written cannot be read
    if kind == "bytes":
        file.write_bytes(damaged(original, draw)[1])
    elif kind == "text":
        file.write_bytes(damaged_text(original.decode(), draw))
    if which.mend is not None:
        which.mend(file)
    return kind


def _read(which: Format, copy: Path) -> tuple[str, str]:
    try:
        with _limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            which.read(copy)
    except InputError as error:
        text = str(error)
        odd = len(text) > LONGEST or len(text.splitlines()) != 1
        return "refused", f"message of {len(text)} characters: {text[:300]}" if odd else ""
    except Hang:
        return "hang", f"over {LIMIT} s"
    except (Exception, SystemExit) as error:
        return "traceback", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return "read", ""


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _sparse(file: Path) -> None:
    with open(file, "wb") as stream:
        stream.truncate(10 * 2**30)


_SPECIAL: dict[str, Callable[[Path], Any]] = {
    "nothing": lambda file: None,
    "a pipe": os.mkfifo,
    "an endless device": lambda file: file.symlink_to("/dev/zero"),
    "an empty device": lambda file: file.symlink_to("/dev/null"),
    "a folder": lambda file: file.mkdir(),
    "a dangling link": lambda file: file.symlink_to("nowhere"),
    "a link to itself": lambda file: file.symlink_to(file.name),
    "10 GiB of nothing": _sparse,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=12_000, help="of all formats together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="formats whose names begin so")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [one for one in FORMATS if one.name.startswith(options.only or "")]
    weight = sum(one.weight for one in chosen)
    failures: list[str] = []
    total: Counter[str] = Counter()
    columns = ("read", "refused", "traceback", "hang")
    print(f"{'format':34}{'inputs':>8}{'':2}" + "".join(f"{name:>11}" for name in columns))
    with tempfile.TemporaryDirectory() as place:
        os.environ["GROUPNAS_CACHE"] = os.path.join(place, "cache")
        for one in chosen:
            start = time.perf_counter()
            found = fuzz(
                one, one.make(Path(place)), -(-options.inputs * one.weight // weight), options.seed
            )
            ends, took = found.ends, time.perf_counter() - start
            counts = "".join(f"{ends[name]:>11}" for name in columns)
            print(f"{one.name:34}{ends.total():>8}{'':2}{counts}{took:>8.0f} s", flush=True)
            failures += found.failures
            total += ends
    print(f"{'all':34}{total.total():>8}{'':2}" + "".join(f"{total[n]:>11}" for n in columns))
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
