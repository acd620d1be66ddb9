"""Figures of evaluations: errors by subset, metric, loss and head pose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from groupnas.errors import InputError
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.paper.definition import Protocol, PublishedLoss
from groupnas.landmarks.paper.runs import Evaluated, Runs
from groupnas.landmarks.paper.values import Answer, Question, TableRow, Value, among

_FULL = "full"
_TRAINING = ("validation", "train")  # splits that are no test
_METRICS = ("nme", "failure_rate", "auc", "tangential", "normal")


def evaluation(runs: Runs, question: Question) -> Answer:
    """Scores of cascades; every figure is the first that an evaluation has, the best match first.

    Rows are a cascade's stages, metrics, or the losses of global networks; columns are subsets,
    metrics or head poses. Evaluations of the paper's networks come before those of others, then
    those on the table's own test set before those on faces held out of training, and both before
    those on other data with the same landmarks.
    """
    answer = Answer()
    read = _ROWS[question.measured.rows]
    for one in _matching(runs, question):
        for key in question.keys:
            row = answer.rows.setdefault(key, {})
            found = read(one, key, question)
            if found.keys() - row.keys():
                answer.used[str(one.path)] = None
            answer.rows[key] = {**found, **row}
    return answer


def _matching(runs: Runs, question: Question) -> list[Evaluated]:
    protocol = question.protocol
    points = protocol.points if protocol else None
    same = [one for one in runs.evaluations if one.data == question.definition.data]
    other = [
        one
        for one in runs.evaluations
        if points and one not in same and _points(one.data) == points
    ]
    found = [*sorted(same, key=_is_training), *sorted(other, key=_is_training)]
    return sorted(found, key=lambda one: protocol is not None and _other(one, protocol) is not None)


def _points(data: str) -> int | None:
    """Return a data set's number of landmarks; ``None`` where its package is not installed now."""
    with suppress(InputError):
        return face_set(data).markup.points
    return None


def _other(one: Evaluated, protocol: Protocol) -> str | None:
    """Return the space of a cascade's first network, if it is known and none of the paper's."""
    (first, *_) = _settings(one) or [{}]
    space = str(first.get("space", "")).partition(":")[0]
    return None if not space or space in protocol.spaces else space


def _is_training(one: Evaluated) -> bool:
    return one.split in _TRAINING


def _by_stage(one: Evaluated, key: str, question: Question) -> TableRow:
    if key not in ("global", "cascade"):
        return {}
    if question.measured.columns == "pose":
        return _by_pose(one, key, question)
    return _by_subset(one, key, "nme", question)


def _by_metric(one: Evaluated, key: str, question: Question) -> TableRow:
    return _by_subset(one, question.measured.stage, key, question)


def _by_loss(one: Evaluated, key: str, question: Question) -> TableRow:
    """The row of one weight of the tangential direction; 1 is the plain loss."""
    stage = question.measured.stage
    loss = _loss(one, stage)
    if loss is None or loss.alpha != float(key.lstrip("d")):
        return {}
    scores = _scores(one, _FULL, strict=False)
    notes = _notes(one, question, stage, scores, _FULL, loss=False)
    if loss.name != "wing":
        notes = (*notes, f"of {loss.name}, not Wing")
    return _row({name: (scores or {}).get(stage, {}).get(name) for name in _METRICS}, notes)


def _by_subset(one: Evaluated, stage: str, metric: str, question: Question) -> TableRow:
    row: TableRow = {}
    for column in question.columns:
        scores = _scores(one, column, strict=True)
        figure = (scores or {}).get(stage, {}).get(metric)
        row.update(_row({column: figure}, _notes(one, question, stage, scores, column)))
    return row


def _by_pose(one: Evaluated, stage: str, question: Question) -> TableRow:
    bins = {str(bin_["low"]): bin_["nme"] for bin_ in one.told.get("by_pose", {}).get(stage, ())}
    scores = _scores(one, _FULL, strict=False)
    notes = _notes(one, question, stage, scores, _FULL)
    return _row({column: bins.get(column) for column in question.columns}, notes)


_ROWS: Mapping[str, Callable[[Evaluated, str, Question], TableRow]] = {
    "stage": _by_stage,
    "metric": _by_metric,
    "loss": _by_loss,
}


def _row(figures: Mapping[str, Any], notes: tuple[str, ...]) -> TableRow:
    return {name: Value(float(x), notes=notes) for name, x in figures.items() if x is not None}


def _scores(one: Evaluated, subset: str, *, strict: bool) -> Mapping[str, Any] | None:
    """Scores of a subset by stage: a split may be one (300W's common), or have it.

    Where a split is but a subset, it stands for the full set only if that is not ``strict``.
    """
    scores: Mapping[str, Any] = one.told["scores"]
    if one.split == subset or not strict:
        return scores.get(_FULL)
    if subset == _FULL and one.split not in ("test", *_TRAINING):
        return None
    return scores.get(subset)


def _notes(
    one: Evaluated,
    question: Question,
    stage: str,
    scores: Mapping[str, Any] | None,
    subset: str,
    *,
    loss: bool = True,
) -> tuple[str, ...]:
    """Say how what was measured differs from what the paper measured."""
    protocol = question.protocol
    if not scores or stage not in scores or protocol is None:
        return ()
    faces = int(scores[stage]["faces"])
    data = []
    if one.data != question.definition.data:
        data.append(f"{faces:,} faces of {one.data}, not {question.definition.data}")
    elif _is_training(one):
        data.append(f"{faces:,} faces held out of training, not the test faces")
    else:
        data.append(among(faces, protocol.faces.get(subset), _called(one, subset)))
    trained = one.trained.get("faces")
    if trained and one.trained.get("data") == question.definition.data:
        data.append(among(trained, protocol.faces["train"], "training faces"))
    data = [text for text in data if text]
    notes = [f"other data: {'; '.join(data)}"] if data else []
    differing = _differing(one, protocol, stage, loss=loss)
    return (*notes, f"other protocol: {'; '.join(differing)}") if differing else tuple(notes)


def _called(one: Evaluated, subset: str) -> str:
    """Return what the faces of a subset are called; a split that is but one says so."""
    if subset != _FULL:
        return f"{subset} faces"
    return "test faces" if one.split == "test" else f"test faces, all of them {one.split}"


def _differing(one: Evaluated, protocol: Protocol, stage: str, *, loss: bool) -> list[str]:
    """Say what was done otherwise than the paper says, and what it does not say."""
    told = []
    if one.told["normaliser"] != protocol.normaliser:
        told.append(f"errors divided by {one.told['normaliser']} (paper: {protocol.normaliser})")
    if other := _other(one, protocol):
        told.append(f"of the network {other} (paper: {protocol.spaces[0]})")
    settings = _settings(one)
    if stage == "global" and one.trained.get("global_from"):
        return [*told, "the global network is another model's: how it was trained is not known"]
    if not settings:
        return [*told, "how the model was trained is not known here"]
    if stage == "global":
        settings = settings[:1]
    expected = protocol.epochs[: len(settings)]
    epochs = tuple((stage_.get("training") or {}).get("epochs") for stage_ in settings)
    if epochs != expected:
        told.append(f"trained for {_listed(epochs)} epochs (paper: {_listed(expected)})")
    losses = [_loss_of(stage_) for stage_ in settings]
    if loss and any(found != protocol.loss for found in losses):
        told.append(f"on {_listed(map(_loss_text, losses))} (paper: {_loss_text(protocol.loss)})")
    balanced = [bool(stage_.get("balance_poses")) for stage_ in settings]
    if any(found != protocol.balance_poses for found in balanced):
        words = ("not balanced", "balanced")
        told.append(f"poses {words[any(balanced)]} (paper: {words[protocol.balance_poses]})")
    if stage == "cascade":
        told += _local_differing(settings[-1], protocol.search_epochs is not None)
    box = {"landmarks": "boxes of faces from their true landmarks", "listed": "listed boxes"}
    return [*told, f"{box[one.told['box']]} (the paper does not say)"]


def _local_differing(settings: Mapping[str, Any], searched: bool) -> list[str]:
    """Say the same of what only the last stage has: its groups, and its share of the answer."""
    told = []
    grouping = str(settings.get("grouping", ""))
    found = grouping.startswith("gumbel") or grouping.endswith(".json")
    if searched and grouping and not found:
        told.append(f"{grouping} groups (paper: searched)")
    blend = settings.get("blend", settings.get("trust", 1.0))  # as recipes called it once
    if blend != 1.0:
        told.append(f"local stage weighted {blend} (paper: 1)")
    return told


def _loss(one: Evaluated, stage: str) -> PublishedLoss | None:
    settings = _settings(one)
    if not settings or (stage == "global" and one.trained.get("global_from")):
        return None
    return _loss_of(settings[0 if stage == "global" else -1])


def _settings(one: Evaluated) -> list[Mapping[str, Any]]:
    """What the recipe says of each stage, with the last step that trains it."""
    recipe = one.trained.get("recipe") or {}
    stages: Mapping[str, Any] = recipe.get("stages") or {}
    found = {name: {**(stage or {})} for name, stage in stages.items()}
    for name, step in (recipe.get("steps") or {}).items():
        train = step.get("train") or name
        for stage in [train] if isinstance(train, str) else train:
            found.setdefault(stage, {}).update(step)
    return [*found.values()]


def _loss_of(settings: Mapping[str, Any]) -> PublishedLoss | None:
    found = settings.get("loss")
    return PublishedLoss(name=found["name"], alpha=found["alpha"]) if found else None


def _loss_text(loss: PublishedLoss | None) -> str:
    if loss is None:
        return "an unknown loss"
    return loss.name if loss.alpha == 1 else f"D-Loss {loss.alpha:g} of {loss.name}"


def _listed(things: Any) -> str:
    return " and ".join(str(thing) for thing in things)
