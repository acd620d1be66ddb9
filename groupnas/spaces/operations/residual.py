"""ResNet's blocks, and the activation behind a sum."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from groupnas.errors import InputError
from groupnas.spaces.behind import NONE
from groupnas.spaces.layer import Channelwise, Layer
from groupnas.spaces.operations.convolution import Conv
from groupnas.spaces.rows import OPERATORS, Draft, Operator, Place, Row, Step

if TYPE_CHECKING:
    from torch import nn


@OPERATORS.register
class ActivationAlone(Channelwise):
    """An activation without a layer before it: nothing is computed but what is behind it."""

    name = spelled = pattern = "act"
    allowed = frozenset({"act"})
    weighted, passes = False, True

    def step(self, row: Row, place: Place) -> Step:
        """Return the layer; raises :class:`InputError` where there is no activation."""
        act = row.act or place.act
        if act == NONE:
            raise InputError("act: expected an activation, which is all that this row computes")
        return Step(name=place.name, op=self.name, kernel=1, act=act)

    def dense(self, layer: Layer, inputs: int, outputs: int, **options: Any) -> nn.Module:
        """Return an ``nn.Identity``."""
        from torch import nn

        return nn.Identity()


@OPERATORS.register
class Residual(Operator):
    """Two convolutions, added to the input, or to a pointwise convolution of it; then activated.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, Fig. 2 and
    section 3.3, option B.
    """

    name, spelled, pattern = "residual", "resKxK", r"res([1-9])x\1"
    required, allowed = frozenset({"c"}), frozenset({"n", "s", "act", "joint"})
    odd = numbered = True

    def drafts(self, row: Row, place: Place) -> list[Draft]:
        """Return the shortcut, where the input cannot be added as it is; the sum; the activation.

        Raises:
            InputError: the width is none of such a block.
        """
        name, act = place.name, row.act or place.act
        steps = [
            replace(step, op=Conv.name, norm=True, act=act, joint_out=row.joint)
            for step in self.convolutions(row, place)
        ]
        steps[-1] = replace(steps[-1], act=NONE)
        added, before = place.source, []
        if not place.keeps(row.joint):
            added = f"{name}.shortcut"
            shortcut = replace(steps[-1], name=added, out_unit=added, kernel=1, stride=place.stride)
            before = [Draft(name=added, steps=(shortcut,))]
        both = Draft(name=f"{name}.sum", steps=tuple(steps), source=place.source, plus=added)
        if act == NONE:
            return [*before, replace(both, name=name)]
        behind = Step(name=f"{name}.act", op=ActivationAlone.name, kernel=1, act=act)
        return [*before, both, Draft(name=name, steps=(behind,))]

    def convolutions(self, row: Row, place: Place) -> list[Step]:
        """Return those of the block, with their places, windows and channels alone."""
        return [
            _convolution(place, "first", "hidden", place.width, row.kernel, place.stride),
            _convolution(place, "second", "trunk", place.width, row.kernel),
        ]


@OPERATORS.register
class Bottleneck(Residual):
    """A residual block of three convolutions: the middle one alone is spatial, on a quarter of c.

    A stride is the middle one's, as in implementations since 2016; in the paper, the first one's.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, Fig. 5, right.
    """

    name, spelled, pattern = "bottleneck", "bottleneckKxK", r"bottleneck([1-9])x\1"

    def convolutions(self, row: Row, place: Place) -> list[Step]:
        """Return all three; raises :class:`InputError` where c cannot be divided by 4."""
        assert place.width is not None
        narrow, rest = divmod(place.width, 4)
        if rest:
            raise InputError(
                f"c: op {row.op} computes a quarter of its channels in between; "
                f"expected a multiple of 4, got {place.width}"
            )
        return [
            _convolution(place, "first", "squeezed", narrow),
            _convolution(place, "second", "hidden", narrow, row.kernel, place.stride),
            _convolution(place, "third", "trunk", place.width),
        ]


def _convolution(
    place: Place,
    name: str,
    unit: str,
    channels: int | None,
    kernel: int | None = 1,
    stride: int = 1,
) -> Step:
    return Step(
        name=f"{place.name}.{name}",
        op=Conv.name,
        out_unit=f"{place.name}.{unit}",
        out_channels=channels,
        kernel=kernel or 1,
        stride=stride,
    )
