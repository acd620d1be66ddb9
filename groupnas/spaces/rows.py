"""Rows of the layer table, and the operators that they may name.

An operator says how rows spell it, which keys they have, and which layers it expands into. Those
that are one layer are operations as well: :mod:`groupnas.spaces.layer`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from groupnas.schema import EITHER, One, Settings, Several
from groupnas.spaces.behind import NONE, ActivationName, NormalisationName
from groupnas.spaces.rooms import Catalogue, Named, import_offered

# What a slip of the finger or damage adds to a number must not take all memory to refuse.
Extent = Annotated[int, Field(ge=1, le=2**16, strict=True)]
Few = Annotated[int, Field(ge=1, le=256, strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Each(Settings):
    """A number for every group: ``{each: 4}``."""

    each: Extent


# One name is short for a list of one
Names = Annotated[
    list[Name],
    Field(min_length=1),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
]


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place of a row, or of a repetition of it.

    Attributes:
        name: Of its block.
        first: It is the row's first repetition.
        stride: 1 behind the first.
        source: The block that it reads.
        channels: Of what it reads.
        joint: These belong to no group.
        size: Height and width of what it reads.
        act: The file's activation.
        outputs: Of the network.
        width: Channels that the row puts out, all groups together; ``None`` where it says none.
    """

    name: str
    first: bool
    stride: int
    source: str
    channels: int
    joint: bool
    size: tuple[int, int]
    act: str
    outputs: int
    width: int | None

    def keeps(self, joint: bool) -> bool:
        """Return whether what it reads can be added to its output, which is joint or not."""
        ends = (self.channels, self.joint) == (self.width, joint)
        return self.stride == 1 and ends


@dataclass(frozen=True, kw_only=True)
class Step:
    """A layer of a draft, of what the one before it puts out.

    Its attributes are those of :class:`groupnas.spaces.layer.Layer`; but the output's unit is not
    yet known, only its end, and ``None`` stands for the input's unit and channels.
    """

    name: str
    op: str
    out_unit: str | None = None
    out_channels: int | None = None
    kernel: int = 0
    stride: int = 1
    dilation: int = 1
    norm: bool | str = False
    act: str = NONE
    bias: bool = False
    joint_out: bool = False


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A block to be: its layers in sequence, of units and sizes not yet known.

    Attributes:
        name: Of the block.
        steps: First to last.
        source: The block that it reads; ``None``: the one before it.
        plus: The block whose output is added, so that both ends are one unit.
    """

    name: str
    steps: tuple[Step, ...]
    source: str | None = None
    plus: str | None = None


class Operator(Named, ABC):
    r"""The meaning of a row's ``op``.

    Attributes:
        name: Unique; as layers have it.
        pattern: What files write, as a regular expression; its first group, if any, is the kernel.
        spelled: The same for people: ``convKxK``.
        required: Keys that a row must have.
        allowed: Keys that it may have, too.
        kernel: Where the row names none.
        odd: Takes odd kernels alone.
        flat: Flattens what it reads; its output has no positions.
        ends: A row without ``c`` is the network's output.
        numbered: Blocks are numbered even where the row is not repeated.
    """

    pattern: ClassVar[str]
    spelled: ClassVar[str]
    required: ClassVar[frozenset[str]] = frozenset()
    allowed: ClassVar[frozenset[str]] = frozenset()
    kernel: ClassVar[int | None] = None
    odd: ClassVar[bool] = False
    flat: ClassVar[bool] = False
    ends: ClassVar[bool] = False
    numbered: ClassVar[bool] = False

    @abstractmethod
    def drafts(self, row: Row, place: Place) -> list[Draft]:
        """Return the blocks that a row means; the last one's output is the row's.

        Raises:
            InputError: the row does not fit what it reads.
        """


OPERATORS: Catalogue[Operator] = Catalogue("an operator")


class Row(Settings):
    """One row of the layer table; ``t c n s`` are those of MobileNetV2 and of Table II.

    Attributes:
        name: Prefix of the row's layers and units; lower case, digits and underscores.
        op: The operator, with its kernel: ``conv3x3``, ``irb``, ``linear`` ...
        t: Expansion ratio of an inverted residual block; 1 means no expansion.
        c: Output channels, or ``{each: N}``, so many for every group. A ``linear`` without it is
            the network's output.
        n: How often the row is repeated; all but the first have stride 1.
        s: Stride of the first.
        d: Dilation of the spatial convolutions.
        act: Activation; the file's where not given (none behind the network's output).
        norm: Whether BatchNorm follows, or the name of another normalisation.
        bias: Whether the convolution has a bias; by default where no normalisation follows.
        joint: Its channels belong to no group: every group reads them, and they read what all
            groups put out. Its weights and those of the rows that read it are dense.
        reads: The rows that it reads, ``from`` in the file; by default the row above. ``input`` is
            the network's own. Only the network's output may read several: their features,
            flattened, one after the other.
    """

    name: Name
    op: str
    t: Few | None = None
    c: Annotated[One[Extent] | Several[Each], EITHER] | None = None
    n: Few = 1
    s: Extent = 1
    d: Extent = 1
    act: ActivationName | None = None
    norm: NormalisationName = True
    bias: bool | None = None
    joint: bool = False
    reads: Names | None = Field(default=None, alias="from")

    @property
    def operator(self) -> Operator:
        """The operator that :attr:`op` names."""
        return _spelled(self.op)[0]

    @property
    def kernel(self) -> int | None:
        """Kernel size; ``None`` for linear and global pooling, 3 for a plain ``irb``."""
        operator, kernel = _spelled(self.op)
        return operator.kernel if kernel is None else kernel

    @model_validator(mode="after")
    def _operator_and_keys(self) -> Row:
        operator = self.operator
        given = self.model_fields_set - {"name", "op", "reads"}
        told = {key for key in given if getattr(self, key) is not None}
        if missing := sorted(operator.required - told):
            raise ValueError(f"{missing[0]}: missing; op {self.op} needs it")
        if unknown := sorted(given - operator.required - operator.allowed):
            raise ValueError(f"{unknown[0]}: op {self.op} does not take it")
        if operator.odd and (self.kernel or 1) % 2 == 0:
            raise ValueError(
                f"op: {self.op!r}: convolutions take odd kernels, which keep positions"
            )
        return self


def _spelled(op: str) -> tuple[Operator, int | None]:
    """The operator that a row names, and the kernel if it names one."""
    found = _matching(op)
    if found is None:
        import_offered()
        found = _matching(op)
    if found is not None:
        return found
    choices = ", ".join(operator.spelled for operator in OPERATORS.values())
    raise ValueError(f"op: {op!r} is not an operator; choose from: {choices}")


def _matching(op: str) -> tuple[Operator, int | None] | None:
    for operator in OPERATORS.values():
        if match := re.fullmatch(operator.pattern, op):
            kernel = next(iter(match.groups()), None)
            return operator, None if kernel is None else int(kernel)
    return None
