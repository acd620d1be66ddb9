"""What a recipe asks of a markup: eyes to tell a pose by, curves to look along, mirror images."""

from __future__ import annotations

from groupnas.errors import InputError, naming
from groupnas.landmarks.augment import check_flip
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.recipe import Recipe
from groupnas.landmarks.roles import Gaze


def check_demands(recipe: Recipe, markup: Markup) -> None:
    """Check that a markup has all that a recipe's stages and steps need.

    Raises:
        InputError: names the key, says what the markup lacks, and what to set instead.
    """
    for name, stage in recipe.stages.items():
        if isinstance(stage.look, Gaze):
            with naming(f"stages.{name}.look"):
                _check_look(stage.look, markup)
    for name, step in recipe.steps.items():
        with naming(f"steps.{name}"):
            check_flip(step.augmentation, markup)
            if step.balance_poses and not markup.is_face:
                raise InputError(
                    "balance_poses: this data set's markup has no eyes, nose and mouth to tell a "
                    "pose by; set it to false"
                )
            if step.loss.alpha != 1 and not markup.boundaries:
                raise InputError(
                    "loss.alpha: this data set's markup has no boundaries to look along; set it "
                    "to 1"
                )


def _check_look(look: Gaze, markup: Markup) -> None:
    if look.turned and not markup.is_face:
        raise InputError(
            "frame: five_points: this data set's markup has no eyes, nose and mouth; look at box "
            "or extents"
        )
    if look.contour and not markup.contour:
        raise InputError("contour: all points of this data set's markup are of parts; set it to 0")
    if look.mirrored and markup.flip is None:
        raise InputError(
            "mirrored: this data set's markup says not which points mirroring makes of which; "
            "leave it out"
        )
