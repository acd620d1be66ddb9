"""A trained cascade: the stages' folders, and the model's card."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.landmarks.page.evaluations import card_scores
from groupnas.report.page.epochs import charts, health
from groupnas.report.page.model import Chart, Cost, Run
from groupnas.report.page.networks import cost, find_space, network
from groupnas.report.page.reading import Reader, mapping
from groupnas.report.page.runs import described, how_far, surroundings
from groupnas.runs.folder import CONFIG, FOUND, RESULT
from groupnas.schema import validate
from groupnas.spaces.schema import SpaceFile
from groupnas.spaces.space import SearchSpace

MODEL = "model.json"
_STAGES = ("global", "search", "local")


def collect_cascade(reader: Reader, name: str) -> Run:
    """The folder that ``groupnas train`` writes: its stages, and the model once there is one."""
    config = reader.config()
    resume = shlex.join(["groupnas", "train", "--resume", "--out", str(reader.path)])
    card = reader.json(MODEL, f"the training has not ended; to go on: {resume}")
    drawn_charts: list[Chart] = []
    said: list[tuple[str, str]] = []
    done: list[str] = []
    records: list[dict[str, Any]] = []
    environment: dict[str, str] | None = None
    searched = reader.inside("search")
    for stage in _STAGES:
        inside = reader.inside(stage)
        if not inside.has(CONFIG):
            continue
        history, result = inside.history(), inside.json(RESULT)
        settings = inside.config()
        total = mapping(settings.get("training" if stage != "search" else "strategy")).get("epochs")
        done.append(f"{stage} stage: {how_far(inside, len(history), total, bool(result))}")
        drawn_charts += charts(history, str(result.get("error_unit", "")), stage)
        said += [(f"{stage}, {when}", text) for when, text in health(history, result) or ()]
        environment = surroundings(settings) or environment
        records = history if stage == "search" else records
    networks = {stage: _network(reader, card, f"{stage}_stage") for stage in ("global", "local")}
    space, grouping = networks["local"]
    groupings: list[tuple[str, Grouping | None]] = [("trained", grouping)]
    if searched.has(CONFIG):
        start, found = searched.grouping("initial_grouping.json"), searched.grouping(FOUND)
        groupings = [("initial", start), ("found", found), *groupings]
        space = space or find_space(searched.config(), searched)
    named = [(title, g) for title, g in groupings if g is not None]
    drawn = network(named, space, records)
    scores, curves = card_scores(mapping(card.get("scores")))
    run = Run(
        name=name,
        folder=str(reader.path),
        kind="cascade",
        state=_state(reader, card, done),
        finished=bool(card),
        groups=drawn.groups if drawn else (),
        network=drawn,
        costs=_costs(networks),
        charts=tuple(drawn_charts),
        health=tuple(said),
        scores=scores,
        curves=curves,
        **described(config, reader),
    )
    return replace(
        run,
        data=run.data or _data(reader, card),
        environment={**(environment or {}), **(run.environment or {})} or None,
    )


def _state(reader: Reader, card: Mapping[str, Any], done: list[str]) -> str:
    stages = " ".join(text[0].upper() + text[1:] for text in done)
    if card:
        return f"The model is written. {stages}".strip()
    if reader.has(MODEL):
        return f"The model's card cannot be read. {stages}".strip()
    return f"The model is not written yet. {stages or 'No stage has begun.'}"


def _network(
    reader: Reader, card: Mapping[str, Any], key: str
) -> tuple[SearchSpace | None, Grouping | None]:
    """Space and grouping of a stage as the card holds them, in full."""
    stage = mapping(card.get(key))
    if not stage:
        return None, None
    try:
        origin = f"{key}.space"
        file = validate(SpaceFile, stage.get("space"), origin)
        variant = stage.get("variant")
        variant = None if variant is None else str(variant)
        space = SearchSpace.from_file(file, str(stage.get("name")), variant)
        return space, Grouping.from_dict(stage.get("grouping"))
    except InputError as error:
        reader.note(MODEL, f"{key}: {error}; left out")
        return None, None


def _costs(
    networks: Mapping[str, tuple[SearchSpace | None, Grouping | None]],
) -> tuple[Cost, ...]:
    priced = [cost(f"{stage} network", *pair) for stage, pair in networks.items()]
    return tuple(item for item in priced if item)


def _data(reader: Reader, card: Mapping[str, Any]) -> dict[str, str] | None:
    """Of the first stage that recorded its data, with what the card says."""
    told = {
        key: str(value)
        for key, value in mapping(card.get("trained")).items()
        if key in ("data", "faces", "validation_faces")
    }
    for stage in sorted(_STAGES, key="search".__eq__):  # a search may see fewer samples
        inside = Reader(reader.path / stage)
        if inside.has(CONFIG):
            task = mapping(inside.config().get("task"))
            return {**{key: str(value) for key, value in task.items()}, **told}
    return told or None
