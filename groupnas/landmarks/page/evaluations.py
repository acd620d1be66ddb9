"""What ``groupnas eval`` wrote: scores, faces one by one, and pictures."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from groupnas.errors import InputError
from groupnas.landmarks.data.images import read_rgb
from groupnas.landmarks.saved import FACES, SCORES, read_faces
from groupnas.report.page.model import Curve, Picture, Run, Sample, Score
from groupnas.report.page.reading import Reader, flat, is_number, mapping, numbers
from groupnas.report.page.runs import surroundings
from groupnas.runs.begin import BEGUN, again

_PICTURES = {"best.png": "Faces located best", "worst.png": "Faces located worst"}
_WIDTH, _QUALITY = 1200, 80  # pixels and JPEG quality of pictures in the page
_LISTED = 8  # faces named on either side


def collect_evaluation(reader: Reader, name: str) -> Run:
    """An evaluation's folder."""
    told = reader.json(SCORES)
    scores, curves = card_scores({str(told.get("split", "test")): told})
    columns = _faces(reader)
    samples = _samples(told)
    unit = _unit(told)
    stages = [key.removesuffix("_nme") for key in columns if key.endswith("_nme")]
    ranked: list[tuple[float, str]] = []
    for stage in stages:
        errors = columns[f"{stage}_nme"]
        curves += (Curve(samples=samples, network=stage, unit=unit, errors=errors),)
        ranked = sorted(zip(errors, columns["face"], strict=True))  # the last is the cascade's
    parts = tuple(dict.fromkeys(part for score in scores for part in score.errors))
    shown = ("scores", "by_pose", "versions", BEGUN)
    described = {key: told[key] for key in told if key not in shown}
    return Run(
        name=name,
        folder=str(reader.path),
        kind="evaluation",
        state=f"Evaluated on {told.get('faces', 'no')} faces." if told else "Holds no scores.",
        finished=bool(scores),
        groups=tuple(part for part in parts if part != "mean"),
        scores=scores,
        curves=curves,
        best=tuple(Sample(name=face, error=error) for error, face in ranked[:_LISTED]),
        worst=tuple(Sample(name=face, error=error) for error, face in ranked[::-1][:_LISTED]),
        pictures=_pictures(reader),
        settings=flat(described) if described else None,
        data=flat({key: told[key] for key in ("data", "split", "faces") if key in told}) or None,
        environment=surroundings(told),
        commands=again(told, reader.path),
        notes=tuple(reader.notes),
    )


def card_scores(
    evaluations: Mapping[str, Any],
) -> tuple[tuple[Score, ...], tuple[Curve, ...]]:
    """Scores of evaluations as a model's card and ``scores.json`` hold them; no curves.

    Args:
        evaluations: By the split's name.
    """
    found = []
    for told in map(mapping, evaluations.values()):
        for subset, stages in mapping(told.get("scores")).items():
            for stage, score in mapping(stages).items():
                score = mapping(score)
                errors = numbers(score.get("parts"))
                if is_number(score.get("nme")):
                    errors["mean"] = score["nme"]
                count = score.get("faces")
                samples = _samples(told) + ("" if subset == "full" else f"/{subset}")
                if errors:
                    found.append(
                        Score(
                            samples=samples,
                            network=stage,
                            count=count if isinstance(count, int) else None,
                            unit=_unit(told),
                            errors=errors,
                        )
                    )
    return tuple(found), ()


def _samples(told: Mapping[str, Any]) -> str:
    return " ".join(str(told[key]) for key in ("data", "split") if key in told) or "test"


def _unit(told: Mapping[str, Any]) -> str:
    return f"NME, % of {told['normaliser']}" if "normaliser" in told else "NME %"


def _faces(reader: Reader) -> dict[str, list[Any]]:
    """The columns of ``faces.csv``; nothing where it is missing or damaged."""
    if not reader.has(FACES):
        reader.note(FACES, "is missing: no error distribution, and no faces to name")
        return {}
    try:
        columns = read_faces(reader.path / FACES)
    except InputError as error:
        reader.note(FACES, f"is left out: {error}")
        return {}
    errors = [error for key in columns if key.endswith("_nme") for error in columns[key]]
    if not all(map(math.isfinite, errors)):
        reader.note(FACES, "is left out: an error is not finite")
        return {}
    return columns


def _pictures(reader: Reader) -> tuple[Picture, ...]:
    found = []
    for name, title in _PICTURES.items():
        if not reader.has(name):
            reader.note(name, "is missing: faces are shown only where the run folder has pictures")
            continue
        try:
            found.append(Picture(title=title, uri=_embedded(reader.path / name)))
        except InputError as error:
            reader.note(name, f"cannot be shown: {error}")
    return tuple(found)


def _embedded(path: Path) -> str:
    """A picture small enough for a page, as a data URI."""
    small = Image.fromarray(read_rgb(path))
    small.thumbnail((_WIDTH, 4 * _WIDTH))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
