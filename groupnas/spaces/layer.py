"""The compiled form of a space: primitive layers, in blocks that read and add earlier ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Activation = Literal["relu", "relu6", "hardswish", "none"]
LayerOp = Literal["conv", "depthwise", "linear", "avgpool", "maxpool"]

INPUT = "input"  # where a block is named: the network's own input


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One primitive layer between two channel units.

    Attributes:
        name: E.g. ``stage2.block1.expand``.
        op: The primitive operator; depthwise and pooling keep each channel to itself.
        in_unit: Channel unit of the input.
        out_unit: Channel unit of the output; the input's where each channel is kept to itself.
        in_channels: Channels of the input unit.
        out_channels: Channels of the output unit.
        in_size: Input height and width; (1, 1) behind a linear layer.
        out_size: Output height and width.
        kernel: k of a k x k window (0: a linear layer).
        stride: Of the window.
        dilation: Of the window.
        norm: BatchNorm follows.
        act: Activation that follows.
        bias: The layer has a bias.
    """

    name: str
    op: LayerOp
    in_unit: str
    out_unit: str
    in_channels: int
    out_channels: int
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    kernel: int = 0
    stride: int = 1
    dilation: int = 1
    norm: bool = False
    act: Activation = "none"
    bias: bool = False

    @property
    def padding(self) -> int:
        """Zeros around the input: a convolution keeps positions, a pooling window has none."""
        if self.op in ("conv", "depthwise"):
            return self.dilation * (self.kernel - 1) // 2
        return 0

    @property
    def window(self) -> dict[str, Any]:
        """Keyword arguments of a convolution module."""
        return {
            "kernel_size": self.kernel,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
        }

    @property
    def mixes_channels(self) -> bool:
        """Whether outputs depend on more than their own channel: where masks apply."""
        return self.op in ("conv", "linear")

    @property
    def positions(self) -> int:
        """Features that a linear layer sees of each input channel."""
        return self.in_size[0] * self.in_size[1] if self.op == "linear" else 1


@dataclass(frozen=True, kw_only=True)
class Block:
    """Layers in sequence, behind an earlier block.

    Attributes:
        name: E.g. ``stage2.block1``.
        layers: First to last.
        source: The block whose output the first layer reads, or ``"input"``.
        plus: The block whose output (or ``"input"``) is added to the last layer's; the source
            itself in a residual block.
        frees: The blocks whose outputs nobody reads behind this one.
    """

    name: str
    layers: tuple[Layer, ...]
    source: str
    plus: str | None = None
    frees: tuple[str, ...] = ()
