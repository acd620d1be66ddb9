"""A family of cascades: a trained one, and what is left of it at several budgets.

See :mod:`groupnas.landmarks.pruned` for how it is brought there. What is left of each stage is then
trained on as the recipe's last step trains it, for a while and at a falling rate.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from groupnas.engine.observer import Observer
from groupnas.engine.progress import progress
from groupnas.errors import InputError
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.deployed import cascade_costs
from groupnas.landmarks.given import STARTED, gather, keep_model
from groupnas.landmarks.model import Card, load_networks
from groupnas.landmarks.pruned import PrunedCascade
from groupnas.landmarks.recipe import Recipe, recipe_from
from groupnas.landmarks.roles import Cells
from groupnas.landmarks.shares import CascadeBudget, check_budgets
from groupnas.landmarks.train import train_cascade
from groupnas.runs.begin import Beginning
from groupnas.runs.folder import CONFIG, LOCK, RunFolder
from groupnas.runs.kinds import CASCADE, FAMILY
from groupnas.schema import merged

FULL = "full"  # the folder of the cascade that others are made of


def train_family(
    recipe: Recipe,
    budgets: Sequence[CascadeBudget],
    out: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None,
    seed: int = 0,
    device: str = "cpu",
    allow_partial: bool = False,
    limit: int | None = None,
    start_from: str | os.PathLike[str] | None = None,
    resume: bool = False,
    observers: Callable[[str], Sequence[Observer]] = lambda step: (),
    arguments: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Path:
    """Train cascades of several sizes; returns the file that lists them.

    A folder for each budget, and one for the cascade that they are made of where that is not given
    (``full``), are those of :func:`groupnas.landmarks.train.train_cascade`. Arguments are its,
    too, but for:

    Args:
        recipe: How the cascade is trained, and (``smaller``) made smaller.
        budgets: What the others may cost.
        out: The run folder.
        root: As there.
        seed: As there.
        device: As there.
        allow_partial: As there.
        limit: As there.
        start_from: The cascade that they are made of; trained first where ``None``.
        resume: Go on with the run in ``out``.
        observers: As there.
        arguments: As there.
        quiet: As there.

    Raises:
        InputError: as there; a stage that looks at features, which pruning would change; a group
            that no stage has; a budget that cannot be met; a folder that holds other runs.
    """
    _check(recipe, budgets)
    run = Beginning(FAMILY, out, resume)
    faces = face_set(recipe.data)
    kept = run.folder / f"{STARTED}.json"  # changed or gone, the run could not go on
    if run.recorded is None:
        _check_free(run.folder.path)
        given = gather(recipe, faces.markup, None, seed, start_from)
        check_budgets(budgets, {name: one.allocation for name, one in given.items()})
    config: dict[str, Any] = {
        "arguments": dict(arguments or {}),
        "family": [str(budget) for budget in budgets],
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
        "start_from": None if start_from is None else os.fspath(start_from),
    }
    if run.recorded is not None:
        was = recipe_from(run.recorded.get("recipe"), f"{run.folder / CONFIG}: recipe")
        run.recorded["recipe"] = was.model_dump(mode="json")
    run.check(config, ("family", "seed", "recipe", "start_from"))

    def trained(changed: Recipe, name: str, model: Path | None) -> Path:
        folder = run.folder / name
        if (folder / CASCADE.last).exists():
            return folder / CASCADE.last
        return train_cascade(
            changed,
            folder,
            root=root,
            seed=seed,
            device=device,
            allow_partial=allow_partial,
            limit=limit,
            start_from=model,
            resume=RunFolder(folder).exists,
            observers=lambda step: observers(f"{name}-{step}"),
            quiet=quiet,
        )

    def prepare(begins: bool) -> None:
        if begins and start_from is not None:
            keep_model(start_from, run.folder, STARTED)

    with torch.random.fork_rng(), run.locked(config, prepare):
        full = trained(recipe, FULL, None) if start_from is None else kept
        pruned = PrunedCascade(
            recipe=recipe,
            model=full,
            folder=run.folder.path,
            faces=faces,
            root=root,
            options={"allow_partial": allow_partial, "limit": limit},
            seed=seed,
            device=device,
            observers=lambda step: [*progress(step, quiet, f"{step}: "), *observers(step)],
        )
        pruned.prune(min(budget.least for budget in budgets))
        curves = pruned.curves(budgets)
        scores = pruned.evaluated(pruned.networks).to_dict()  # on the faces of all the others
        members = [_member(full, pruned.card, None, {"validation": scores})]
        for budget in budgets:
            start = pruned.write(budget, curves[budget.groups])
            model = trained(_tuning(recipe), str(budget), start)
            card = load_networks(model)[0]
            members.append(_member(model, card, budget, card.scores))
        run.folder.write_json(FAMILY.last, {"format": 1, "data": recipe.data, "members": members})
    return run.folder / FAMILY.last


def _check(recipe: Recipe, budgets: Sequence[CascadeBudget]) -> None:
    for name, stage in recipe.stages.items():
        if isinstance(stage.look, Cells):
            raise InputError(
                f"--budget: stages.{name} looks at features of {stage.look.stage}, which would not "
                "be there any more; take a recipe whose stages look at photos"
            )
    names = [str(budget) for budget in budgets]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--budget {name}: is there twice; give each once")


def _check_free(folder: Path) -> None:
    """Refuse a folder with anything in it, which would be taken for what this run has made."""
    if folder.is_dir() and any(entry.name != LOCK for entry in folder.iterdir()):
        raise InputError(f"{folder}: is not empty; give a new folder for the family")


def _tuning(recipe: Recipe) -> Recipe:
    """The recipe by which what pruning left is trained on: each stage's last step, shorter."""
    smaller, steps = recipe.smaller, {}
    weights = {"name": "adam", "lr": smaller.lr, "schedule": "cosine", "end_lr": 0, "warmup": 0.02}
    for name in recipe.stages:
        step = recipe.final_step(name).model_dump(mode="json")
        changes = {"epochs": smaller.tune_epochs, "weights": weights}
        steps[name] = merged(step, {"train": [name], "training": changes})
    return recipe_from({**recipe.model_dump(mode="json"), "steps": steps}, recipe.title)


def _member(
    model: Path, card: Card, budget: CascadeBudget | None, scores: Mapping[str, Any]
) -> dict[str, Any]:
    """What the family's list says of a cascade."""
    return {
        "budget": None if budget is None else str(budget),
        "model": os.fspath(model),
        "macs": cascade_costs(card),
        "scores": dict(scores),
    }
