"""What older versions wrote, as it is written now: cascades had a fixed pair of stages once.

Whatever is not of the old form is passed on as it is, for its reader to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PAIR = {"global": "box", "local": "extents"}  # the stages, and where they looked
_OF_STAGES = ("space", "grouping", "inherit", "blend", "trust")  # of a recipe; all else was steps'


def upgraded_recipe(data: Any) -> Any:
    """A recipe of format 1 as format 2: what is trained, and apart from it the steps of that."""
    if not _is_old(data):
        return data
    stages: dict[str, Any] = {}
    steps: dict[str, Any] = {}
    for name in _PAIR:
        old = data.get(f"{name}_stage")
        stages[name] = old
        if isinstance(old, dict):
            own = {key: old[key] for key in _OF_STAGES if key in old}
            stages[name] = {**own, **_look(name, old)}
            steps[name] = {key: old[key] for key in old if key not in (*_OF_STAGES, "crops")}
    return {**_rest(data), "format": 2, "stages": stages, "steps": steps}


def upgraded_card(data: Any) -> Any:
    """A model card of format 1 as format 2."""
    if not _is_old(data):
        return data
    stages: dict[str, Any] = {}
    for name in _PAIR:
        old = data.get(f"{name}_stage")
        stages[name] = old
        if isinstance(old, dict):
            kept = {key: value for key, value in old.items() if key != "crops"}
            stages[name] = {**kept, **_look(name, old)}
    blend = {key: data[key] for key in ("blend", "trust") if key in data}
    if isinstance(stages["local"], dict):
        stages["local"].update(blend)
    rest = {key: value for key, value in _rest(data).items() if key not in blend}
    return {**rest, "format": 2, "stages": stages}


def upgraded_tensors(card: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The weights beside a card: in format 1 their names began with those of its keys."""
    if not _is_old(card):
        return dict(tensors)
    return {name.replace("_stage.", ".", 1): value for name, value in tensors.items()}


def upgraded_given(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """``config.yaml`` of a training with what its recipe named under ``given``, stage by stage."""
    old = [config.get(key) for key in ("spaces", "grouping", "search")]
    if "given" in config or not isinstance(old[0], dict):
        return config
    given = {
        name: {"space": space, "grouping": None, "search": None} for name, space in old[0].items()
    }
    if "local" in given:
        given["local"].update(grouping=old[1], search=old[2])
    return {**config, "given": given}


def step_names(recipe: Any) -> list[str]:
    """The folders of the steps of a recipe that was recorded, by whichever version."""
    now = upgraded_recipe(recipe)
    steps, stages = (now.get(key) if isinstance(now, dict) else None for key in ("steps", "stages"))
    return [*map(str, steps or stages or _PAIR)]


def _is_old(data: Any) -> bool:
    return isinstance(data, dict) and data.get("format", 1) == 1 and "stages" not in data


def _look(name: str, old: Mapping[str, Any]) -> dict[str, Any]:
    crops = old.get("crops")
    if isinstance(crops, dict):
        return {"look": {"frame": _PAIR[name], **crops}}
    return {"look": crops} if "crops" in old else {}


def _rest(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: data[key] for key in data if key not in ("global_stage", "local_stage")}
