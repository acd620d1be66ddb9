"""``groupnas eval``: what a trained cascade scores on a data set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from groupnas.cli.options import AllowPartial, AsJson, DataRoot, Flag
from groupnas.cli.output import courtesy, progress_bar
from groupnas.formats import check_folder

if TYPE_CHECKING:
    from groupnas.landmarks.data.face import Face, FaceSet
    from groupnas.landmarks.evaluation import Evaluation

_SHOWN = 12  # faces on a sheet


def evaluate(
    *,
    model: Path,
    data: str,
    split: str = "test",
    data_root: DataRoot = None,
    allow_partial: AllowPartial = False,
    normaliser: str | None = None,
    threshold: float | None = None,
    mirrored: Flag = False,
    device: str = "cpu",
    out: Path | None = None,
    as_json: AsJson = False,
) -> None:
    """Score a cascade and its global stage on the faces of a data set.

    Prints the normalised mean error (NME), failure rate (FR) and area under the cumulative error
    distribution (AUC) of every subset, the error of each part, and the error by head pose.

    Args:
        model: A trained cascade: its model.json, or its folder.
        data: A data set of faces; `groupnas data list` names them.
        split: Of the data set.
        normaliser: Divide errors by interocular, interpupil, box, box_longest or box_width; the
            data set's own by default.
        mirrored: Look at every crop and its mirror image, and take the points in between.
        threshold: What is a failure, a fraction: 0.1, of 106 points 0.08.
        device: A torch device.
        out: A folder for scores.json, faces.csv, the CED and the worst faces.
    """
    from groupnas.landmarks.dataset import face_set
    from groupnas.landmarks.metrics import check_normaliser
    from groupnas.tasks import require_root

    if out is not None:
        check_folder(out, "the scores")
    faces = face_set(data)
    if normaliser is not None:
        check_normaliser(normaliser, faces.markup)
    root = require_root(faces, data_root)

    from groupnas.landmarks.evaluation import evaluate
    from groupnas.landmarks.mirrored import looking_twice
    from groupnas.landmarks.model import load_cascade
    from groupnas.runs.begin import origin
    from groupnas.writing import write_text

    cascade = load_cascade(model, device)
    found = evaluate(
        looking_twice(cascade) if mirrored else cascade,
        faces,
        root,
        split,
        allow_partial=allow_partial,
        kind=normaliser,
        threshold=threshold,
        watch=_watched,
    )
    told = {"model": str(model), "allow_partial": allow_partial, "mirrored": mirrored}
    scores = {**told, **found.to_dict(), **origin()}
    if out is None:
        _print(found, scores, as_json)
        return
    write_text(out / "scores.json", json.dumps(scores, indent=2) + "\n")
    write_text(out / "faces.csv", found.to_csv())
    written = [out / "scores.json", out / "faces.csv", *_drawn(found, faces, out)]
    with courtesy("the scores were not printed"):
        _print(found, scores, as_json)
        for path in () if as_json else written:
            print(path)


def _print(found: Evaluation, scores: object, as_json: bool) -> None:
    from groupnas.cli.tables import print_table
    from groupnas.landmarks import evaluation as evaluating

    if as_json:
        print(json.dumps(scores, indent=2))
        return
    print(evaluating.how(found))
    print_table(evaluating.rows(found), numbers=True)
    print("\nNME % by head pose, in degrees of pitch and yaw estimated from the true landmarks:")
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
