"""A cascade on the faces of a data set: what it finds, and what that scores."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from groupnas.errors import InputError
from groupnas.landmarks.boxes import check_fits, face_box, normalisers
from groupnas.landmarks.data.face import BoxPolicy, Face, FaceSet
from groupnas.landmarks.load import check_marked, load_faces
from groupnas.landmarks.located import ASTRAY, FacePair, Located, Points
from groupnas.landmarks.markup import Markup, check_same_points, is_shipped
from groupnas.landmarks.metrics import THRESHOLD, Errors, Scores, in_words, measure
from groupnas.landmarks.pose import pose_angles

CASCADE = "cascade"  # what the last stage's answer is called, which is the cascade's
FULL = "full"  # what all faces of a split are called beside its subsets
_THRESHOLDS = {106: 0.08}  # of markups that are not scored at THRESHOLD


class BatchLocator(Protocol):
    """A model that can be evaluated, as :func:`groupnas.landmarks.locators.load_locator` reads."""

    @property
    def markup(self) -> Markup: ...
    @property
    def box(self) -> BoxPolicy: ...
    def locate_many(self, faces: Iterable[FacePair]) -> Located: ...


@dataclass(frozen=True)
class Evaluation:
    """Every face's true and found landmarks, and the scores.

    Attributes:
        data: The data set.
        split: Of it.
        faces: The N faces.
        markup: Their landmarks.
        box: The policy behind the boxes that the cascade was given.
        normaliser: What errors are divided by, one of
            :data:`groupnas.landmarks.metrics.NORMALISERS`.
        threshold: What counts as failure, as a fraction of that.
        subsets: Names of the split's subsets.
        located: Landmarks ``(N, K, 2)`` after each stage, by its name; after the last, those of the
            :data:`CASCADE`.
        errors: Of each stage.
    """

    data: str
    split: str
    faces: tuple[Face, ...]
    markup: Markup
    box: BoxPolicy
    normaliser: str
    threshold: float
    subsets: tuple[str, ...]
    located: Mapping[str, Points]
    errors: Mapping[str, Errors]

    @cached_property
    def angles(self) -> Points:
        """Rough pitch, yaw and roll ``(N, 3)`` of the true landmarks, in degrees."""
        return pose_angles(np.stack([face.points for face in self.faces]), self.markup)

    @cached_property
    def scores(self) -> dict[str, dict[str, Scores]]:
        """By subset and stage; all faces come first, and a subset without a face is left out."""
        members = {FULL: np.ones(len(self.faces), bool)}
        for subset in self.subsets:
            members[subset] = np.array([subset in face.subsets for face in self.faces])
        return {
            subset: {
                stage: errors.scores(chosen, self.threshold)
                for stage, errors in self.errors.items()
            }
            for subset, chosen in members.items()
            if chosen.any()
        }

    def to_dict(self) -> dict[str, Any]:
        """Scores and how they were measured, as JSON holds them; ``by_pose`` of faces alone."""
        told = {
            "data": self.data,
            "split": self.split,
            "faces": len(self.faces),
            "box": self.box,
            "normaliser": self.normaliser,
            "threshold": self.threshold,
            "scores": {
                subset: {stage: asdict(scores) for stage, scores in stages.items()}
                for subset, stages in self.scores.items()
            },
        }
        if self.markup.is_face:
            turned = np.abs(self.angles[:, :2]).sum(axis=1)
            told["by_pose"] = {
                stage: [asdict(bin) for bin in errors.by_pose(turned)]
                for stage, errors in self.errors.items()
            }
        return told

    def to_csv(self) -> str:
        """One line a face: errors of each stage in %, any pose in degrees, 1 for its subsets."""
        columns: dict[str, Sequence[Any]] = {"face": [face.name for face in self.faces]}
        for stage, errors in self.errors.items():
            for name, values in {"nme": errors.nme, **errors.parts}.items():
                columns[f"{stage}_{name}"] = [f"{100 * value:.4f}" for value in values]
        turns = ("pitch", "yaw", "roll") if self.markup.is_face else ()
        for name, angles in zip(turns, self.angles.T if turns else (), strict=True):
            columns[name] = [f"{angle:.1f}" for angle in angles]
        for subset in self.subsets:
            columns[subset] = [int(subset in face.subsets) for face in self.faces]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        return text.getvalue()

    def ranked(self) -> list[int]:
        """The faces' numbers, by the cascade's error, the worst first."""
        return [int(number) for number in np.argsort(-self.errors[CASCADE].nme, kind="stable")]


def evaluate(
    cascade: BatchLocator,
    data: FaceSet,
    root: Path | None,
    split: str = "test",
    *,
    allow_partial: bool = False,
    kind: str | None = None,
    threshold: float | None = None,
    watch: Callable[[Sequence[Face]], Iterable[Face]] = iter,
) -> Evaluation:
    """Run a cascade over the faces of one split and measure what it finds.

    The cascade is given each face's box by its own policy, whatever the data set's is.

    Args:
        cascade: What is evaluated.
        data: The data set.
        root: The folder that holds the data set's folder; ``None`` where it needs no files.
        split: Of the data set.
        allow_partial: Go on with the faces that are there, if not all are.
        kind: The normaliser; left out, the data set's own.
        threshold: What counts as failure; left out, 0.1, and 0.08 for 106 points.
        watch: Passes the faces on as they are read, such as a progress bar.

    Raises:
        InputError: the landmarks are not those that the cascade finds, there is no such split, a
            face lacks the box that is needed, has landmarks far outside its image or nothing to
            divide its errors by, the model answers with what is no number, or the data set's files
            are missing or damaged.
    """
    faces = load_faces(data, root, split, allow_partial=allow_partial)
    if not faces:
        raise InputError(f"{data.name}: the split {split!r} has no faces here")
    return evaluate_faces(cascade, data, faces, split, kind=kind, threshold=threshold, watch=watch)


def evaluate_faces(
    cascade: BatchLocator,
    data: FaceSet,
    faces: Sequence[Face],
    split: str,
    *,
    kind: str | None = None,
    threshold: float | None = None,
    watch: Callable[[Sequence[Face]], Iterable[Face]] = iter,
) -> Evaluation:
    """Do as :func:`evaluate`, on one or more faces of a data set, which are called ``split``."""
    check_same_points(data.name, data.markup, cascade.markup)
    if threshold is not None and not 0 < threshold <= 1:
        raise InputError(f"threshold: expected a fraction, above 0 and up to 1, got {threshold}")
    kind = kind or data.normaliser
    faces = tuple(check_marked(faces))
    truth = np.stack([face.points for face in faces])
    distance = normalisers(faces, data, kind)
    given = replace(data, box=cascade.box)

    def pairs() -> Iterator[FacePair]:
        for face in watch(faces):
            image = data.read(face)
            check_fits(face, given, (image.shape[1], image.shape[0]))
            yield image, face_box(face, given)

    found = cascade.locate_many(pairs())
    located = {**dict([*found.stages.items()][:-1]), CASCADE: found.points}
    for stage, points in located.items():
        for number in np.flatnonzero(~np.isfinite(points).all(axis=(1, 2))):
            raise InputError(f"{faces[number].place}, {stage}: {ASTRAY}")
    return Evaluation(
        data=data.name,
        split=split,
        faces=faces,
        markup=data.markup,
        box=cascade.box,
        normaliser=kind,
        threshold=threshold or _threshold(data.markup),
        subsets=tuple(data.subsets.get(split, ())),
        located=located,
        errors={
            stage: measure(points, truth, distance, data.markup)
            for stage, points in located.items()
        },
    )


def rows(evaluation: Evaluation) -> list[list[str]]:
    """The table of scores: a line for each subset and stage, under the columns' names."""
    limit = f"{evaluation.threshold:g}"
    markup = evaluation.markup
    regions, ways = [*markup.scored], ["along", "across"] if markup.boundaries else []
    header = ["subset", f"{markup.whole}s", "stage", "NME %", f"FR@{limit} %", f"AUC@{limit}"]
    header += [region.replace("_", " ") for region in regions] + ways
    lines = [header]
    for subset, stages in evaluation.scores.items():
        for stage, scores in stages.items():
            lines.append(
                [
                    subset,
                    f"{scores.faces:,}",
                    stage,
                    f"{scores.nme:.2f}",
                    f"{scores.failure_rate:.2f}",
                    f"{scores.auc:.4f}",
                    *(f"{scores.parts[region]:.2f}" for region in regions),
                    *[_or_dash(value) for value in (scores.tangential, scores.normal)][: len(ways)],
                ]
            )
    return lines


def pose_rows(evaluation: Evaluation) -> list[list[str]]:
    """NME by head pose (Table XII): a column for each 10 degrees of pitch plus yaw.

    Raises:
        InputError: of what is no face.
    """
    if not evaluation.markup.is_face:
        raise InputError(f"{evaluation.data}: {evaluation.markup.name} has no head pose")
    by_pose = evaluation.to_dict()["by_pose"]
    bins = next(iter(by_pose.values()))
    names = [f"{b['low']}-{b['high']}" if b["high"] else f">={b['low']}" for b in bins]
    return [
        ["pitch + yaw", *names],
        ["faces", *(f"{b['faces']:,}" for b in bins)],
        *([stage, *(_or_dash(b["nme"]) for b in bins)] for stage, bins in by_pose.items()),
    ]


def how(evaluation: Evaluation) -> str:
    """One line that belongs to every table of scores: how they were measured."""
    box = {"landmarks": "the extent of the true landmarks", "listed": "as the data set lists it"}
    return (
        f"{evaluation.data}, {evaluation.split}: {len(evaluation.faces):,} "
        f"{evaluation.markup.whole}s. Errors in % of "
        f"{evaluation.normaliser}, the {in_words(evaluation.normaliser, evaluation.markup)}; "
        f"{evaluation.markup.whole} box: {box[evaluation.box]}."
    )


def _threshold(markup: Markup) -> float:
    return _THRESHOLDS.get(markup.points, THRESHOLD) if is_shipped(markup) else THRESHOLD


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
