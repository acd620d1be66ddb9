"""A cascade as one ONNX file: does it find what the cascade finds, and what do its crops cost.

    python benchmarks/deployed_cascade.py --model runs/a --data 300w --split common --threads 1 2

Exports the cascade, locates the faces of a split with torch and with the file, and compares. Then
times, side by side and face by face in turns, the whole file, its two networks alone in files of
their own, each by itself and one after the other (then neither finds its weights in the cache), and
the file with networks that answer at once: the crops and all else that surrounds the networks.
Least and median milliseconds of a face, decoding of photos not counted; the crops' share is what
the whole file takes longer than its networks one after the other.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from groupnas.cli.tables import print_table
from groupnas.deploy.export import export_onnx
from groupnas.deploy.planner import LayoutPlanner
from groupnas.landmarks.boxes import face_box
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.deploy.export import Planner, join
from groupnas.landmarks.deploy.graph import FLOAT, Graph
from groupnas.landmarks.deploy.runtime import OnnxCascade
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.metrics import normaliser
from groupnas.landmarks.model import load_cascade, load_networks
from groupnas.landmarks.roles import Gaze
from groupnas.latency.timing import time_side_by_side
from groupnas.onnx_tools import import_onnx, open_session

Pairs = list[tuple[np.ndarray, np.ndarray]]


def answers(points: np.ndarray, channels: int, size: int) -> Any:
    """A network that answers at once, and always the same."""
    graph = Graph()
    x = graph.input("x", FLOAT, (1, channels, size, size))
    one = x.take([0], axis=2).take([0], axis=3).reduce("Max", 1, 2, 3) * 0
    same = graph.constant(points.reshape(1, -1), FLOAT) + one.reshape(1, 1)
    graph.output("y", same, (1, points.size))
    return graph.model("answers", {})


def files(model: str, folder: Path, planner: Planner | None, face: np.ndarray) -> dict[str, bytes]:
    """The cascade, its networks, and the cascade that answers ``face``, in box units, at once."""
    card, networks = load_networks(model)
    parts = {}
    for name, network in networks.items():
        module = network.module if planner is None else planner(network.module)
        export_onnx(module, folder / f"{name}.onnx", batch=1)
        parts[name] = import_onnx().load(folder / f"{name}.onnx")
    quick: dict[str, Any] = {}
    for name, network in networks.items():
        look, space = network.role.look, network.allocation.space
        within = np.zeros((sum(dict(space.outputs).values()) // 2, 2))
        points = within if quick else face  # the first finds the shape, the others change nothing
        quick[name] = answers(points, sum(dict(space.inputs).values()), look.size)
    models = {"cascade": join(card, parts), **parts, "crops": join(card, quick)}
    return {name: one.SerializeToString() for name, one in models.items()}


def accuracy(model: str, deployed: OnnxCascade, pairs: Pairs, truth: np.ndarray) -> None:
    cascade = load_cascade(model)
    found = cascade.locate_many(pairs)
    rows = [["stage", "NME % torch", "NME % onnx", "mean px apart", "largest"]]
    size = normaliser(truth, cascade.markup, "interocular")
    same = deployed.locate_many(pairs)
    for name in ("initial", "points"):
        ours, theirs = getattr(found, name), getattr(same, name)
        errors = (
            100 * (np.linalg.norm(points - truth, axis=2).mean(axis=1) / size).mean()
            for points in (ours, theirs)
        )
        apart = np.linalg.norm(ours - theirs, axis=2)
        rows.append(
            [name, *(f"{e:.4f}" for e in errors), f"{apart.mean():.3f}", f"{apart.max():.2f}"]
        )
    print_table(rows, numbers=True)


def timings(models: dict[str, bytes], pairs: Pairs, threads: int, rounds: int) -> list[str]:
    work = {name: runner(content, pairs, threads) for name, content in models.items()}
    every = [work[name] for name in models if name not in ("cascade", "crops")]
    work["networks"] = lambda: [run() for run in every]
    times = time_side_by_side(work, rounds=rounds, least_ms=20)
    share = 1 - times["networks"].least / times["cascade"].least
    shown = (f"{timing.least:.3f} / {timing.median:.3f}" for timing in times.values())
    return [str(threads), *shown, f"{100 * share:.1f}"]


def runner(content: bytes, pairs: Pairs, threads: int) -> Callable[[], Any]:
    """Runs a model on the faces in turns; a network on noise."""
    session = open_session(content, threads)
    shapes = {entry.name: entry.shape for entry in session.get_inputs()}
    if "x" in shapes:
        x = np.random.default_rng(0).standard_normal(shapes["x"], dtype=np.float32)
        return lambda: session.run(None, {"x": x})
    turns = itertools.cycle((image, box.astype(np.float32)) for image, box in pairs)
    return lambda: session.run(None, dict(zip(("image", "box"), next(turns), strict=True)))


def face_of(pairs: Pairs, truth: np.ndarray, margin: float) -> np.ndarray:
    """The mean shape in box units."""
    boxes = np.stack([box for _, box in pairs])
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    half = (high - low).max(axis=2, keepdims=True) * margin / 2
    shape: np.ndarray = ((truth - (low + high) / 2) / half).mean(axis=0)
    return shape


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--split", default="test")
    parser.add_argument("--data-root", default=os.environ.get("GROUPNAS_DATA"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--timed", type=int, default=16, help="faces that are timed, in turns")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--as-trained", action="store_true", help="do not lay networks out")
    options = parser.parse_args()
    data = face_set(options.data)
    faces = load_faces(
        data, options.data_root, options.split, allow_partial=True, limit=options.limit
    )
    pairs = [(np.ascontiguousarray(data.read(face)), face_box(face, data)) for face in faces]
    truth = np.stack([face.points for face in faces])
    _, networks = load_networks(options.model)
    look = next(iter(networks.values())).role.look
    assert isinstance(look, Gaze)  # the first looks at the photo
    shape = face_of(pairs, truth, look.margin)
    planner = None if options.as_trained else LayoutPlanner()
    with tempfile.TemporaryDirectory() as folder:
        models = files(options.model, Path(folder), planner, shape)
        (Path(folder) / "cascade.onnx").write_bytes(models["cascade"])
        deployed = OnnxCascade.load(Path(folder) / "cascade.onnx")
    accuracy(options.model, deployed, pairs, truth)
    names = [*models, "networks"]
    rows = [["threads", *(f"{name} ms" for name in names), "crops' share %"]]
    timed = pairs[:: max(1, len(pairs) // options.timed)]
    rows += [timings(models, timed, threads, options.rounds) for threads in options.threads]
    print_table(rows, numbers=True)


if __name__ == "__main__":
    main()
