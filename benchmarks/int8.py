"""Int8 against float32: milliseconds, megabytes, and what it costs in accuracy.

    python benchmarks/int8.py --model runs/a --data 300w [--split common] [--layouts] [--ranges]

Exports the cascade and its networks both ways, as `groupnas export` does, int8 calibrated on
training faces. All files take turns in one run. Accuracy is on training photos that calibration
did not see, unless --split names another split; the difference comes with a paired bootstrap
interval over photos. --layouts also times int8 networks in the layouts of float32: as trained, and
as the planner of measured float32 kernels has them. --ranges adds int8 with weights over its full
range, whose sums saturate on x86 without VNNI, and the same as ONNX Runtime's option
`session.x64quantprecision` makes it exact; then differences of answers are of this processor.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from groupnas.cli.tables import print_table
from groupnas.comparison.statistics import paired_differences
from groupnas.deploy import quantise
from groupnas.deploy.bench import bench
from groupnas.deploy.dense import DensePlanner
from groupnas.deploy.export import export_onnx
from groupnas.deploy.network import DeployedNetwork
from groupnas.deploy.planner import LayoutPlanner
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.deploy.calibration import Crops, crops_shown, training_faces
from groupnas.landmarks.deploy.export import export_cascade
from groupnas.landmarks.deploy.runtime import OnnxCascade
from groupnas.landmarks.evaluation import evaluate_faces
from groupnas.landmarks.load import face_box, load_faces, spread
from groupnas.landmarks.located import FacePair
from groupnas.landmarks.model import load_cascade, load_networks
from groupnas.onnx_tools import import_runtime, open_session
from groupnas.spaces.network import GroupedNetwork

Files = dict[str, dict[str, Path]]  # of a model: by its name, then that of the export
DIFFERENCES = 100  # faces that networks are shown alone
FULL, EXACT = "int8, full range", "int8, full range, exact sums"


def export_all(
    model: str, seen: list[FacePair], folder: Path, layouts: bool, ranges: bool
) -> Files:
    """Everything that is compared; the first export of each is what ratios are of."""
    fast, dense = LayoutPlanner(), DensePlanner()
    cascade = {name: folder / f"cascade-{name}.onnx" for name in ("float32", "int8")}
    export_cascade(model, cascade["float32"], planner=fast)
    export_cascade(model, cascade["int8"], planner=dense, calibration=seen)
    if ranges:
        cascade |= {FULL: folder / "cascade-full.onnx", EXACT: folder / "cascade-exact.onnx"}
        with full_range():
            export_cascade(model, cascade[FULL], planner=dense, calibration=seen)
        make_exact(cascade[FULL], cascade[EXACT])
    files: Files = {"cascade": cascade}
    crops = crops_shown(load_cascade(model), seen)
    for name, network in load_networks(model)[1].items():
        module, shown = network.module.eval(), crops[name]
        exports: dict[str, tuple[Any, bool]] = {
            "float32": (fast(module), False),
            "int8": (dense(module), True),
        }
        if layouts:
            exports["float32, dense"] = dense(module), False
            exports["int8, laid out for float32"] = fast(module), True
            exports["int8, as trained"] = module, True
        files[name] = {
            export: write(folder / f"{name}-{number}.onnx", laid_out, shown if int8 else None)
            for number, (export, (laid_out, int8)) in enumerate(exports.items())
        }
        if ranges:
            with full_range():
                full = write(folder / f"{name}-full.onnx", dense(module), shown)
            files[name] |= {FULL: full, EXACT: make_exact(full, folder / f"{name}-exact.onnx")}
    return files


def write(path: Path, module: GroupedNetwork | DeployedNetwork, shown: Crops | None) -> Path:
    export_onnx(module, path, batch=1)
    if shown is not None:
        quantise.quantise_onnx(path, path, shown)
    return path


def full_range() -> Any:
    """A context in which weights become all of int8, whether their sums fit or not."""
    return mock.patch.object(quantise, "weight_ranges", lambda graph: {})


def make_exact(source: Path, path: Path) -> Path:
    """A file as ONNX Runtime rewrites it on this processor where its option asks for exact sums."""
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.optimized_model_filepath = str(path)
    runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return path


def differences(files: Files, shown: dict[str, Crops]) -> list[list[str]]:
    """Of each network's answers to those in float32, over what differs between faces."""
    rows = [["network", "export", "mean difference / deviation"]]
    for name, crops in shown.items():
        answers = {
            export: np.concatenate([session.run(None, {"x": crop})[0] for crop in crops])
            for export, session in ((e, open_session(path)) for e, path in files[name].items())
        }
        float32 = answers.pop("float32")
        for export, answer in answers.items():
            apart = np.abs(answer - float32).mean() / float32.std(axis=0).mean()
            rows.append([name, export, f"{apart:.4f}"])
    return rows


def speed(files: Files, threads: list[int], rounds: int) -> list[list[str]]:
    rows = [["model", "export", "threads", "least ms", "median ms", "of float32", "MB"]]
    for name, exports in files.items():
        for row in bench(exports, threads=threads, rounds=rounds).rows:
            megabytes = exports[row.model].stat().st_size / 1e6
            times = [
                f"{row.timing.least:.3f}",
                f"{row.timing.median:.3f}",
                f"{row.least_ratio:.2f}",
            ]
            rows.append([name, row.model, str(row.threads), *times, f"{megabytes:.2f}"])
    return rows


def accuracy(
    cascades: dict[str, Path], data: FaceSet, faces: list[Face], split: str
) -> list[list[str]]:
    """NME % of all, and each one's less float32's."""
    found = {
        name: evaluate_faces(OnnxCascade.load(path), data, faces, split)
        for name, path in cascades.items()
    }
    sources = [face.source for face in faces]
    rows = [["stage", "export", "NME % float32", "NME %", "worse by", "95 % from", "to"]]
    for stage in next(iter(found.values())).errors:
        errors = {name: 100 * one.errors[stage].nme for name, one in found.items()}
        float32 = errors.pop("float32")
        for name, int8 in errors.items():
            (less,) = paired_differences(int8[None, :, None], float32[None, :, None], sources)
            assert less is not None
            means = [f"{float32.mean():.4f}", f"{int8.mean():.4f}"]
            interval = (less.mean, less.sources_low, less.sources_high)
            told = ("-" if value is None else f"{value:+.4f}" for value in interval)
            rows.append([stage, name, *means, *told])
    return rows


def chosen_faces(
    data: FaceSet, root: Path | None, split: str | None, seen: int, limit: int | None
) -> list[Face]:
    """Of a split; else of the training photos without those that calibration saw."""
    if split is not None:
        return load_faces(data, root, split, allow_partial=True, limit=limit)
    faces = load_faces(data, root, "train", allow_partial=True)
    sources = {face.source for face in spread(faces, seen)}
    return spread([face for face in faces if face.source not in sources], limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--data-root", default=os.environ.get("GROUPNAS_DATA"))
    parser.add_argument("--split", help="by default training photos that calibration did not see")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--calibration", type=int, default=200, help="faces to calibrate on")
    parser.add_argument("--limit", type=int, help="faces to measure accuracy on")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--layouts", action="store_true", help="int8 in other layouts, too")
    parser.add_argument("--ranges", action="store_true", help="int8 of full range, too")
    options = parser.parse_args()
    data = face_set(options.data)
    root = Path(options.data_root) if options.data_root else None
    box = load_cascade(options.model).box
    seen = list(training_faces(data, root, box, limit=options.calibration, allow_partial=True))
    faces = chosen_faces(data, root, options.split, options.calibration, options.limit)
    with tempfile.TemporaryDirectory() as folder:
        files = export_all(options.model, seen, Path(folder), options.layouts, options.ranges)
        print_table(speed(files, options.threads, options.rounds), numbers=True)
        split = options.split or "train, not seen"
        print(f"\n{options.data}, {split}: {len(faces)} faces")
        given = replace(data, box=box)
        pairs = ((data.read(face), face_box(face, given)) for face in faces[:DIFFERENCES])
        shown = crops_shown(load_cascade(options.model), pairs)
        print_table(differences(files, shown))
        print()
        print_table(accuracy(files["cascade"], data, faces, split), numbers=True)


if __name__ == "__main__":
    main()
