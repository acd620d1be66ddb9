"""``groupnas eval``: what trained cascades score on a data set, as trained or as deployed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from groupnas.cli.options import AllowPartial, AsJson, DataRoot, Flag, Threads, use_threads
from groupnas.cli.output import courtesy, progress_bar
from groupnas.formats import check_folder

if TYPE_CHECKING:
    from groupnas.landmarks.data.face import Face, FaceSet
    from groupnas.landmarks.deployed import Deployed
    from groupnas.landmarks.evaluation import Evaluation

_SHOWN = 12  # faces on a sheet


def evaluate(
    *,
    model: Annotated[list[Path], Parameter(consume_multiple=1, negative="")],
    data: str,
    split: str = "test",
    data_root: DataRoot = None,
    allow_partial: AllowPartial = False,
    normaliser: str | None = None,
    threshold: float | None = None,
    mirrored: Flag = False,
    device: str = "cpu",
    threads: Threads = None,
    out: Path | None = None,
    as_json: AsJson = False,
) -> None:
    """Score a cascade and its stages on the faces of a data set.

    Prints the normalised mean error (NME), failure rate (FR) and area under the cumulative error
    distribution (AUC) of every subset, the error of each part, and of faces the error by head pose.

    Of several models it prints a line each: size, multiply-accumulates, time in ONNX Runtime,
    scores, and the difference of its NME to the first, with its 95 % interval over photos.

    Args:
        model: A trained cascade: its model.json, its folder, or an exported .onnx; or several.
        data: A data set of faces, which `groupnas data list` names, or a data file.
        split: Of the data set.
        normaliser: Divide errors by interocular, interpupil, distance, box, box_longest or
            box_width; the data set's own by default.
        mirrored: Look at every crop and its mirror image, and take the points in between.
        threshold: What is a failure, a fraction: 0.1, of 106 points 0.08.
        device: A torch device.
        threads: CPU threads; torch's choice by default, and 1 of ONNX Runtime.
        out: A folder for scores.json, faces.csv, the CED and the worst faces; of several models,
            for a folder of each.
    """
    from groupnas.landmarks.dataset import face_set
    from groupnas.landmarks.deployed import deployed, labelled
    from groupnas.landmarks.metrics import check_normaliser
    from groupnas.tasks import require_root

    if out is not None:
        check_folder(out, "the scores")
    models = labelled(model)
    faces = face_set(data)
    if normaliser is not None:
        check_normaliser(normaliser, faces.markup)
    root = require_root(faces, data_root)

    from groupnas.landmarks.evaluation import evaluate
    from groupnas.landmarks.locators import load_locator
    from groupnas.runs.begin import origin

    if threads is not None:
        use_threads(threads)
    cascades = {
        name: load_locator(path, mirrored=mirrored, device=device, threads=threads or 1)
        for name, path in models.items()
    }
    found = {
        name: evaluate(
            cascade,
            faces,
            root,
            split,
            allow_partial=allow_partial,
            kind=normaliser,
            threshold=threshold,
            watch=_watched,
        )
        for name, cascade in cascades.items()
    }
    told = {"allow_partial": allow_partial, "mirrored": mirrored}
    scores = {
        name: {"model": str(models[name]), **told, **one.to_dict(), **origin()}
        for name, one in found.items()
    }
    written: list[Path] = []
    if out is not None:
        for name, one in found.items():
            written += _write(one, scores[name], faces, out if len(found) == 1 else out / name)
    with courtesy("the scores were not printed") if written else nullcontext():
        if len(found) == 1:
            (only,) = found
            _print(found[only], scores[only], as_json)
        else:
            cards = {name: cascade.card for name, cascade in cascades.items()}
            beside = deployed(models, cards, found, threads or 1, mirrored)
            if out is not None:
                written += _fronts(beside, out)
            _print_all(beside, scores, models, threads or 1, as_json)
        for path in [] if as_json else written:
            print(path)


def _write(found: Evaluation, scores: object, faces: FaceSet, folder: Path) -> list[Path]:
    from groupnas.landmarks.saved import FACES, SCORES
    from groupnas.writing import write_text

    write_text(folder / SCORES, json.dumps(scores, indent=2) + "\n")
    write_text(folder / FACES, found.to_csv())
    return [folder / SCORES, folder / FACES, *_drawn(found, faces, folder)]


def _fronts(beside: Mapping[str, Deployed], out: Path) -> list[Path]:
    with courtesy("the models' front was not drawn"):
        from groupnas.report.front import FrontPoint, plot_front

        first, *_ = beside.values()
        unit = f"NME, % of {first.evaluation.normaliser}"
        points = [FrontPoint(name, one.scores.nme, one.costs) for name, one in beside.items()]
        return [plot_front(points, out / "front.png", unit=unit)]
    return []


def _print_all(
    beside: Mapping[str, Deployed],
    scores: Mapping[str, Mapping[str, Any]],
    models: Mapping[str, Path],
    threads: int,
    as_json: bool,
) -> None:
    from groupnas.cli.tables import print_table
    from groupnas.landmarks.deployed import rows, times_note
    from groupnas.landmarks.evaluation import how

    first, *_ = beside.values()
    if as_json:
        told = [
            {"name": name, **scores[name], **one.to_dict(), **one.to_first(first)}
            for name, one in beside.items()
        ]
        print(json.dumps(told, indent=2))
        return
    print(how(first.evaluation))
    print_table(rows(beside), numbers=True)
    print(times_note([*models.values()], threads))


def _print(found: Evaluation, scores: object, as_json: bool) -> None:
    from groupnas.cli.tables import print_table
    from groupnas.landmarks import evaluation as evaluating

    if as_json:
        print(json.dumps(scores, indent=2))
        return
    print(evaluating.how(found))
    print_table(evaluating.rows(found), numbers=True)
    if found.markup.is_face:
        print(
            "\nNME % by head pose, in degrees of pitch and yaw estimated from the true landmarks:"
        )
        print_table(evaluating.pose_rows(found), numbers=True)


def _drawn(found: Evaluation, faces: FaceSet, out: Path) -> list[Path]:
    """The pictures of an evaluation, as many as can be drawn."""
    written: list[Path] = []
    with courtesy("the error curves were not drawn"):
        from groupnas.report.ced import plot_ced

        full = found.scores["full"]
        for suffix in (".png", ".svg"):
            path = plot_ced(
                {stage: 100 * errors.nme for stage, errors in found.errors.items()},
                out / f"ced{suffix}",
                limit=100 * found.threshold,
                unit=f"NME, % of {found.normaliser} ({found.data}, {found.split})",
                notes=[f"NME {full[stage].nme:.2f} %, AUC {full[stage].auc:.3f}" for stage in full],
            )
            written.append(path)
    ranked = found.ranked()
    for name, numbers in (("worst", ranked[:_SHOWN]), ("best", ranked[::-1][:_SHOWN])):
        with courtesy(f"the {name} faces were not drawn"):
            from groupnas.landmarks.faces_sheet import error_panels, plot_faces

            panels = [
                replace(panel, title=f"{panel.title}  {found.faces[number].name}")
                for panel, number in zip(error_panels(found, faces, numbers), numbers, strict=True)
            ]
            written.append(plot_faces(panels, out / f"{name}.png"))
    return written


def _watched(faces: Sequence[Face]) -> Iterable[Face]:
    """The faces one by one, under a progress bar."""
    with progress_bar() as progress:
        yield from progress.track(faces, description="Locating landmarks")
