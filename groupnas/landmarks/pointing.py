"""Networks whose outputs are points, whatever those of the networks inside are."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from groupnas.landmarks.answers import Answer
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.mirrored import Mirrored
from groupnas.landmarks.roles import Gaze, Role
from groupnas.spaces.network import GroupedNetwork


class Pointing(nn.Module):
    """A network whose answers are read: maps ``(B, K, H, W)``, say, as points.

    Args:
        network: Maps crops ``(B, C_in, C, C)`` to its own outputs, group by group.
        answer: What these mean.
        groups: Whose parts are the groups.
        regions: Of the same points, in whose order the points are given.
    """

    def __init__(self, network: nn.Module, answer: Answer, groups: Markup, regions: Markup) -> None:
        super().__init__()
        self.network, self.answer = network, answer
        place = {point: number for number, point in enumerate(groups.part_points)}
        self.order = [place[point] for point in regions.part_points]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        return cast(GroupedNetwork, self.network).input_shape

    def forward(self, x: Tensor) -> Tensor:
        """Return the points ``(B, 2 K)`` of crops, in units of their regions."""
        return self.answer.pairs(self.network(x))[:, self.order].flatten(1)


def pointing(network: nn.Module, role: Role, groups: Markup, regions: Markup) -> nn.Module:
    """The network whose outputs are a stage's points ``(B, 2 K)``; itself where its own are.

    Args:
        network: Of the stage, or the same one laid out for speed.
        role: Of the stage.
        groups: Whose parts are the network's groups.
        regions: Whose parts are the regions that the stage looks at.
    """
    if role.pointed or groups.part_points != regions.part_points:
        network = Pointing(network, role.answer, groups, regions).train(network.training)
    if isinstance(role.look, Gaze) and role.look.mirrored:
        network = Mirrored(network, regions).train(network.training)
    return network
