"""Data sets of faces as ``--data`` knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groupnas.errors import InputError, naming
from groupnas.landmarks.data.face import FaceSet
from groupnas.tasks import DataSet, find_dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from groupnas.task import Task


@dataclass(frozen=True, kw_only=True)
class FaceDataSet(FaceSet, DataSet):
    """A data set of faces, registered: what a :class:`FaceSet` and a :class:`DataSet` say of it.

    Its module needs no torch: whoever lists the data sets loads it.

    Attributes:
        recipe: A training recipe; then the task is that of its last stage, else of part crops.
    """

    recipe: str | None = None

    def variant(self, choice: str) -> FaceDataSet:
        """Return the faces as the last stage of a recipe is shown them: ``300w:subpixel:quick``.

        Raises:
            InputError: no such recipe or preset.
        """
        from groupnas.landmarks.recipe import load_recipe

        with naming(f"{self.name}:{choice}"):
            load_recipe(choice)
        return replace(self, recipe=choice)

    def load(
        self,
        *,
        root: Path | None,
        allow_partial: bool = False,
        limit: int | None = None,
        cache: bool = True,
        crops: Mapping[str, Any] | None = None,
        loss: Mapping[str, Any] | None = None,
    ) -> Task:
        """Return the training faces' parts as a task; further arguments as of :meth:`DataSet.load`.

        With a :attr:`recipe` it is the task of its last stage, whose last step says the rest.

        Args:
            crops: Fields of :class:`groupnas.landmarks.roles.Gaze` that differ from the local
                network's.
            loss: Fields of :class:`groupnas.landmarks.losses.LandmarkLoss`.
        """
        from groupnas.landmarks.load import load_landmarks
        from groupnas.landmarks.losses import LandmarkLoss
        from groupnas.landmarks.roles import PART_LOOK

        if self.recipe is not None:
            from groupnas.landmarks.recipe import load_recipe
            from groupnas.landmarks.stage_task import last_space, load_last

            if crops or loss:
                raise InputError(f"{self.name}:{self.recipe}: its recipe says crops and loss")
            recipe = load_recipe(self.recipe)
            return load_last(
                recipe,
                self,
                root,
                last_space(recipe, self.markup),
                allow_partial=allow_partial,
                limit=limit,
                cache=cache,
            )
        return load_landmarks(
            self,
            root,
            replace(PART_LOOK, **(crops or {})),
            loss=LandmarkLoss(**loss) if loss else None,
            allow_partial=allow_partial,
            limit=limit,
            cache=cache,
        )

    def preview(
        self, *, root: Path | None, allow_partial: bool = False, recipe: str | None = None
    ) -> Figure:
        """Draw faces, the boxes of their parts, and the crops as they are and augmented."""
        from groupnas.landmarks.preview import preview

        return preview(self, root, allow_partial, recipe)


def face_set(name: str) -> FaceDataSet:
    """Return the data set of faces that a name means.

    Raises:
        InputError: no such data set, or it is not of faces.
    """
    found = find_dataset(name)
    if not isinstance(found, FaceDataSet):
        raise InputError(f"{name!r} is not a data set of faces")
    return found
