"""Train a cascade, stage by stage: global network, grouping, local network."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from groupnas.engine.job import checked_device
from groupnas.engine.observer import Observer
from groupnas.engine.progress import progress
from groupnas.engine.search import search
from groupnas.engine.split import Split, split_by_source
from groupnas.engine.training import train
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.landmarks.crops import whole_face
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.evaluation import evaluate_faces
from groupnas.landmarks.given import Given, gather, keep_model
from groupnas.landmarks.given import recorded as recorded_given
from groupnas.landmarks.load import load_faces, load_landmarks
from groupnas.landmarks.model import StageNetwork, make_cascade, save_cascade
from groupnas.landmarks.pose import pose_weights
from groupnas.landmarks.recipe import LocalRecipe, Recipe, StageRecipe, recipe_from
from groupnas.landmarks.task import LandmarkTask
from groupnas.runs.begin import Beginning
from groupnas.runs.folder import CONFIG, RunFolder
from groupnas.runs.kinds import CASCADE
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.space import SearchSpace
from groupnas.task import TaskSubset

MODEL = "model.json"
SPLIT_SEED = 0  # fixed, so that runs of other seeds validate on the same photos


@dataclass(frozen=True, kw_only=True)
class Setup:
    """All that the stages of one training share.

    Attributes:
        recipe: How.
        folder: The run folder; each stage has one inside.
        given: What the recipe names.
        faces: Where the samples are from.
        task: Loads them for a stage; :func:`load_landmarks`, but for what the stage says.
        samples: The training faces.
        split: Those that train and those that validate.
        seed: Of everything random but the split.
        device: A torch device.
        observers: Who is told of a stage, by its name.
    """

    recipe: Recipe
    folder: Path
    given: Given
    faces: FaceSet
    task: Callable[..., LandmarkTask]
    samples: Sequence[Face]
    split: Split
    seed: int
    device: str
    observers: Callable[[str], Sequence[Observer]]


def train_cascade(
    recipe: Recipe,
    out: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None,
    seed: int = 0,
    device: str = "cpu",
    allow_partial: bool = False,
    limit: int | None = None,
    cache: bool = True,
    global_from: str | os.PathLike[str] | None = None,
    resume: bool = False,
    observers: Callable[[str], Sequence[Observer]] = lambda stage: (),
    arguments: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Path:
    """Train a cascade and write its model; returns the card's path.

    The stages run in order, each in a folder of its own inside ``out``: ``global``, ``search``
    where the recipe names a strategy, ``local``. What chooses between epochs are the photos split
    off the training set; test photos are not reachable from here.

    Args:
        recipe: How.
        out: The run folder; must not hold a run, unless it is resumed.
        root: The folder that holds the data set's folder; ``None`` where it needs no files.
        seed: Of everything random but the split of the photos, which is always the same.
        device: A torch device.
        allow_partial: Go on with the faces that are there, if not all are.
        limit: Take this many faces only.
        cache: Whether patches may be kept on disk.
        global_from: A saved cascade whose global network is taken over instead of trained.
        resume: Go on with the run in ``out``.
        observers: Who is told of a stage, by its name.
        arguments: Plain values that the caller wants recorded in ``config.yaml``.
        quiet: As of :func:`groupnas.train`.

    Raises:
        InputError: as :func:`groupnas.train` and
            :func:`groupnas.search`; data that is missing or damaged.
    """
    run = Beginning(CASCADE, out, resume)
    checked_device(device)
    faces = face_set(recipe.data)
    if run.recorded is None:
        given = gather(recipe, faces.markup, global_from, seed)
    else:
        given = recorded_given(run.folder, run.recorded, recipe, faces.markup)
    samples = load_faces(faces, root, allow_partial=allow_partial, limit=limit)
    split = split_by_source([face.source for face in samples], recipe.validation, SPLIT_SEED)
    setup = Setup(
        recipe=recipe,
        folder=run.folder.path,
        given=given,
        faces=faces,
        task=partial(
            load_landmarks, faces, root, allow_partial=allow_partial, limit=limit, cache=cache
        ),
        samples=samples,
        split=split,
        seed=seed,
        device=device,
        observers=lambda stage: [*progress(stage, quiet, f"{stage} stage: "), *observers(stage)],
    )
    config: dict[str, Any] = {
        "arguments": dict(arguments or {}),
        "global_from": None if global_from is None else os.fspath(global_from),
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
        **given.to_dict(),
    }
    if run.recorded is not None:
        # a setting may have had another name, or not been there
        was = recipe_from(run.recorded.get("recipe"), f"{run.folder / CONFIG}: recipe")
        run.recorded["recipe"] = was.model_dump(mode="json")
    run.check(config, ("recipe", "seed", "global_from"))

    def prepare(begins: bool) -> None:
        if begins and global_from is not None:
            keep_model(global_from, run.folder)

    with torch.random.fork_rng(), run.locked(config, prepare):
        return _run(setup, config["global_from"])


def _run(setup: Setup, global_from: str | None) -> Path:
    recipe, markup = setup.recipe, setup.faces.markup
    global_network = setup.given.taken
    if global_network is None:
        global_network = _train_stage(setup, "global", recipe.global_stage, whole=True)
    local_network = _train_stage(setup, "local", recipe.local_stage, whole=False)
    box, blend = setup.faces.box, recipe.local_stage.blend
    cascade = make_cascade(markup, box, global_network, local_network, blend, {}, setup.device)
    held_out = [setup.samples[index] for index in setup.split.validation.tolist()]
    evaluation = evaluate_faces(cascade, setup.faces, held_out, "validation")
    return save_cascade(
        setup.folder / MODEL,
        global_network,
        local_network,
        markup=markup,
        box=box,
        blend=blend,
        trained={
            "data": recipe.data,
            "faces": len(setup.samples),
            "validation_faces": len(held_out),
            "global_from": global_from,
            "seed": setup.seed,
            "recipe": recipe.model_dump(mode="json"),
        },
        scores={"validation": evaluation.to_dict()},
    )


def _train_stage(setup: Setup, name: str, stage: StageRecipe, *, whole: bool) -> StageNetwork:
    """Train one network, or go on with it; the best by validation."""
    folder = setup.folder / name
    markup = whole_face(setup.faces.markup) if whole else setup.faces.markup
    task = setup.task(
        stage.crops, whole=whole, augmentation=stage.augmentation, loss=stage.loss.of(markup)
    )
    space = setup.given.spaces[name]
    torch.manual_seed(setup.seed)
    if isinstance(stage, LocalRecipe):
        allocation, module = _grouped(setup, stage, space, task)
    else:
        allocation = Allocation.even(space)
        module = allocation.build(task.mean_output())
    trained = train(
        module,
        task,
        stage.training,
        folder,
        split=setup.split,
        seed=setup.seed,
        device=setup.device,
        sampling=_pose_balance(setup) if stage.balance_poses else None,
        resume=RunFolder(folder).exists,
        observers=setup.observers(name),
        quiet=True,
        arguments={"space": space.name, "grouping": allocation.grouping.to_dict()},
    )
    network = cast(GroupedNetwork, trained.network)  # the module that was given
    return StageNetwork(allocation, stage.crops, network)


def _grouped(
    setup: Setup, stage: LocalRecipe, space: SearchSpace, task: LandmarkTask
) -> tuple[Allocation, nn.Module]:
    """The local network's allocation, searched for where the recipe says so, and its first weights.

    The search sees the training side alone, and splits that once more.
    """
    strategy = setup.given.strategy
    allocation = Allocation(space, setup.given.grouping or Grouping.even(space))
    if strategy is not None:
        folder = setup.folder / "search"
        begun = RunFolder(folder).exists
        run = search(
            space,
            TaskSubset(task, setup.split.train),
            None if begun else strategy,  # a resumed search knows its own
            folder,
            seed=setup.seed,
            device=setup.device,
            resume=begun,
            observers=setup.observers("search"),
            quiet=True,
        )
        allocation = run.allocation
        if stage.inherit:
            network = run.network() or run.job.inherited(run.design())
            if network is None:
                raise InputError(
                    f"local_stage.inherit: {stage.grouping} trains no network to inherit from; "
                    "set it to false"
                )
            return allocation, network
    return allocation, allocation.build(task.mean_output())


def _pose_balance(setup: Setup) -> Tensor:
    """Return weights by which all poses are drawn equally often (PDB)."""
    points = [setup.samples[index].points for index in setup.split.train.tolist()]
    return torch.from_numpy(pose_weights(np.stack(points)))
