"""Comparisons on faces: the local network's task, and its errors inside a cascade.

Everything here can be sent to another process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from groupnas.comparison.plan import SPLIT_SEED
from groupnas.comparison.samples import SampleErrors, Scorer
from groupnas.engine.split import Split, split_by_source
from groupnas.errors import InputError
from groupnas.landmarks.cascade import Cascade, Stage
from groupnas.landmarks.crops import whole_face
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.evaluation import CASCADE, evaluate_faces
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.model import (
    load_first,
    load_networks,
    make_cascade,
)
from groupnas.landmarks.pointing import pointing
from groupnas.landmarks.pose import pose_weights
from groupnas.landmarks.recipe import Recipe, StageRecipe, StepRecipe
from groupnas.landmarks.roles import check_roles
from groupnas.landmarks.stage_task import last_space, load_last
from groupnas.landmarks.task import LandmarkTask
from groupnas.spaces.space import SearchSpace


@dataclass(frozen=True, kw_only=True)
class FaceData:
    """The faces of a recipe and how its last stage is shown them; called, it is the task.

    Attributes:
        recipe: Its last stage and the last step that trains it say crops, augmentation, loss and
            whether poses are balanced.
        root: The folder that holds the data set's folder; ``None`` where it needs no files.
        allow_partial: Go on with the faces that are there, if not all are.
        limit: Take this many training faces only.
        networks: The space of the networks that are compared; by default the recipe's.
    """

    recipe: Recipe
    root: Path | None
    allow_partial: bool = False
    limit: int | None = None
    networks: SearchSpace | None = None

    @property
    def faces(self) -> FaceSet:
        """The data set."""
        return face_set(self.recipe.data)

    @property
    def stage(self) -> StageRecipe:
        """The stage whose networks are compared: the last."""
        return self.recipe.stages[self.recipe.last]

    @property
    def step(self) -> StepRecipe:
        """The step that trains them."""
        return self.recipe.final_step(self.recipe.last)

    def __call__(self) -> LandmarkTask:
        return load_last(
            self.recipe,
            self.faces,
            self.root,
            self.networks or self.space(),
            allow_partial=self.allow_partial,
            limit=self.limit,
        )

    def space(self, name: str | None = None) -> SearchSpace:
        """The search space of a name, by default the recipe's; raises as :func:`last_space`."""
        return last_space(self.recipe, self.faces.markup, name)

    def sampling(self, split: Split) -> Tensor | None:
        """Return weights by which training faces are drawn; ``None`` where all are drawn alike."""
        if not self.step.balance_poses:
            return None
        chosen = self._split_faces("train", split)
        return torch.from_numpy(pose_weights(np.stack([face.points for face in chosen])))

    def held_out(self) -> Sequence[Face]:
        """The training faces that no search and no training of a comparison sees."""
        return self._split_faces("validation")

    def test_faces(self) -> Sequence[Face]:
        """The faces of the test split."""
        found = load_faces(self.faces, self.root, "test", allow_partial=self.allow_partial)
        if not found:
            raise InputError(f"{self.faces.name}: the split 'test' has no faces here")
        return found

    def _split_faces(
        self, side: Literal["train", "validation"], split: Split | None = None
    ) -> Sequence[Face]:
        every = load_faces(
            self.faces, self.root, allow_partial=self.allow_partial, limit=self.limit
        )
        if split is None:
            sources = [face.source for face in every]
            split = split_by_source(sources, self.recipe.validation, SPLIT_SEED)
        return [every[index] for index in getattr(split, side).tolist()]


@dataclass(frozen=True, kw_only=True)
class InCascade:
    """Errors of last networks inside a cascade whose other networks are a saved model's.

    Called, it is a scorer: of each face, the normalised mean error in % over the points of each
    part as the cascade finds them, blended as the recipe says. Their mean over
    points is what Tables IX and X of the PicassoNet paper report. The contour is the networks'
    before, the same for all, and left out.

    Attributes:
        model: A model card or its folder.
        data: The faces.
        split: ``"validation"``, the held-out training faces, or ``"test"``.
        device: A torch device.
    """

    model: Path
    data: FaceData
    split: Literal["validation", "test"]
    device: str = "cpu"

    def __call__(self) -> Scorer:
        """
        Raises:
            InputError: no such model, or one of other points; faces that are missing.
        """
        data, markup = self.data, self.data.faces.markup
        role = data.stage.role
        name, before = self.before()
        faces = data.held_out() if self.split == "validation" else data.test_faces()
        groups = role.look.groups(markup, (data.networks or data.space()).groups)
        regions = role.look.regions(markup)
        told = markup.parts if groups == whole_face(markup) else groups.parts

        def score(local: nn.Module) -> SampleErrors:
            stages = {**before, name: Stage(pointing(local, role, groups, regions), markup, role)}
            cascade = Cascade(markup, stages, data.faces.box, {})
            found = evaluate_faces(cascade, data.faces, faces, self.split)
            errors = found.errors[CASCADE].parts
            return SampleErrors(
                errors=100 * np.stack([errors[part] for part in told], axis=1),
                groups=tuple(told),
                weights=np.array([len(points) for points in told.values()], float),
                sources=np.array([face.source for face in faces], dtype=np.str_),
                unit=f"NME %, {found.normaliser}",
                subsets={
                    subset: np.array([subset in face.subsets for face in faces])
                    for subset in found.subsets
                },
            )

        return score

    def before(self) -> tuple[str, Mapping[str, Stage]]:
        """The name of the stage that is compared, and the model's stages before it.

        The name is another than in the recipe where the model calls an earlier stage so.

        Raises:
            InputError: as when called, but for the faces; stages that the recipe's cannot follow.
        """
        data, markup, name = self.data, self.data.faces.markup, self.data.recipe.last
        load_first(self.model, markup)  # it may be of other points
        networks = dict([*load_networks(self.model)[1].items()][:-1])
        while name in networks:
            name += "_compared"
        roles = {stage: network.role for stage, network in networks.items()}
        try:
            check_roles({**roles, name: data.stage.role})
        except ValueError as error:
            raise InputError(f"{self.model}: {error}") from error
        if not networks:
            return name, {}
        return name, make_cascade(markup, data.faces.box, networks, {}, self.device).stages

    def fingerprint(self) -> str:
        """SHA-256 of the model's weights: which model it is."""
        return load_networks(self.model)[0].weights
