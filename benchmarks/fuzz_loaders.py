"""Damage annotation files in many ways: the loaders must read them or say what is wrong, no more.

Copies of the given files are truncated, filled with noise, have bytes flipped, words replaced,
lines dropped and repeated; every copy is then read. Anything but a result or a one-line
``InputError`` that names the file fails the run, as does a crash of the interpreter.

    python benchmarks/fuzz_loaders.py FOLDER_OR_FILE... [--times 50] [--seed 0]

What groupnas itself writes is damaged by ``fuzz_saved.py``.

Files are known by their names: ``*.pts``; WFLW's ``list_98pt_*.txt``; ``AFLWinfo_release.mat``;
``COFW_*_color.mat``; COFW68's ``*_points.mat`` and ``cofw68_test_bboxes.mat``; images.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from groupnas.errors import InputError
from groupnas.landmarks.data import aflw, cofw, cofw68, images, pts, wflw

Reader = Callable[[Path], Any]
_WORDS = ("nan", "inf", "-1e999", "", "x", "1.5.2", "-", "{", "}", "\0", "é", "../up.jpg", "1e308")


def read_cofw(path: Path) -> None:
    """Every landmark, and the first and the last image."""
    found = cofw.read_file(path)
    for face in (found[0], found[-1]):
        cofw.read_image(face)


# The first pattern that fits a file's name says how it is read.
READERS: dict[str, Reader] = {
    "*.pts": pts.read_pts,
    "list_98pt_rect_attr_*.txt": lambda path: wflw.read_list(path, path.parent),
    "list_98pt_test_*.txt": lambda path: wflw.read_subset_list(path, path.parent),
    "AFLWinfo_release.mat": lambda path: aflw.read_info(path, path.parent),
    "COFW_*_color.mat": read_cofw,
    "*_points.mat": cofw68.read_points,
    "cofw68_test_bboxes.mat": cofw68.read_boxes,
    "*.jpg": images.read_rgb,
    "*.png": images.read_rgb,
}


def damaged(content: bytes, draw: random.Random) -> tuple[str, bytes]:
    """A damaged copy of a file's content, and what was done to it."""
    kind = draw.choice(("cut", "noise", "flip", "flips", "zeros", "insert", "words", "lines"))
    place = draw.randrange(len(content) or 1)
    changed = bytearray(content)
    if kind == "cut":
        changed = changed[:place]
    elif kind == "noise":
        changed = bytearray(draw.randbytes(draw.choice((0, 1, 50, 5000))))
    elif kind in ("flip", "flips"):
        # Half of them near the beginning, where headers are
        reach = len(changed) if draw.random() < 0.5 else min(len(changed), 2000)
        for _ in range(1 if kind == "flip" else 20):
            changed[draw.randrange(reach)] ^= 1 << draw.randrange(8)
    elif kind == "zeros":
        changed[place : place + 100] = bytes(len(changed[place : place + 100]))
    elif kind == "insert":
        changed[place:place] = draw.randbytes(draw.choice((1, 4, 100)))
    elif kind == "words":
        words = content.split(b" ")
        words[draw.randrange(len(words))] = draw.choice(_WORDS).encode()
        changed = bytearray(b" ".join(words))
    else:
        lines = content.split(b"\n")
        line = draw.randrange(len(lines))
        lines[line : line + 1] = [lines[line]] * draw.choice((0, 2))
        changed = bytearray(b"\n".join(lines))
    return kind, bytes(changed)


def fuzz(path: Path, read: Reader, times: int, seed: int) -> Iterator[tuple[str, str, str | None]]:
    """Read ``times`` damaged copies: what was done, how it ended, and what is wrong with that."""
    draw = random.Random(f"{seed} {path.name}")
    content = path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for _ in range(times):
            kind, changed = damaged(content, draw)
            copy.write_bytes(changed)
            try:
                read(copy)
            except InputError as error:
                message = str(error)
                sound = message.startswith(str(copy)) and len(message.splitlines()) == 1
                yield kind, "refused", None if sound else message
            except Exception as error:  # what the run is there to find
                yield kind, "refused", f"{type(error).__module__}.{type(error).__name__}: {error}"
            else:
                yield kind, "read", None


def files_in(places: list[Path]) -> list[tuple[Path, Reader]]:
    """All files that there is a reader for."""
    found = []
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            pattern = next((pattern for pattern in READERS if path.match(pattern)), None)
            if pattern and path.is_file():
                found.append((path, READERS[pattern]))
    return found


def fuzz_apart(path: Path, times: int, seed: int) -> subprocess.CompletedProcess[str]:
    """:func:`fuzz` of one file in a process of its own, which HDF5 might bring down."""
    command = [sys.executable, __file__, str(path), "--times", str(times), "--seed", str(seed)]
    return subprocess.run([*command, "--here"], capture_output=True, text=True, timeout=600)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", nargs="+", type=Path, metavar="FOLDER_OR_FILE")
    parser.add_argument("--times", type=int, default=50, help="damaged copies of each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--here", action="store_true", help="in this process")
    options = parser.parse_args()
    ends: Counter[str] = Counter()
    failures = []
    for path, read in files_in(options.places):
        if not options.here and path.match("COFW_*_color.mat"):
            done = fuzz_apart(path, options.times, options.seed)
            lines = done.stdout.splitlines()
            if done.returncode not in (0, 1) or not lines:
                failures.append(f"{path}: the process ended with {done.returncode}")
                continue
            counts = dict(part.split(" ") for part in lines[-1].split(", "))
            ends.update({end: int(count) for end, count in counts.items()})
            failures += lines[:-1]
            continue
        for kind, end, wrong in fuzz(path, read, options.times, options.seed):
            ends[end] += 1
            if wrong:
                failures.append(f"{path}: {kind}: {' '.join(wrong.split())}")
    for failure in failures:
        print(failure)
    print(", ".join(f"{end} {ends[end]}" for end in ("read", "refused")))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
