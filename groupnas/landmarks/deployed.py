"""Models side by side: what each takes, on disk and in time, and what it scores."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groupnas.accountant import flops
from groupnas.comparison.statistics import Difference, paired_differences
from groupnas.deploy.bench import bench
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.landmarks.evaluation import CASCADE, FULL, Evaluation
from groupnas.landmarks.locators import is_exported
from groupnas.landmarks.metrics import Scores
from groupnas.landmarks.model import Card, card_file
from groupnas.runs.kinds import CASCADE as CASCADE_RUN
from groupnas.schema import validate
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace


def labelled(models: Sequence[Path]) -> dict[str, Path]:
    """Models by what tables and folders call them: the ends of their paths, numbered if alike.

    Raises:
        InputError: one is there twice.
    """
    found: dict[str, Path] = {}
    for path in models:
        whole = path.resolve()
        if whole in map(Path.resolve, found.values()):
            raise InputError(f"{path}: is there twice; give each model once")
        own = whole.parent.name if whole.name == CASCADE_RUN.last else whole.name
        stem = own.removesuffix(".onnx").removesuffix(".json") or "model"
        label, number = stem, 1
        while label in found:
            number += 1
            label = f"{stem}-{number}"
        found[label] = path
    return found


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A model and what it takes.

    Attributes:
        size: Bytes of an ONNX file, or of the weights beside a card.
        macs: Multiply-accumulates of its networks, for a face.
        ms: Milliseconds from a photo of 480 x 640 pixels and a box to points, the median in ONNX
            Runtime, all files in turns; ``None`` of a card.
        evaluation: On the faces that all models are evaluated on.
    """

    size: int
    macs: int
    ms: float | None
    evaluation: Evaluation

    @property
    def scores(self) -> Scores:
        """Of the cascade, on all faces."""
        return self.evaluation.scores[FULL][CASCADE]

    @property
    def costs(self) -> dict[str, float]:
        """What it takes, as pictures name it."""
        return {"M MACs": self.macs / 1e6} | ({} if self.ms is None else {"ms": self.ms})

    def to_dict(self) -> dict[str, Any]:
        """What it takes, as JSON holds it."""
        return {"bytes": self.size, "macs": self.macs, "ms": self.ms}

    def to_first(self, first: Deployed) -> dict[str, Any]:
        """The difference of its error to another's, as JSON holds it."""
        return {"difference": difference(self.evaluation, first.evaluation).to_dict()}


def deployed(
    models: Mapping[str, Path],
    cards: Mapping[str, Mapping[str, Any]],
    evaluations: Mapping[str, Evaluation],
    threads: int,
    mirrored: bool = False,
) -> dict[str, Deployed]:
    """Measure what models take whose scores are known, all by name.

    Args:
        models: Cards, folders and ONNX files.
        cards: The same models' cards.
        evaluations: Of the same models.
        threads: Of ONNX Runtime.
        mirrored: Whether all stages looked twice.
    """
    files = {name: path for name, path in models.items() if is_exported(path)}
    timed = bench(files, threads=[threads]).rows if files else ()
    took = {row.model: row.timing.median for row in timed}
    return {
        name: Deployed(
            size=os.path.getsize(
                path if name in files else card_file(path).with_suffix(".safetensors")
            ),
            macs=cascade_macs(validate(Card, dict(cards[name]), os.fspath(path)), mirrored),
            ms=took.get(name),
            evaluation=evaluations[name],
        )
        for name, path in models.items()
    }


def cascade_macs(card: Card, mirrored: bool = False) -> int:
    """Multiply-accumulates of a cascade's networks for a face; see :func:`cascade_costs`."""
    return sum(cascade_costs(card, mirrored).values())


def cascade_costs(card: Card, mirrored: bool = False) -> dict[str, int]:
    """The same for each group of any stage; of a stage that looks twice, twice.

    ``mirrored`` is as of :func:`groupnas.landmarks.mirrored.looking_twice`.
    """
    costs: dict[str, int] = {}
    for stage in card.stages.values():
        space = SearchSpace.from_file(stage.space, stage.name, stage.variant)
        table = flops(Allocation(space, Grouping.from_dict(stage.grouping)))
        for group, macs in table.per_group.items():
            costs[group] = costs.get(group, 0) + (2 if mirrored else stage.looks) * macs
    return costs


def rows(models: Mapping[str, Deployed]) -> list[list[str]]:
    """A line for each model under the columns' names; differences are to the first."""
    first, *_ = models.values()
    regions = [*first.evaluation.markup.scored]
    limit = f"{first.evaluation.threshold:g}"
    header = ["model", "MB", "M MACs", "ms", "NME %", "to the first", f"FR@{limit} %"]
    header += [f"AUC@{limit}", *(region.replace("_", " ") for region in regions)]
    lines = [header]
    for name, model in models.items():
        scores = model.scores
        lines.append(
            [
                name,
                f"{model.size / 1e6:.2f}",
                f"{model.macs / 1e6:.1f}",
                "-" if model.ms is None else f"{model.ms:.2f}",
                f"{scores.nme:.2f}",
                "" if model is first else _apart(model.evaluation, first.evaluation),
                f"{scores.failure_rate:.2f}",
                f"{scores.auc:.4f}",
                *(f"{scores.parts[region]:.2f}" for region in regions),
            ]
        )
    return lines


def difference(mine: Evaluation, other: Evaluation) -> Difference:
    """Of the errors on the same faces, in %, with its interval over photos."""
    errors, base = (100 * one.errors[CASCADE].nme[None, :, None] for one in (mine, other))
    (found,) = paired_differences(errors, base, [face.source for face in mine.faces])
    assert found is not None  # every face has an error
    return found


def _apart(mine: Evaluation, other: Evaluation) -> str:
    found, base = difference(mine, other), 100 * float(np.mean(other.errors[CASCADE].nme))
    text = f"{found.mean / base:+.1%}"
    if found.sources_low is None or found.sources_high is None:
        return text
    return f"{text} [{100 * found.sources_low / base:+.1f}, {100 * found.sources_high / base:+.1f}]"


def times_note(models: Sequence[Path], threads: int) -> str:
    """One line on the times in a table of models."""
    if not any(map(is_exported, models)):
        return "ms: none; ONNX files are timed (groupnas export)."
    return (
        f"ms: from photo and box to points in ONNX Runtime, threads: {threads}; the median of all "
        "files in turns. A card's networks are not timed."
    )
