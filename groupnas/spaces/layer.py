"""The compiled form of a space: primitive layers, in blocks that read and add earlier ones.

What a layer computes is an :class:`Operation`; those that groupnas has are in
:mod:`groupnas.spaces.operations`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from groupnas.errors import InputError
from groupnas.spaces.behind import (
    ACTIVATIONS,
    NONE,
    NORMALISATIONS,
    Activation,
    BatchNorm,
    Behind,
    Normalisation,
)
from groupnas.spaces.rows import OPERATORS, Draft, Operator, Place, Row, Step

if TYPE_CHECKING:
    from torch import Tensor, nn

INPUT = "input"  # where a block is named: the network's own input


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One primitive layer between two channel units.

    Attributes:
        name: E.g. ``stage2.block1.expand``.
        op: Name of its operation.
        in_unit: Channel unit of the input.
        out_unit: Channel unit of the output; the input's where each channel is kept to itself.
        in_channels: Channels of the input unit.
        out_channels: Channels of the output unit.
        in_size: Input height and width; (1, 1) behind a linear layer.
        out_size: Output height and width.
        kernel: k of a k x k window (0: a linear layer).
        stride: Of the window.
        dilation: Of the window.
        norm: BatchNorm follows (``True``), or the normalisation of that name.
        act: Name of the activation that follows; ``none``.
        bias: The layer has a bias.
        joint_in: The input's channels belong to no group: all groups read them.
        joint_out: Likewise the output's: they read the channels of all groups.
    """

    name: str
    op: str
    in_unit: str
    out_unit: str
    in_channels: int
    out_channels: int
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    kernel: int = 0
    stride: int = 1
    dilation: int = 1
    norm: bool | str = False
    act: str = NONE
    bias: bool = False
    joint_in: bool = field(default=False, repr=False)
    joint_out: bool = field(default=False, repr=False)

    @property
    def operation(self) -> Operation:
        """The operation that it computes."""
        return operation(self.op)

    @property
    def normalisation(self) -> Normalisation | None:
        """The normalisation behind it."""
        if not self.norm:
            return None
        return NORMALISATIONS.find(BatchNorm.name if self.norm is True else self.norm)

    @property
    def activation(self) -> Activation | None:
        """The activation behind that."""
        return None if self.act == NONE else ACTIVATIONS.find(self.act)

    @property
    def behind(self) -> list[Behind]:
        """Normalisation and activation, where it has them."""
        return [each for each in (self.normalisation, self.activation) if each is not None]

    @property
    def taps(self) -> tuple[int, ...]:
        """The positions of a channel that an output sees: the window's height and width, or, of a
        layer that flattens, their number."""
        return self.operation.taps(self)

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros around the input, above and below, and on its two sides."""
        return self.operation.padding(self)

    @property
    def window(self) -> dict[str, Any]:
        """Keyword arguments of a convolution module."""
        return {
            "kernel_size": self.taps,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
        }

    @property
    def mixes_channels(self) -> bool:
        """True where outputs depend on more than their own channel."""
        return self.operation.mixes

    @property
    def puts_out(self) -> bool:
        """True where its outputs are the network's, or add up to them with other layers'."""
        return self.out_unit == "output"

    @property
    def joint(self) -> bool:
        """True where an end belongs to no group: weights are dense, and masks do not apply."""
        return self.joint_in or self.joint_out


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

    def resized(self, units: Mapping[str, int]) -> Block:
        """Return the same block with other numbers of channels in its units."""
        layers = (
            replace(layer, in_channels=units[layer.in_unit], out_channels=units[layer.out_unit])
            for layer in self.layers
        )
        return replace(self, layers=tuple(layers))


class Operation(Operator):
    """The computation of a layer; also the operator of the rows that are one such layer.

    Register a class of your own with ``OPERATORS.register``, and a rule for it with every room that
    should know it; what a room does for a class it does for its subclasses, too.

    Attributes:
        mixes: Outputs depend on more than their own channel. If not, input and output are one
            channel unit.
        weighted: There is a weight for each tap, of each pair of channels if they are mixed.
        grouped: :meth:`dense` computes several equal groups.
        passes: What it computes is its input itself, which nothing behind it may change.
    """

    mixes: ClassVar[bool] = True
    weighted: ClassVar[bool] = True
    grouped: ClassVar[bool] = True
    passes: ClassVar[bool] = False

    def drafts(self, row: Row, place: Place) -> list[Draft]:
        """Return one block of one layer."""
        return [Draft(name=place.name, steps=(self.step(row, place),))]

    @abstractmethod
    def step(self, row: Row, place: Place) -> Step:
        """Return the layer that a row means; raises as :meth:`drafts`."""

    # -- shapes -----------------------------------------------------------------------------------

    def taps(self, layer: Layer) -> tuple[int, ...]:
        """Return :attr:`Layer.taps`."""
        return (layer.kernel, layer.kernel)

    def padding(self, layer: Layer) -> tuple[int, int]:
        """Return :attr:`Layer.padding`."""
        return (0, 0)

    def out_size(self, layer: Layer) -> tuple[int, int]:
        """Return the height and width of a layer's output: of a window, as PyTorch floors it.

        Raises:
            InputError: the window does not fit the input.
        """
        reach = [layer.dilation * (taps - 1) + 1 for taps in self.taps(layer)]
        ends = zip(layer.in_size, self.padding(layer), reach, strict=True)
        height, width = ((size + 2 * more - own) // layer.stride + 1 for size, more, own in ends)
        if min(height, width) < 1:
            window = " x ".join(map(str, reach))
            raise InputError(f"a {window} window does not fit its {layer.in_size} input")
        return height, width

    # -- networks ---------------------------------------------------------------------------------

    @abstractmethod
    def dense(self, layer: Layer, inputs: int, outputs: int, **options: Any) -> nn.Module:
        """Return a plain module of so many channels; it reads features if the operation is flat.

        Args:
            layer: Its other settings.
            inputs: Channels.
            outputs: Likewise.
            options: ``groups``, equal ones (1), if :attr:`grouped`; ``bias`` (the layer's); of what
                has weights, ``dtype`` and ``device``.
        """

    @abstractmethod
    def masked(self, layer: Layer, groups: int) -> nn.Module:
        """Return the supernet's module, its weights drawn.

        If channels are mixed, it is called with the input and the masks of its input and its output
        channels, ``(C, groups)`` each.
        """

    @abstractmethod
    def derived(
        self, layer: Layer, inputs: Sequence[int], outputs: Sequence[int]
    ) -> list[nn.Module]:
        """Return the modules that compute groups of these sizes, which do not see each other.

        The last one holds the weights, of all groups together or of each in its ``parts``.
        """

    def numbers(self, layer: Layer) -> int:
        """Return how many numbers biases and normalisations have for each output channel: 1."""
        return 1

    def finish(self, layer: Layer) -> list[nn.Module]:
        """Return what is behind normalisation and activation: nothing."""
        return []

    def weight(self, layer: Layer, module: Any) -> Tensor:
        """Return a view ``(outputs, inputs, *taps)`` of a plain or masked module's weight.

        ``inputs`` is 1 where each channel is kept to itself, and a group's where there are groups.
        """
        weight: Tensor = module.weight
        return weight.view(len(weight), -1, *self.taps(layer))


class Channelwise(Operation):
    """An operation that keeps each channel to itself."""

    mixes = False

    def masked(self, layer: Layer, groups: int) -> nn.Module:
        """Return the plain module, its weights drawn as those of others; masks do not apply."""
        from groupnas.spaces.initial import init_plain

        module = self.dense(layer, layer.in_channels, layer.out_channels)
        init_plain(module)
        return module

    def derived(
        self, layer: Layer, inputs: Sequence[int], outputs: Sequence[int]
    ) -> list[nn.Module]:
        """Return the plain module."""
        return [self.dense(layer, sum(inputs), sum(outputs))]


def operation(name: str) -> Operation:
    """Return the operation of a name.

    Raises:
        InputError: there is none.
    """
    found = OPERATORS[name] if OPERATORS.knows(name) else None
    if not isinstance(found, Operation):
        known = ", ".join(name for name, each in OPERATORS.items() if isinstance(each, Operation))
        raise InputError(f"{name!r} is not an operation; there are {known}")
    return found
