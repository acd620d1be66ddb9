"""A training's recipe and files, kept in its folder so that it goes on without them.

Recipes name spaces, groupings and strategies, which may be files, and another model may lend its
first network. All of that may have moved, changed or gone when the run is resumed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from groupnas.engine.search import check_searched
from groupnas.engine.strategy import Strategy, load_strategy, strategy_from
from groupnas.errors import InputError, naming
from groupnas.files import nearest, read_bytes, split_text
from groupnas.grouping import Grouping
from groupnas.landmarks.demands import check_demands
from groupnas.landmarks.markup import Markup, check_same_points
from groupnas.landmarks.model import (
    StageNetwork,
    card_file,
    check_stages,
    load_first,
    load_networks,
    markup_space,
)
from groupnas.landmarks.pixels import check_colours
from groupnas.landmarks.recipe import Recipe, StepRecipe
from groupnas.landmarks.roles import Cells, Gaze, Role, check_roles
from groupnas.landmarks.upgrade import upgraded_given
from groupnas.runs.begin import check_recorded
from groupnas.runs.folder import CONFIG, RunFolder
from groupnas.schema import validate
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.schema import SpaceFile
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.controls import Control
from groupnas.writing import atomic_path

KEPT = "given"  # the stem of the files of a model whose first network is taken
STARTED = "start"  # likewise, whose networks are trained on


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a stage of a recipe, and the options, name: spaces, strategies and files, read.

    Attributes:
        space: Of its network.
        grouping: Of its network, where a file says it.
        strategy: Searches it, where there is one.
        taken: The network of another model, instead of one that is trained.
        start: The network of another model, which is trained on.
    """

    space: SearchSpace
    grouping: Grouping | None = None
    strategy: Strategy | None = None
    taken: StageNetwork | None = None
    start: StageNetwork | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for ``config.yaml``; all but networks."""
        return {
            "space": _space_dict(self.space),
            "grouping": self.grouping and self.grouping.to_dict(),
            "search": self.strategy and self.strategy.model_dump(mode="json"),
        }

    @property
    def allocation(self) -> Allocation:
        """What its network is, or begins as: even groups where they are searched for."""
        return Allocation(self.space, self.grouping or Grouping.even(self.space))

    @property
    def used(self) -> SearchSpace:
        """The space of the network that is trained or taken."""
        return self.space if self.taken is None else self.taken.allocation.space


def gather(
    recipe: Recipe,
    markup: Markup,
    global_from: str | os.PathLike[str] | None,
    seed: int,
    start_from: str | os.PathLike[str] | None = None,
) -> dict[str, Given]:
    """Read what the stages of a recipe name, as it is now.

    Args:
        recipe: How the cascade is trained.
        markup: The landmarks; it picks the spaces' variants.
        global_from: A saved cascade whose first network is taken; ``None`` where it is trained.
        seed: Of everything random.
        start_from: A saved cascade whose networks are trained on; ``None`` where they are new.

    Raises:
        InputError: something that is named is not there, wrong, or does not fit.
    """
    if start_from is not None:
        if global_from is not None:
            raise InputError("--global-from: the networks of --start-from are all there; give one")
        found = _started(recipe, markup, start_from)
        _check(found, recipe, markup)
        return found
    found = {}
    for name, stage in recipe.stages.items():
        named = stage.grouping
        file = named.endswith(".json") and split_text("strategies", named)[1] is None
        lent = global_from if name == recipe.first else None
        found[name] = Given(
            space=markup_space(stage.space, stage.look.regions(markup)),
            grouping=Grouping.load(named) if file else None,
            strategy=None if file or named == "even" else load_strategy(named),
            taken=None if lent is None else load_first(lent, markup),
        )
    _check(found, recipe, markup)
    for one in found.values():  # else other networks would be trained before it is told
        if isinstance(one.strategy, Control):
            one.strategy.choose(one.space, seed)
    return found


def _started(recipe: Recipe, markup: Markup, model: str | os.PathLike[str]) -> dict[str, Given]:
    """The stages of a recipe with the networks of a saved cascade."""
    card, networks = load_networks(model)
    with naming(model):
        check_same_points("the data set", markup, card.markup)
    if [*networks] != [*recipe.stages]:
        raise InputError(
            f"{model}: has the stages {', '.join(networks)}, the recipe has "
            f"{', '.join(recipe.stages)}; take the recipe that it was trained by"
        )
    for name, network in networks.items():
        for key in ("look", "answer"):
            own, asked = getattr(network.role, key), getattr(recipe.stages[name], key)
            if own != asked:
                raise InputError(
                    f"{model}: stages.{name}.{key}: was trained with {own}, the recipe has "
                    f"{asked}; take the recipe that it was trained by"
                )
    return {
        name: Given(
            space=network.allocation.space, grouping=network.allocation.grouping, start=network
        )
        for name, network in networks.items()
    }


def keep_model(model: str | os.PathLike[str], folder: RunFolder, stem: str) -> None:
    """Copy a saved cascade's two files into a run's folder."""
    card = card_file(model)
    for file in (card.with_suffix(".safetensors"), card):
        with atomic_path(folder / f"{stem}{file.suffix}") as temporary:
            temporary.write_bytes(read_bytes(file))


def recorded(
    folder: RunFolder, config: Mapping[str, Any], recipe: Recipe, markup: Markup
) -> dict[str, Given]:
    """Read what :meth:`Given.to_dict` and :func:`keep_model` left in a run's folder.

    Raises:
        InputError: it is damaged, or was begun by a groupnas that recorded less.
    """
    origin = f"{folder / CONFIG}"
    config = upgraded_given(config)
    check_recorded(config, ["given"], origin)
    if config.get("start_from") is not None:
        found = _started(recipe, markup, folder / f"{STARTED}.json")
        _check(found, recipe, markup)
        return found
    found = {}
    try:
        for name in recipe.stages:
            told, where = config["given"][name], f"{origin}: given.{name}"
            grouping, search = told["grouping"], told["search"]
            takes = name == recipe.first and config["global_from"] is not None
            found[name] = Given(
                space=_space_from(told["space"], f"{where}.space"),
                grouping=None if grouping is None else Grouping.from_dict(grouping),
                strategy=None if search is None else strategy_from(search, f"{where}.search"),
                taken=load_first(folder / f"{KEPT}.json", markup) if takes else None,
            )
    except (LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{origin}: is damaged, or not of a cascade: {error}") from error
    _check(found, recipe, markup)
    return found


def _check(found: Mapping[str, Given], recipe: Recipe, markup: Markup) -> None:
    """Raise :class:`InputError` for what would stop a later step."""
    check_demands(recipe, markup)
    spaces = {name: one.used for name, one in found.items()}
    roles: dict[str, Role] = {
        name: recipe.stages[name] if one.taken is None else one.taken.role
        for name, one in found.items()
    }
    try:
        check_roles(roles)
    except ValueError as error:
        raise InputError(f"--global-from: {error}") from error
    check_stages(spaces, roles, markup)
    for called, step in recipe.steps.items():
        if any(found[name].taken is None for name in step.train):
            passed = recipe.together(step)
            with naming(f"steps.{called}"):
                _check_step(step, {name: spaces[name] for name in passed}, roles[passed[0]])
    for name, one in found.items():
        if one.strategy is not None:
            check_searched(one.space, one.strategy)
            if recipe.stages[name].inherit and isinstance(one.strategy, Control):
                raise InputError(
                    f"stages.{name}.inherit: {recipe.stages[name].grouping} trains no network to "
                    "inherit from; set it to false"
                )
        file, look = recipe.stages[name].grouping, recipe.stages[name].look
        if one.strategy is not None and isinstance(look, Cells):
            known = {stage for stage, other in found.items() if other.taken is not None}
            _check_search(recipe, name, known)
        if one.grouping is not None:
            try:
                Allocation(one.space, one.grouping)
            except InputError as error:
                text = str(error)
                raise InputError(text if file in text else f"{file}: {text}") from error


def _check_step(step: StepRecipe, spaces: Mapping[str, SearchSpace], first: Role) -> None:
    """Check what is changed in the crops, and whether rows and groups are there."""
    look, training = first.look, step.training
    assert isinstance(look, Gaze)
    check_colours(step.augmentation, look.channels)
    together = len(spaces) > 1
    if training.keep == "groups" and (together or any(space.joint for space in spaces.values())):
        raise InputError(
            "training.keep: groups: takes one network whose groups share no weights; expected whole"
        )
    rows = [
        f"{name}.{layer.name}" if together else layer.name
        for name, space in spaces.items()
        for layer in space.layers
    ]
    for slow in training.weights.slow:
        if not any(f"{row}.".startswith(f"{slow}.") for row in rows):
            known = {row.partition(".")[0] for row in rows}
            raise InputError(f"training.weights.slow: no row {slow!r}; {nearest(slow, known)}")


def _check_search(recipe: Recipe, name: str, known: set[str]) -> None:
    """Check that a stage that looks at features is searched for behind trained ones alone."""
    for called, step in recipe.steps.items():
        if name in step.train:
            before = list(recipe.stages)[: list(recipe.stages).index(name)]
            if lacking := [one for one in before if one not in known]:
                raise InputError(
                    f"stages.{name}.grouping: {recipe.stages[name].grouping}: is searched for once "
                    f"the stages before it are trained, but steps.{called} is the first to train "
                    f"{lacking[0]}, too; give {name} a step of its own, or even groups"
                )
            return
        known.update(step.train)


def _space_dict(space: SearchSpace) -> dict[str, Any]:
    name = space.name.removesuffix(f":{space.variant}")
    return {"name": name, "variant": space.variant, "file": space.file.to_dict()}


def _space_from(data: dict[str, Any], origin: str) -> SearchSpace:
    file = validate(SpaceFile, data["file"], origin)
    return SearchSpace.from_file(file, str(data["name"]), data["variant"])
