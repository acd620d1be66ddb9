"""MobileNetV2's block."""

from __future__ import annotations

from groupnas.spaces.operations.convolution import Conv, Depthwise
from groupnas.spaces.rows import OPERATORS, Draft, Operator, Place, Row, Step


@OPERATORS.register
class InvertedResidual(Operator):
    """Expand by t, convolve each channel, project; added to the input where that fits.

    It does where channels are as many and belong to groups, or to none, on both sides.
    """

    name, spelled, pattern = "irb", "irb, irbKxK", r"irb(?:([1-9])x\1)?"
    required, allowed = frozenset({"t", "c"}), frozenset({"n", "s", "d", "act", "joint"})
    kernel = 3
    odd = numbered = True

    def drafts(self, row: Row, place: Place) -> list[Draft]:
        """Return one block."""
        assert row.t is not None and place.width is not None and row.kernel is not None
        name, act = place.name, row.act or place.act
        expand = Step(
            name=f"{name}.expand",
            op=Conv.name,
            out_unit=f"{name}.hidden",
            out_channels=row.t * place.channels,
            kernel=1,
            norm=True,
            act=act,
            joint_out=row.joint,
        )
        depthwise = Step(
            name=f"{name}.depthwise",
            op=Depthwise.name,
            kernel=row.kernel,
            stride=place.stride,
            dilation=row.d,
            norm=True,
            act=act,
        )
        project = Step(
            name=f"{name}.project",
            op=Conv.name,
            out_unit=f"{row.name if place.first else name}.trunk",
            out_channels=place.width,
            kernel=1,
            norm=True,
            joint_out=row.joint,
        )
        steps = (expand, depthwise, project) if row.t > 1 else (depthwise, project)
        return [
            Draft(name=name, steps=steps, plus=place.source if place.keeps(row.joint) else None)
        ]
