"""ResNet's block, and the activation behind a sum."""

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
        """Return the shortcut, where the input cannot be added as it is; both; the activation."""
        name, act = place.name, row.act or place.act
        alike: dict[str, Any] = {
            "op": Conv.name,
            "out_channels": place.width,
            "norm": True,
            "joint_out": row.joint,
        }
        first = Step(
            name=f"{name}.first",
            out_unit=f"{name}.hidden",
            kernel=row.kernel or 1,
            stride=place.stride,
            act=act,
            **alike,
        )
        second = Step(
            name=f"{name}.second", out_unit=f"{name}.trunk", kernel=row.kernel or 1, **alike
        )
        added, before = place.source, []
        if not place.keeps(row.joint):
            added = f"{name}.shortcut"
            shortcut = Step(name=added, out_unit=added, kernel=1, stride=place.stride, **alike)
            before = [Draft(name=added, steps=(shortcut,))]
        both = Draft(name=f"{name}.sum", steps=(first, second), source=place.source, plus=added)
        if act == NONE:
            return [*before, replace(both, name=name)]
        behind = Step(name=f"{name}.act", op=ActivationAlone.name, kernel=1, act=act)
        return [*before, both, Draft(name=name, steps=(behind,))]
