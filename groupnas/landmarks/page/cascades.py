"""A trained cascade: the stages' folders, and the model's card."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.landmarks.page.evaluations import card_scores
from groupnas.landmarks.upgrade import step_names, upgraded_card, upgraded_recipe
from groupnas.report.page.model import PageRun
from groupnas.report.page.networks import cost, network
from groupnas.report.page.reading import Reader, mapping
from groupnas.runs.folder import CONFIG, FOUND, INITIAL
from groupnas.runs.kinds import CASCADE
from groupnas.schema import validate
from groupnas.spaces.schema import SpaceFile
from groupnas.spaces.space import SearchSpace


def collect_cascade(reader: Reader, name: str) -> PageRun:
    """The folder that ``groupnas train`` writes: its stages, and the model once there is one."""
    resume = shlex.join(["groupnas", "train", "--resume", "--out", str(reader.path)])
    card = reader.json(CASCADE.last, f"the training has not ended; to go on: {resume}")
    inside = {step: reader.inside(step) for step in _folders(reader)}
    begun = {step: one for step, one in inside.items() if one.has(CONFIG)}
    stages = mapping(upgraded_card(card).get("stages"))
    networks = {stage: _network(reader, stages, stage) for stage in stages}
    space, grouping = [(None, None), *networks.values()][-1]
    groupings: list[tuple[str, Grouping | None]] = [("trained", grouping)]
    search = ([None] + [one for step, one in begun.items() if step.startswith("search")])[-1]
    if search:
        start, found = search.grouping(INITIAL), search.grouping(FOUND)
        groupings = [("initial", start), ("found", found), *groupings]
        space = space or search.space
    drawn = network([(title, g) for title, g in groupings if g is not None], space, search)
    scores = card_scores(mapping(card.get("scores")))
    costs = [cost(f"{stage} network", *pair) for stage, pair in networks.items()]
    run = reader.run(
        name,
        "cascade",
        drawn,
        state=_state(reader, card, begun),
        finished=bool(card),
        costs=tuple(filter(None, costs)),
        charts=tuple(
            replace(chart, title=f"{stage}: {chart.title}")
            for stage, inside in begun.items()
            for chart in inside.charts
        ),
        health=tuple(
            (f"{stage}, {when}", text)
            for stage, inside in begun.items()
            for when, text in inside.health or ()
        ),
        scores=scores,
    )
    environments = [inside.environment for inside in begun.values()][::-1]
    return replace(
        run,
        data=run.data or _data(begun, card),
        environment={**next(filter(None, environments), {}), **(run.environment or {})} or None,
        notes=tuple(reader.notes),
    )


def _state(reader: Reader, card: Mapping[str, Any], begun: Mapping[str, Reader]) -> str:
    stages = " ".join(
        f"{stage.capitalize()} stage: {inside.state}" for stage, inside in begun.items()
    )
    if card:
        return f"The model is written. {stages}".strip()
    if reader.has(CASCADE.last):
        return f"The model's card cannot be read. {stages}".strip()
    return f"The model is not written yet. {stages or 'No stage has begun.'}"


def _folders(reader: Reader) -> list[str]:
    """Steps and searches; these stand before the last step."""
    recipe = mapping(reader.config.get("recipe"))
    steps, stages = step_names(recipe), mapping(mapping(upgraded_recipe(recipe)).get("stages"))
    return [*steps[:-1], "search", *(f"search-{stage}" for stage in stages), *steps[-1:]]


def _network(
    reader: Reader, stages: Mapping[str, Any], name: str
) -> tuple[SearchSpace | None, Grouping | None]:
    """Space and grouping of a stage as the card holds them, in full."""
    stage = mapping(stages[name])
    if not stage:
        return None, None
    try:
        origin = f"stages.{name}.space"
        file = validate(SpaceFile, stage.get("space"), origin)
        variant = stage.get("variant")
        variant = None if variant is None else str(variant)
        space = SearchSpace.from_file(file, str(stage.get("name")), variant)
        return space, Grouping.from_dict(stage.get("grouping"))
    except InputError as error:
        reader.note(CASCADE.last, f"stages.{name}: {error}; left out")
        return None, None


def _data(begun: Mapping[str, Reader], card: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the data of the first step that recorded any, with what the card says."""
    told = mapping(card.get("trained"))
    said: dict[str, Any] = {
        key: told[key] for key in ("data", "faces", "validation_faces") if key in told
    }
    # Searches last, since they may see fewer samples.
    order = [begun[step] for step in sorted(begun, key=lambda step: step.startswith("search"))]
    task: dict[str, Any] = mapping(order[0].config.get("task")) if order else {}
    return {key: str(value) for key, value in (task | said).items()} or None
