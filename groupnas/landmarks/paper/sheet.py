"""Faces of an evaluation, found again by its model and drawn with their true landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from groupnas.errors import InputError
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.faces_sheet import SheetImage, faces_figure
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.paper.runs import Evaluated
from groupnas.palette import WARNING
from groupnas.report.figure import save, styled
from groupnas.tasks import require_root


def plot_sheet(one: Evaluated, names: Sequence[str], expected: str, path: Path) -> None:
    """Draw some faces by name, in that order; data other than ``expected`` is named on the sheet.

    Raises:
        InputError: the faces are not under the data root (``GROUPNAS_DATA``), or the model's
            weights are damaged.
    """
    # torch is needed from here on only
    from groupnas.landmarks.evaluation import evaluate_faces
    from groupnas.landmarks.model import load_cascade

    data = face_set(one.data)
    root = require_root(data)
    partial = bool(one.told.get("allow_partial"))
    known = {face.name: face for face in load_faces(data, root, one.split, allow_partial=partial)}
    if gone := [name for name in names if name not in known]:
        raise InputError(f"{one.path}: face {gone[0]} is not in {one.data} under {root}")
    faces = [known[name] for name in names]
    assert one.model is not None
    found = evaluate_faces(
        load_cascade(one.model), data, faces, one.split, kind=one.told["normaliser"]
    )
    curves = [(boundary.points, boundary.closed) for boundary in data.markup.boundaries]
    panels = [
        SheetImage(
            title=f"{100 * error:.2f} %",
            image=data.read(face),
            truth=face.points,
            found=located,
            curves=curves,
        )
        for face, error, located in zip(
            faces, found.errors["cascade"].nme, found.located["cascade"], strict=True
        )
    ]
    with styled():
        figure = faces_figure(panels)
        if one.data != expected:
            text = f"{one.data}, not {expected}"
            figure.text(0.99, 0.995, text, ha="right", va="top", color=WARNING, fontsize=6.5)
    save(figure, path)
