"""A node of a deployed network, and the memory format in which ONNX Runtime computes it.

On a CPU there are two. *Blocked* (NCHWc) keeps ``block`` channels of a position side by side and
has kernels of its own; *plain* (NCHW) unfolds the input and multiplies matrices, group by group.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from groupnas.spaces.behind import NONE, Hardswish, Relu, Relu6
from groupnas.spaces.layer import Layer
from groupnas.spaces.operations import (
    ActivationAlone,
    AveragePool,
    Convolution,
    Linear,
    MaxPool,
)
from groupnas.spaces.rooms import Room

Format = Literal["blocked", "plain"]


@dataclass(frozen=True)
class Kernel:
    """One node: a layer's operator with so many equal groups, and its activation.

    Attributes:
        layer: Its operator, window, sizes and activation; its own numbers of channels do not
            matter. BatchNorm is taken as folded into the weights.
        groups: How many. Where each channel is kept to itself, its channels; of a linear layer,
            nodes beside each other.
        inputs: Input channels of a group; 1 where each channel is kept to itself.
        outputs: Output channels of a group, likewise.
    """

    layer: Layer
    groups: int
    inputs: int
    outputs: int

    @property
    def channelwise(self) -> bool:
        """True where each channel is kept to itself; also for a convolution of 1 channel to 1."""
        return not self.layer.mixes_channels or (
            self.layer.operation.grouped and self.groups > 1 and self.inputs == self.outputs == 1
        )

    @property
    def shape(self) -> tuple[Any, ...]:
        """The key that kernels of one time have in common; a hardswish is a node of its own."""
        layer = self.layer
        behind = behind_kernel(layer)
        act = NONE if behind is not None and behind.alone else layer.act
        window = (layer.kernel, layer.stride, layer.dilation)
        sizes = (layer.in_size, layer.out_size)
        return (layer.op, window, *sizes, self.groups, self.inputs, self.outputs, act)

    @property
    def in_elements(self) -> int:
        """Elements that an image's input has."""
        return self.groups * self.inputs * self.layer.in_size[0] * self.layer.in_size[1]

    @property
    def out_elements(self) -> int:
        """Elements that an image's output has."""
        return self.groups * self.outputs * self.layer.out_size[0] * self.layer.out_size[1]


def kernel_format(kernel: Kernel, block: int) -> Format:
    """The format that ONNX Runtime chooses for a kernel.

    Blocked are: a convolution without groups that reads a multiple of 4 channels, or fewer than a
    block (those it reads in plain format, and writes blocked); a depthwise one of a multiple of 4
    channels; a grouped one whose groups read and write whole blocks; a pooling of whole blocks.

    Args:
        kernel: Any.
        block: Channels of a block: 16 with AVX-512, 8 on other CPUs; 0 without blocked kernels.

    Source: ``NchwcTransformerImpl`` of ONNX Runtime 1.31.
    """
    rule = KERNELS[kernel.layer.operation]
    if not block or not rule.blocked:
        return "plain"
    if kernel.channelwise:
        blocked = kernel.groups % (rule.multiple or block) == 0
    elif kernel.groups == 1:
        blocked = kernel.inputs % 4 == 0 or kernel.inputs < block
    else:
        blocked = kernel.inputs % block == 0 and kernel.outputs % block == 0
    return "blocked" if blocked else "plain"


def input_format(kernel: Kernel, block: int) -> Format:
    """The format that a kernel reads: a blocked one of few channels reads them plain."""
    few = kernel.groups == 1 and kernel.inputs < block and not kernel.channelwise
    return "plain" if few else kernel_format(kernel, block)


def padded_kernel(kernel: Kernel, block: int) -> Kernel:
    """Return what is computed for a kernel: in blocked format, whole blocks of channels."""
    if kernel_format(kernel, block) == "plain":
        return kernel
    if kernel.channelwise:
        return replace(kernel, groups=whole_blocks(kernel.groups, block))
    reads_plain = input_format(kernel, block) == "plain"
    return replace(
        kernel,
        inputs=kernel.inputs if reads_plain else whole_blocks(kernel.inputs, block),
        outputs=whole_blocks(kernel.outputs, block),
    )


def whole_blocks(channels: int, block: int) -> int:
    """The next multiple of a block, at least one."""
    return max(1, -(-channels // block)) * block


# -- what ONNX Runtime does for an operation, and behind it ----------------------------------------


@dataclass(frozen=True, kw_only=True)
class KernelRule:
    """The way in which ONNX Runtime computes an operation.

    Attributes:
        node: ONNX's operator.
        regime: What its kernels are called that keep each channel to itself, or that are flat.
        blocked: There are blocked kernels.
        multiple: Of how many channels one must have that keeps each to itself; 0: whole blocks.
    """

    node: str
    regime: str
    blocked: bool = True
    multiple: int = 0


@dataclass(frozen=True, kw_only=True)
class BehindRule:
    """The way in which ONNX Runtime computes an activation behind a kernel.

    Attributes:
        node: ONNX's operator.
        numbers: Its further inputs.
        alone: The pass of a latency table that it is, where no kernel computes it as well.
    """

    node: str
    numbers: tuple[float, ...] = ()
    alone: str | None = None


KERNELS: Room[KernelRule] = Room("the latency table", f"{__name__}.KERNELS")
BEHIND: Room[BehindRule] = Room("the latency table", f"{__name__}.BEHIND")

BEHIND.register(Relu)(BehindRule(node="Relu"))
BEHIND.register(Relu6)(BehindRule(node="Clip", numbers=(0.0, 6.0)))
BEHIND.register(Hardswish)(BehindRule(node="HardSwish", alone="hardswish"))


def behind_kernel(layer: Layer) -> BehindRule | None:
    """The activation behind a layer, if it has one; BatchNorm is in its weights."""
    return None if layer.activation is None else BEHIND[layer.activation]


KERNELS.register(Convolution)(KernelRule(node="Conv", regime="depthwise", multiple=4))
KERNELS.register(Linear)(KernelRule(node="Gemm", regime="linear", blocked=False))
KERNELS.register(AveragePool)(KernelRule(node="AveragePool", regime="pooling"))
KERNELS.register(MaxPool)(KernelRule(node="MaxPool", regime="pooling"))
KERNELS.register(ActivationAlone)(KernelRule(node="Identity", regime="pooling"))  # a pass, too
