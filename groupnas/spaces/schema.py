"""The search-space file: a layer table that reads like the paper's Table II.

This is the file's edge: what passes here has the right keys, types and ranges. What the rows mean
together is decided in :mod:`groupnas.spaces.compiler`.
"""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from groupnas.schema import Settings, read_yaml, validate
from groupnas.spaces.layer import Activation

# What a slip of the finger or damage adds to a number must not take all memory to refuse.
Positive = Annotated[int, Field(ge=1, le=2**16, strict=True)]
Few = Annotated[int, Field(ge=1, le=256, strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

# One name is short for a list of one
Names = Annotated[
    list[Name],
    Field(min_length=1),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
]

# operator -> the keys it must have, the keys it may have
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "conv": ({"c"}, {"n", "s", "d", "act", "norm", "bias"}),
    "irb": ({"t", "c"}, {"n", "s", "d", "act"}),
    "dwconv": (set(), {"n", "s", "d", "act", "norm", "bias"}),
    "avgpool": (set(), {"s"}),
    "maxpool": (set(), {"s"}),
    "linear": (set(), {"c", "act", "bias"}),
}
_PLAIN = {"irb", "linear", "avgpool"}
_OPERATOR = re.compile(r"(conv|dwconv|avgpool|maxpool|irb)([1-9])x\2")
OPERATORS = "convKxK, dwconvKxK, irb, irbKxK, avgpool (global), avgpoolKxK, maxpoolKxK, linear"


class Row(Settings):
    """One row of the layer table; ``t c n s`` are those of MobileNetV2 and of Table II.

    Attributes:
        name: Prefix of the row's layers and units; lower case, digits and underscores.
        op: The operator, with its kernel: ``conv3x3``, ``irb``, ``linear`` ...
        t: Expansion ratio of an inverted residual block; 1 means no expansion.
        c: Output channels. A ``linear`` without it is the network's output.
        n: How often the row is repeated; all but the first have stride 1.
        s: Stride of the first.
        d: Dilation of the spatial convolutions.
        act: Activation; the file's where not given (none behind the network's output).
        norm: Whether BatchNorm follows.
        bias: Whether the convolution has a bias; by default where no BatchNorm follows.
        reads: The rows that it reads, ``from`` in the file; by default the row above. ``input`` is
            the network's own. Only the network's output may read several: their features,
            flattened, one after the other.
    """

    name: Name
    op: str
    t: Few | None = None
    c: Positive | None = None
    n: Few = 1
    s: Positive = 1
    d: Positive = 1
    act: Activation | None = None
    norm: bool = True
    bias: bool | None = None
    reads: Names | None = Field(default=None, alias="from")

    @property
    def kind(self) -> str:
        """The operator without its kernel."""
        return re.sub(r"\dx\d$", "", self.op)

    @property
    def kernel(self) -> int | None:
        """Kernel size; ``None`` for linear and global pooling, 3 for a plain ``irb``."""
        match = _OPERATOR.fullmatch(self.op)
        return int(match[2]) if match else (3 if self.op == "irb" else None)

    @model_validator(mode="after")
    def _operator_and_keys(self) -> Row:
        if self.op not in _PLAIN and not _OPERATOR.fullmatch(self.op):
            raise ValueError(f"op: {self.op!r} is not an operator; choose from: {OPERATORS}")
        required, allowed = _KEYS[self.kind]
        given = self.model_fields_set - {"name", "op", "reads"}
        if missing := sorted(required - given):
            raise ValueError(f"{missing[0]}: missing; op {self.op} needs it")
        if unknown := sorted(given - required - allowed):
            raise ValueError(f"{unknown[0]}: op {self.op} does not take it")
        if (self.kernel or 1) % 2 == 0 and self.kind in ("conv", "dwconv", "irb"):
            raise ValueError(
                f"op: {self.op!r}: convolutions take odd kernels, which keep positions"
            )
        return self


class Published(Settings):
    """A published cost of each group, to print beside ours.

    Attributes:
        label: Where it stands and what it is of.
        per_group: Operations of each group, in the convention of the publication.
    """

    label: str
    per_group: dict[str, Annotated[float, Field(gt=0)]]


class Variant(Settings):
    """What a variant of the space replaces, e.g. another number of points to predict."""

    inputs: dict[str, Positive] | None = None
    outputs: dict[str, Positive] | None = None
    published: list[Published] = []


class SpaceFile(Settings):
    """A whole search-space file.

    Attributes:
        format: 1.
        title: One line for lists.
        source: Where the architecture was published.
        input: Height and width of the input.
        groups: Group names, in the order of input channels and outputs; a single one makes a
            network without groups.
        inputs: Input channels of each group.
        outputs: Network outputs of each group.
        variants: Named replacements of what is above; the first is the default.
        published: Figures of others, to print beside ours.
        act: Activation of every convolution but an IRB's projection.
        layers: The layer table, input to output.
    """

    format: Literal[1]
    title: str
    source: str = ""
    input: tuple[Positive, Positive]
    groups: Annotated[list[Name], Field(min_length=1)]
    inputs: dict[str, Positive] | None = None
    outputs: dict[str, Positive] | None = None
    variants: dict[str, Variant] = {}
    published: list[Published] = []
    act: Activation = "relu6"
    layers: Annotated[list[Row], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _variant_names(cls, data: Any) -> Any:
        # `68:` is a number to YAML and a name to us
        if isinstance(data, dict) and isinstance(data.get("variants"), dict):
            variants = {
                str(key) if type(key) is int else key: value
                for key, value in data["variants"].items()
            }
            if len(variants) < len(data["variants"]):
                raise ValueError("variants: a name stands twice")
            return {**data, "variants": variants}
        return data

    @model_validator(mode="after")
    def _names(self) -> SpaceFile:
        if len(set(self.groups)) != len(self.groups):
            raise ValueError("groups: a name stands twice")
        if "mean" in self.groups:
            raise ValueError("groups: mean is what the mean of all is called; take another name")
        names = [row.name for row in self.layers]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"layers.{index}.name: {name!r} stands twice")
        for label, table in self._tables():
            if table is not None and set(table) != set(self.groups):
                raise ValueError(f"{label}: expected exactly the groups {', '.join(self.groups)}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """The file's data as it was written.

        Without defaults: a row must not have keys, empty ones included, that its operator does not
        take.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def _tables(self) -> list[tuple[str, dict[str, int] | None]]:
        tables = [("inputs", self.inputs), ("outputs", self.outputs)]
        for key, variant in self.variants.items():
            tables += [
                (f"variants.{key}.inputs", variant.inputs),
                (f"variants.{key}.outputs", variant.outputs),
            ]
        return tables


def read_space_file(path: str | os.PathLike[str]) -> SpaceFile:
    """Read and check a search-space file.

    Raises:
        InputError: not readable, not YAML, or wrong; names the file and every key at fault.
    """
    return validate(SpaceFile, read_yaml(path), str(path))
