"""The files of evaluations, timings and settings that tables are made of, format by format."""

from __future__ import annotations

import csv
import os
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, model_validator

from groupnas.errors import InputError, shown
from groupnas.files import read_text
from groupnas.landmarks.upgrade import upgraded_recipe
from groupnas.runs.kinds import EVALUATION
from groupnas.runs.records import Count, Finite
from groupnas.saved import Saved

SCORES, FACES = EVALUATION.last, "faces.csv"  # of `groupnas eval`


class StageScores(Saved):
    """The scores of a stage of a cascade on some faces."""

    nme: float | None
    failure_rate: float | None = None
    auc: float | None = None
    tangential: float | None = None
    normal: float | None = None
    faces: Count
    parts: dict[str, float | None] = {}


class PoseScores(Saved):
    """The error at some head poses."""

    low: float
    nme: float | None


class EvaluationFile(Saved):
    """``scores.json``, and what a model's card holds of an evaluation."""

    data: str
    split: str
    normaliser: str
    box: Literal["landmarks", "listed"]
    scores: dict[str, dict[str, StageScores]]
    by_pose: dict[str, list[PoseScores]] = {}  # of faces
    model: str = ""


class LossSettings(Saved):
    """The loss of a step."""

    name: str
    alpha: Finite


class EpochsSettings(Saved):
    """The settings of a training."""

    epochs: Count | None = None


class StageSettings(Saved):
    """A stage of a recipe."""

    grouping: str | None = None
    blend: float = Field(1.0, validation_alias=AliasChoices("blend", "trust"))


class StepSettings(Saved):
    """A step of a recipe."""

    train: str | list[str] | None = None
    training: EpochsSettings | None = None
    loss: LossSettings | None = None
    balance_poses: bool = False


class RecipeSettings(Saved):
    """A recipe as a card records it."""

    stages: dict[str, StageSettings | None] = {}
    steps: dict[str, StepSettings] = {}

    @model_validator(mode="before")
    @classmethod
    def _as_now(cls, data: Any) -> Any:
        return upgraded_recipe(data)


class TrainedSettings(Saved):
    """A training, as a card records it."""

    data: str | None = None
    faces: Count | None = None
    recipe: RecipeSettings | None = None


class CardFile(Saved):
    """A model's card, as far as it is reported."""

    trained: TrainedSettings | None = None
    scores: dict[str, EvaluationFile] | None = None


class Median(Saved):
    """Milliseconds."""

    median: Annotated[Finite, Field(gt=0)]


class TimedModel(Saved):
    """A row of a timing."""

    model: str
    batch: Count
    threads: Count
    timing: Median


class TimingFile(Saved):
    """The file that ``groupnas bench --json`` writes."""

    rows: list[TimedModel]
    machine: str
    runtime: str


class Arguments(Saved):
    """The arguments of a run."""

    recipe: str | None = None


class RunConfig(Saved):
    """``config.yaml`` of a search or a comparison, as far as tables ask for it."""

    strategy: dict[str, Any] | None = None
    strategies: dict[str, dict[str, Any]] | None = None
    training: EpochsSettings | None = None
    arguments: Arguments | None = None


def read_faces(path: str | os.PathLike[str]) -> dict[str, list[Any]]:
    """The columns of ``faces.csv``: names of faces as text, errors in % as numbers.

    Raises:
        InputError: the file cannot be read, or is damaged; it lists at least one face.
    """
    origin = os.fspath(path)
    try:
        rows = list(csv.reader(read_text(path).splitlines()))
    except csv.Error as error:
        raise InputError(f"{origin}: is damaged: {error}; evaluate again") from error
    header, body = (rows[0], rows[1:]) if rows else ([], [])
    if "face" not in header or not body:
        raise InputError(f"{origin}: is damaged: it lists no face; evaluate again")
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise InputError(
                f"{origin}, line {number}: is damaged: expected {len(header)} values, got "
                f"{len(row)}; evaluate again"
            )
    columns: dict[str, list[Any]] = {
        name: [row[at] for row in body] for at, name in enumerate(header)
    }
    for name in columns:
        if name.endswith("_nme"):
            columns[name] = [_number(text, f"{origin}: {name}") for text in columns[name]]
    return columns


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{where}: is damaged: expected a number, got {shown(text)}") from error
