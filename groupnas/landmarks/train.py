"""Train a cascade, step by step: the network of a stage after the other, and their groupings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from groupnas.landmarks.chain import Chain, ChainTask, FeaturesTask
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.evaluation import evaluate_faces
from groupnas.landmarks.found import found_frames
from groupnas.landmarks.given import KEPT, STARTED, Given, gather, keep_model
from groupnas.landmarks.given import recorded as recorded_given
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.model import StageNetwork, make_cascade, save_cascade
from groupnas.landmarks.pose import pose_weights
from groupnas.landmarks.recipe import Recipe, StepRecipe, recipe_from
from groupnas.landmarks.roles import Cells
from groupnas.landmarks.stage_task import load_stage
from groupnas.landmarks.task import LandmarkTask
from groupnas.runs.begin import Beginning
from groupnas.runs.folder import CONFIG, RunFolder
from groupnas.runs.kinds import CASCADE
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.network import GroupedNetwork
from groupnas.task import Task, TaskSubset

SPLIT_SEED = 0  # fixed, so that runs of other seeds validate on the same photos


@dataclass(frozen=True, kw_only=True)
class Setup:
    """All that the steps of one training share.

    Attributes:
        recipe: How.
        folder: The run folder; each step has one inside.
        given: What the recipe names, by stage.
        faces: Where the samples are from.
        task: Loads them for a step; :func:`load_stage`, but for what step and stage say.
        samples: The training faces.
        split: Those that train and those that validate.
        seed: Of everything random but the split.
        device: A torch device.
        observers: Who is told of a step or a search, by its name.
    """

    recipe: Recipe
    folder: Path
    given: Mapping[str, Given]
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
    start_from: str | os.PathLike[str] | None = None,
    resume: bool = False,
    observers: Callable[[str], Sequence[Observer]] = lambda step: (),
    arguments: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Path:
    """Train a cascade and write its model; returns the card's path.

    The recipe's steps run in order, each in a folder of its name inside ``out``, and a search,
    where a stage names a strategy, in ``search`` before the first step that trains the stage
    (``search-STAGE`` where there are several). What chooses between epochs are the photos split
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
        global_from: A saved cascade whose first network is taken over as that of the first stage,
            which no step trains then.
        start_from: A saved cascade of the same stages, whose networks the steps train on.
        resume: Go on with the run in ``out``.
        observers: Who is told of a step or a search, by its name.
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
        given = gather(recipe, faces.markup, global_from, seed, start_from)
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
            load_stage, faces, root, allow_partial=allow_partial, limit=limit, cache=cache
        ),
        samples=samples,
        split=split,
        seed=seed,
        device=device,
        observers=lambda step: [*progress(step, quiet, f"{step} stage: "), *observers(step)],
    )
    config: dict[str, Any] = {
        "arguments": dict(arguments or {}),
        "global_from": None if global_from is None else os.fspath(global_from),
        "start_from": None if start_from is None else os.fspath(start_from),
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
        "given": {name: one.to_dict() for name, one in given.items()},
    }
    if run.recorded is not None:
        # a setting may have had another name, or not been there
        was = recipe_from(run.recorded.get("recipe"), f"{run.folder / CONFIG}: recipe")
        run.recorded["recipe"] = was.model_dump(mode="json")
    run.check(config, ("recipe", "seed", "global_from", "start_from"))

    def prepare(begins: bool) -> None:
        for model, stem in ((global_from, KEPT), (start_from, STARTED)):
            if begins and model is not None:
                keep_model(model, run.folder, stem)

    with torch.random.fork_rng(), run.locked(config, prepare):
        return _run(setup, {key: config[key] for key in ("global_from", "start_from")})


def _run(setup: Setup, origins: Mapping[str, Any]) -> Path:
    recipe, markup, box = setup.recipe, setup.faces.markup, setup.faces.box
    networks = {name: one.taken for name, one in setup.given.items() if one.taken is not None}
    fixed = set(networks)
    for name, step in recipe.steps.items():
        if left := tuple(stage for stage in step.train if stage not in fixed):
            own = step.model_copy(update={"train": left})
            networks.update(_train_step(setup, name, own, networks))
    stages = {name: networks[name] for name in recipe.stages}
    cascade = make_cascade(markup, box, stages, {}, setup.device)
    held_out = [setup.samples[index] for index in setup.split.validation.tolist()]
    evaluation = evaluate_faces(cascade, setup.faces, held_out, "validation")
    return save_cascade(
        setup.folder / CASCADE.last,
        stages,
        markup=markup,
        box=box,
        trained={
            "data": recipe.data,
            "faces": len(setup.samples),
            "validation_faces": len(held_out),
            **origins,
            "seed": setup.seed,
            "recipe": recipe.model_dump(mode="json"),
        },
        scores={"validation": evaluation.to_dict()},
    )


def _train_step(
    setup: Setup, name: str, step: StepRecipe, before: Mapping[str, StageNetwork]
) -> dict[str, StageNetwork]:
    """Train the networks of a step, or go on with them; the best by validation.

    Each starts as a step before left it, where one did.
    """
    folder, stages = setup.folder / name, setup.recipe.stages
    passed = setup.recipe.together(step)  # whatever looks at features stands behind one
    first = setup.given[passed[0]]
    frames = None
    if step.starts == "found":
        file, (stage,) = setup.folder / f"{name}-frames.npz", step.train
        frames = found_frames(
            file, setup.recipe, stage, before, setup.faces, setup.samples, setup.device
        )
    faces = setup.task(
        stages[passed[0]].role if first.taken is None else first.taken.role,
        first.used,
        augmentation=step.augmentation,
        loss=step.loss.of,
        frames=frames,
    )
    torch.manual_seed(setup.seed)
    networks = {
        stage: before[stage] if stage in before else _fresh(setup, stage, faces, before)
        for stage in passed
    }
    task: Task = faces
    module: nn.Module = networks[passed[0]].module
    if len(passed) > 1:
        modules = {stage: network.module for stage, network in networks.items()}
        roles = {stage: network.role for stage, network in networks.items()}
        module = Chain(modules, roles, step.train, step.dropout, setup.seed)
        task = ChainTask(faces, module.trained)
    trained = train(
        module,
        task,
        step.training,
        folder,
        split=setup.split,
        seed=setup.seed,
        device=setup.device,
        sampling=_pose_balance(setup) if step.balance_poses else None,
        resume=RunFolder(folder).exists,
        observers=setup.observers(name),
        quiet=True,
        arguments=_told([networks[stage].allocation for stage in step.train]),
    )
    assert trained.network is module  # so that the networks in it are the best, too
    module.requires_grad_(True)  # whatever a later step trains
    return {stage: networks[stage] for stage in step.train}


def _told(allocations: Sequence[Allocation]) -> dict[str, Any]:
    """What a training records of its networks; of several, a list of each."""
    spaces = [allocation.space.name for allocation in allocations]
    groupings = [allocation.grouping.to_dict() for allocation in allocations]
    if len(allocations) == 1:
        return {"space": spaces[0], "grouping": groupings[0]}
    return {"space": spaces, "grouping": groupings}


def _fresh(
    setup: Setup, name: str, task: LandmarkTask, before: Mapping[str, StageNetwork]
) -> StageNetwork:
    """A stage's network with its first weights, its grouping searched for if the recipe says so.

    The search sees the training side alone, and splits that once more.
    """
    given, stage = setup.given[name], setup.recipe.stages[name]
    if given.start is not None:
        return replace(given.start, role=stage.role)
    space, strategy = given.space, given.strategy
    allocation = given.allocation
    if strategy is not None:
        several = sum(one.strategy is not None for one in setup.given.values()) > 1
        called = f"search-{name}" if several else "search"
        folder = setup.folder / called
        begun = RunFolder(folder).exists
        run = search(
            space,
            TaskSubset(_seen(setup, name, task, before), setup.split.train),
            None if begun else strategy,  # a resumed search knows its own
            folder,
            seed=setup.seed,
            device=setup.device,
            resume=begun,
            observers=setup.observers(called),
            quiet=True,
        )
        allocation = run.allocation
        if stage.inherit:
            network = run.network() or run.job.inherited(run.design())
            if network is None:
                raise InputError(
                    f"stages.{name}.inherit: {stage.grouping} trains no network to inherit from; "
                    "set it to false"
                )
            return StageNetwork(allocation, stage.role, cast(GroupedNetwork, network))
    start = None if isinstance(stage.look, Cells) else task.mean_output()
    return StageNetwork(allocation, stage.role, allocation.build(start))


def _seen(setup: Setup, name: str, task: LandmarkTask, before: Mapping[str, StageNetwork]) -> Task:
    """What a stage is shown by itself: of one that looks at features, the features."""
    stages = setup.recipe.stages
    if not isinstance(stages[name].look, Cells):
        return task
    earlier = list(stages)[: list(stages).index(name)]
    networks = {stage: before[stage].module for stage in earlier}
    roles = {stage: before[stage].role for stage in earlier}
    roles[name] = stages[name].role
    return FeaturesTask(task, Chain(networks, roles), name, setup.given[name].space)


def _pose_balance(setup: Setup) -> Tensor:
    """Return weights by which all poses are drawn equally often (PDB)."""
    points = [setup.samples[index].points for index in setup.split.train.tolist()]
    return torch.from_numpy(pose_weights(np.stack(points)))
