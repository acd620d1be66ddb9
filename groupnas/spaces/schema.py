"""The search-space file: a layer table that reads like the paper's Table II.

This is the file's edge: what passes here has the right keys, types and ranges. What the rows mean
together is decided in :mod:`groupnas.spaces.compiler`.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from groupnas.schema import Settings, read_yaml, validate
from groupnas.spaces.behind import ActivationName
from groupnas.spaces.rows import Extent, Name, Row


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

    inputs: dict[str, Extent] | None = None
    outputs: dict[str, Extent] | None = None
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
    input: tuple[Extent, Extent]
    groups: Annotated[list[Name], Field(min_length=1)]
    inputs: dict[str, Extent] | None = None
    outputs: dict[str, Extent] | None = None
    variants: dict[str, Variant] = {}
    published: list[Published] = []
    act: ActivationName = "relu6"
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
