"""The layout of int8 networks: every layer without groups, in channels that int8 kernels like.

ONNX Runtime's int8 kernels keep the channels of a position side by side. There grouped kernels are
slower, up to 9 times, than dense ones that compute the zeros between groups, too; depthwise ones
take twice as long for channels that are no multiple of 16, and a convolution that reads 3 channels
twice as long as one that reads 4. ``benchmarks/int8.py --layouts`` times networks both ways.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from groupnas.deploy.layout import Layout
from groupnas.deploy.network import DeployedNetwork
from groupnas.deploy.plan import LayerPlan, LayoutPlan
from groupnas.errors import InputError
from groupnas.spaces.network import GroupedNetwork

MULTIPLE = 16  # of a unit's channels
INPUT_MULTIPLE = 4  # of the input's: wider ones would be unfolded at a higher cost


class DensePlanner:
    """Lays networks out for int8; takes the place of a
    :class:`groupnas.deploy.planner.LayoutPlanner`, whose times are of float32 kernels."""

    def __call__(self, network: GroupedNetwork) -> DenseNetwork:
        """The network without groups, BatchNorm folded into its weights.

        Outputs are the network's in evaluation mode, up to rounding; inputs and outputs keep their
        order. The network itself is not changed.

        Raises:
            InputError: a network whose groups share channels, which has no layout to choose.
        """
        if not network.isolated:
            raise InputError(
                "the network's groups share channels: it cannot be laid out; export it without a "
                "planner (--plain)"
            )
        first, last = network.plan[0].layers[0].in_unit, network.plan[-1].layers[-1].out_unit
        multiples = {first: INPUT_MULTIPLE, last: 1}
        layouts = {
            unit: _layout(sizes, multiples.get(unit, MULTIPLE))
            for unit, sizes in network.sizes.items()
        }
        layers = []
        for layer in (layer for block in network.plan for layer in block.layers):
            inputs, outputs = layouts[layer.in_unit], layouts[layer.out_unit]
            layers.append(
                LayerPlan(
                    layer=layer,
                    form="dense" if layer.mixes_channels else "channelwise",
                    groups=1 if layer.mixes_channels else inputs.channels,
                    inputs=inputs,
                    outputs=outputs,
                    ms=math.nan,  # no cost model decided
                )
            )
        return DenseNetwork(network, LayoutPlan(tuple(layers), "none"))


class DenseNetwork(DeployedNetwork):
    """A network as a :class:`DensePlanner` lays it out; pads its input with channels of zeros."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C_in, H, W)`` to ``(N, outputs)``."""
        missing = self.plan.layers[0].inputs.channels - x.shape[1]
        return super().forward(F.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x)


def _layout(sizes: tuple[int, ...], multiple: int) -> Layout:
    return Layout(sizes, (tuple(range(len(sizes))),), -(-sum(sizes) // multiple) * multiple)
