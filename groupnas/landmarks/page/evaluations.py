"""The folder that ``groupnas eval`` writes: scores, faces one by one, and pictures."""

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
from groupnas.report.page.model import ErrorCurve, PageRun, Picture, Sample, Score
from groupnas.report.page.reading import Reader, flat, mapping, surroundings
from groupnas.runs.begin import BEGUN, again
from groupnas.runs.fields import numbers

_PICTURES = {"best.png": "Faces located best", "worst.png": "Faces located worst"}
_WIDTH, _QUALITY = 1200, 80  # pixels and JPEG quality of pictures in the page
_LISTED = 8  # faces named on either side


def collect_evaluation(reader: Reader, name: str) -> PageRun:
    """An evaluation's folder."""
    told = reader.json(SCORES)
    scores = card_scores({str(told.get("split", "test")): told})
    columns = reader.read(FACES, _faces, "no error distribution, and no faces to name") or {}
    curves = tuple(
        ErrorCurve(
            samples=_samples(told), network=key.removesuffix("_nme"), unit=_unit(told), errors=e
        )
        for key, e in columns.items()
        if key.endswith("_nme")
    )
    # The last is the cascade's
    ranked = sorted(zip(curves[-1].errors, columns["face"], strict=True)) if curves else []
    groups = dict.fromkeys(group for score in scores for group in score.errors)
    shown = ("scores", "by_pose", "versions", BEGUN)
    settings = {key: told[key] for key in told if key not in shown}
    return PageRun(
        name=name,
        folder=str(reader.path),
        kind="evaluation",
        state=f"Evaluated on {told.get('faces', 'no')} faces." if told else "Holds no scores.",
        finished=bool(scores),
        groups=tuple(group for group in groups if group != "mean"),
        scores=scores,
        curves=curves,
        best=tuple(Sample(name=face, error=error) for error, face in ranked[:_LISTED]),
        worst=tuple(Sample(name=face, error=error) for error, face in ranked[::-1][:_LISTED]),
        pictures=_pictures(reader),
        settings=flat(settings) or None,
        data=flat({key: told[key] for key in ("data", "split", "faces") if key in told}) or None,
        environment=surroundings(told),
        commands=again(told, reader.path),
        notes=tuple(reader.notes),
    )


def card_scores(evaluations: Mapping[str, Any]) -> tuple[Score, ...]:
    """Scores of evaluations as a model's card and ``scores.json`` hold them.

    Args:
        evaluations: By the split's name.
    """
    found = []
    for told in map(mapping, evaluations.values()):
        for subset, stages in mapping(told.get("scores")).items():
            for stage, score in mapping(stages).items():
                score = mapping(score)
                errors = numbers({**mapping(score.get("parts")), "mean": score.get("nme")})
                count = score.get("faces")
                if errors:
                    found.append(
                        Score(
                            samples=_samples(told) + ("" if subset == "full" else f"/{subset}"),
                            network=stage,
                            count=count if isinstance(count, int) else None,
                            unit=_unit(told),
                            errors=errors,
                        )
                    )
    return tuple(found)


def _samples(told: Mapping[str, Any]) -> str:
    return " ".join(str(told[key]) for key in ("data", "split") if key in told) or "test"


def _unit(told: Mapping[str, Any]) -> str:
    return f"NME, % of {told['normaliser']}" if "normaliser" in told else "NME %"


def _faces(path: Path) -> dict[str, list[Any]]:
    """The columns of ``faces.csv``."""
    columns = read_faces(path)
    errors = [error for key in columns if key.endswith("_nme") for error in columns[key]]
    if not all(map(math.isfinite, errors)):
        raise InputError(f"{path}: an error is not finite")
    return columns


def _pictures(reader: Reader) -> tuple[Picture, ...]:
    otherwise = "faces are shown only where the run folder has pictures"
    uris = {title: reader.read(name, embedded, otherwise) for name, title in _PICTURES.items()}
    return tuple(Picture(title=title, uri=uri) for title, uri in uris.items() if uri)


def embedded(path: Path) -> str:
    """A picture small enough for a page, as a data URI."""
    small = Image.fromarray(read_rgb(path))
    small.thumbnail((_WIDTH, 4 * _WIDTH))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
