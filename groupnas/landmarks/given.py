"""What a cascade's training was started with: kept in its folder, so that it goes on without it.

Recipes name spaces, groupings and strategies, which may be files, and another model may lend its
global network. All of that may have moved, changed or gone when the run is resumed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groupnas.engine.strategy import Strategy, load_strategy, strategy_from
from groupnas.errors import InputError, naming
from groupnas.files import read_bytes, split_text
from groupnas.grouping import Grouping
from groupnas.landmarks.crops import whole_face
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.model import StageNetwork, check_network, load_networks, markup_space
from groupnas.landmarks.recipe import Recipe, StageRecipe
from groupnas.runs.begin import check_recorded
from groupnas.runs.folder import CONFIG, RunFolder
from groupnas.schema import validate
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.schema import SpaceFile
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.controls import Control
from groupnas.writing import atomic_path

KEPT = "given"  # the stem of the files of a model whose global network is taken


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a recipe and its options name, read.

    Attributes:
        spaces: Of the stages ``global`` and ``local``.
        grouping: Of the local network, where a file says it.
        strategy: Searches it, where there is one.
        taken: The global network of another model, instead of one that is trained.
    """

    spaces: dict[str, SearchSpace]
    grouping: Grouping | None = None
    strategy: Strategy | None = None
    taken: StageNetwork | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for ``config.yaml``; all but the network taken."""
        return {
            "spaces": {stage: _space_dict(space) for stage, space in self.spaces.items()},
            "grouping": self.grouping and self.grouping.to_dict(),
            "search": self.strategy and self.strategy.model_dump(mode="json"),
        }

    def checked(self, recipe: Recipe, markup: Markup) -> Given:
        """Itself; an :class:`InputError` for what would stop a later stage."""
        stages: list[tuple[str, StageRecipe, Markup]] = [("local", recipe.local_stage, markup)]
        if self.taken is None:
            stages.insert(0, ("global", recipe.global_stage, whole_face(markup)))
        for name, stage, regions in stages:
            check_network(self.spaces[name], stage.crops, regions)
        if self.grouping is not None:
            file = recipe.local_stage.grouping
            try:
                Allocation(self.spaces["local"], self.grouping)
            except InputError as error:
                text = str(error)
                raise InputError(text if file in text else f"{file}: {text}") from error
        return self


def gather(
    recipe: Recipe, markup: Markup, global_from: str | os.PathLike[str] | None, seed: int
) -> Given:
    """What a recipe names, as it is now.

    Args:
        recipe: How the cascade is trained.
        markup: The landmarks; it picks the spaces' variants.
        global_from: A saved cascade whose global network is taken; ``None`` where it is trained.
        seed: Of everything random.

    Raises:
        InputError: something that is named is not there, wrong, or does not fit.
    """
    whole, named = whole_face(markup), recipe.local_stage.grouping
    file = named.endswith(".json") and split_text("strategies", named)[1] is None
    strategy = None if file or named == "even" else load_strategy(named)
    found = Given(
        taken=None if global_from is None else _lent(global_from, markup),
        spaces={
            "global": markup_space(recipe.global_stage.space, whole),
            "local": markup_space(recipe.local_stage.space, markup),
        },
        grouping=Grouping.load(named) if file else None,
        strategy=strategy,
    ).checked(recipe, markup)
    if isinstance(strategy, Control):  # else the global network would be trained before it is told
        strategy.choose(found.spaces["local"], seed)
    return found


def keep_model(global_from: str | os.PathLike[str], folder: RunFolder) -> None:
    """Copy a saved cascade's two files into a run's folder."""
    card = Path(global_from)
    card = card / "model.json" if card.is_dir() else card
    for file in (card.with_suffix(".safetensors"), card):
        with atomic_path(folder / f"{KEPT}{file.suffix}") as temporary:
            temporary.write_bytes(read_bytes(file))


def recorded(folder: RunFolder, config: dict[str, Any], recipe: Recipe, markup: Markup) -> Given:
    """What :meth:`Given.to_dict` and :func:`keep_model` left in a run's folder.

    Raises:
        InputError: it is damaged, or was begun by a groupnas that recorded less.
    """
    origin = f"{folder / CONFIG}"
    check_recorded(config, ("spaces", "grouping", "search"), origin)
    try:
        spaces, grouping, search = config["spaces"], config["grouping"], config["search"]
        found = Given(
            spaces={
                stage: _space_from(spaces[stage], f"{origin}: spaces.{stage}")
                for stage in ("global", "local")
            },
            grouping=None if grouping is None else Grouping.from_dict(grouping),
            strategy=None if search is None else strategy_from(search, f"{origin}: search"),
            taken=None if config["global_from"] is None else _lent(folder / f"{KEPT}.json", markup),
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{origin}: is damaged, or not of a cascade: {error}") from error
    return found.checked(recipe, markup)


def _lent(model: str | os.PathLike[str], markup: Markup) -> StageNetwork:
    """The global network of a saved cascade, which must know the same points."""
    network = load_networks(model)[1]
    with naming(os.fspath(model)):
        check_network(network.allocation.space, network.crops, whole_face(markup))
    return network


def _space_dict(space: SearchSpace) -> dict[str, Any]:
    name = space.name.removesuffix(f":{space.variant}")
    return {"name": name, "variant": space.variant, "file": space.file.to_dict()}


def _space_from(data: dict[str, Any], origin: str) -> SearchSpace:
    file = validate(SpaceFile, data["file"], origin)
    return SearchSpace.from_file(file, str(data["name"]), data["variant"])
