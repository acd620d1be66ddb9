"""How fast a cascade locates faces, and where its time goes.

    python benchmarks/cascade_speed.py --model runs/a --data 300w --split common --threads 1 2

Reads faces of a split into memory, then locates them in batches of 1 and of 32: faces per second,
and the time of every step of a batch. The medians of rounds that take all steps in turn, so that
all see the same load of the machine. Reading and decoding of photos is not counted.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from groupnas.cli.tables import print_table
from groupnas.landmarks.boxes import face_box
from groupnas.landmarks.cascade import Cascade
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.model import load_cascade
from groupnas.landmarks.sources import Photos

STEPS = ("global crop", "global network", "part crops", "local network", "the rest")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


@torch.inference_mode()
def measure(cascade: Cascade, pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """Seconds of :data:`STEPS`, and of the whole as users call it, for one batch."""
    photos, boxes = Photos([image for image, _ in pairs]), np.stack([box for _, box in pairs])
    points, steps = None, []
    for stage in cascade.stages.values():
        frame = stage.frames(photos, boxes, points)
        seen, crops = timed(partial(stage.see, photos, frame))
        _, network = timed(partial(stage.network, seen))
        points, _ = stage.locate(photos, frame, points)
        steps += [crops, network]
    _, total = timed(lambda: cascade.locate_many(pairs, batch=len(pairs)))
    return [*steps, total - sum(steps), total]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--split", default="test")
    parser.add_argument("--data-root", default=os.environ.get("GROUPNAS_DATA"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    cascade, data = load_cascade(options.model), face_set(options.data)
    faces = load_faces(
        data, options.data_root, options.split, allow_partial=True, limit=max(options.batches)
    )
    everyone = [(data.read(face), face_box(face, data)) for face in faces]
    rows = [["threads", "batch", "faces/s", "ms/face", *(f"{step} %" for step in STEPS)]]
    for threads in options.threads:
        torch.set_num_threads(threads)
        for batch in options.batches:
            pairs = (everyone * batch)[:batch]
            for _ in range(3):
                measure(cascade, pairs)
            rounds = np.array([measure(cascade, pairs) for _ in range(options.rounds)])
            *steps, total = np.median(rounds, axis=0)
            rows.append(
                [
                    str(threads),
                    str(batch),
                    f"{batch / total:.0f}",
                    f"{1000 * total / batch:.2f}",
                    *(f"{100 * step / total:.0f}" for step in steps),
                ]
            )
    print_table(rows, numbers=True)


if __name__ == "__main__":
    main()
