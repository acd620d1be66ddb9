"""Look twice: at crops and at their mirror images, and answer with the points in between.

Source: Earp et al., "Sub-pixel face landmarks using heatmaps and a bag of tricks", section 5.1,
where one point from both heatmaps together was no better than from one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.landmarks.cascade import Cascade, Stage
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.roles import Cells
from groupnas.spaces.network import GroupedNetwork


def mirror_crops(crops: Tensor, markup: Markup) -> Tensor:
    """Return crops ``(B, P D, C, C)`` of the mirrored faces: the left eye's is of the right eye."""
    regions = crops.unflatten(1, (len(markup.parts), -1))
    return regions[:, list(markup.flipped_parts)].flip(-1).flatten(1, 2)


def mirror_points(points: Tensor, markup: Markup) -> Tensor:
    """Return points ``(B, 2 K)`` in box units of the mirrored faces, each under its new name.

    K are those of the markup's parts, in their order.
    """
    pairs = points.unflatten(1, (-1, 2))[:, list(markup.part_flip)]
    return (pairs * pairs.new_tensor([-1.0, 1.0])).flatten(1)


class Mirrored(nn.Module):
    """A network that looks at crops and at their mirror images, in one batch of both.

    Mirrored crops get mirrored points, to rounding: no side is preferred.

    Args:
        network: Maps crops ``(B, P D, C, C)`` to points ``(B, 2 K)`` in box units.
        markup: Whose parts are the regions.
    """

    def __init__(self, network: nn.Module, markup: Markup) -> None:
        super().__init__()
        self.network, self.markup = network, markup

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        return cast(GroupedNetwork, self.network).input_shape

    def forward(self, x: Tensor) -> Tensor:
        """Return the points between both answers to crops, ``(B, 2 K)``."""
        both = self.network(torch.cat([x, mirror_crops(x, self.markup)]))
        plain, mirrored = cast(Tensor, both).chunk(2)
        return (plain + mirror_points(mirrored, self.markup)) / 2


def looking_twice(cascade: Cascade) -> Cascade:
    """Return the same cascade with stages that look twice; it takes twice the time.

    Raises:
        InputError: a stage looks at features, which nothing mirrors; points that nobody said
            become which others.
    """
    if cascade.markup.flip is None:
        raise InputError(
            f"--mirrored: {cascade.markup.name} says not which points mirroring makes of which; "
            "leave it out"
        )
    for name, role in cascade.roles.items():
        if isinstance(role.look, Cells):
            raise InputError(
                f"--mirrored: the model's stage {name} looks at features of {role.look.stage}, not "
                "at crops that could be mirrored; leave it out"
            )

    def twice(stage: Stage) -> Stage:
        if isinstance(stage.network, Mirrored):  # its own role says so
            return stage
        network = Mirrored(stage.network, stage.regions)
        return replace(stage, network=network.train(stage.network.training))

    return replace(cascade, stages={name: twice(one) for name, one in cascade.stages.items()})
