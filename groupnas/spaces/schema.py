"""The search-space file: a layer table that reads like the paper's Table II.

This is the file's edge: what passes here has the right keys, types and ranges. What the rows mean
together is decided in :mod:`groupnas.spaces.compiler`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.schema import EITHER, One, Settings, Several, read_yaml, validate
from groupnas.spaces.behind import ActivationName
from groupnas.spaces.rows import Extent, Few, Name, Row

SHARED = "shared"  # in tables of groups: what belongs to none of them


Groups = Annotated[One[Few] | Several[Annotated[list[Name], Field(min_length=1)]], EITHER]
PerGroup = dict[str, Extent]
Inputs = Annotated[One[Extent] | Several[PerGroup], EITHER]
EACH = {"each"}


class Published(Settings):
    """A published cost of each group, to print beside ours.

    Attributes:
        label: Where it stands and what it is of.
        per_group: Operations of each group, in the convention of the publication.
    """

    label: str
    per_group: dict[str, Annotated[float, Field(gt=0)]]


class Variant(Settings):
    """The values that a variant of the space replaces, e.g. another number of points to predict.

    Attributes:
        groups: As of the file, and so are inputs, outputs and published figures.
        layers: Other values of a row's keys, by the row's name; ``null`` leaves the row out.
    """

    groups: Groups | None = None
    inputs: Inputs | None = None
    outputs: PerGroup | None = None
    published: list[Published] = []
    layers: dict[Name, dict[str, Any] | None] = {}


class SpaceFile(Settings):
    """A whole search-space file.

    Attributes:
        format: 1.
        title: One line for lists.
        source: Where the architecture was published.
        input: Height and width of the input.
        groups: Group names, in the order of input channels and outputs; a single one makes a
            network without groups. A number N stands for N groups, ``g0`` to ``gN-1``.
        inputs: Input channels of each group, ``{each: N}`` where all have as many; a number alone
            is of channels that all groups read.
        outputs: Network outputs of each group, likewise.
        variants: Named replacements of what is above; the first is the default.
        published: Figures of others, to print beside ours.
        act: Activation of every convolution but an IRB's projection.
        layers: The layer table, input to output.
    """

    format: Literal[1]
    title: str
    source: str = ""
    input: tuple[Extent, Extent]
    groups: Groups
    inputs: Inputs | None = None
    outputs: PerGroup | None = None
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
        for groups in (self.groups, *(variant.groups for variant in self.variants.values())):
            _check_names(groups)
        for key in self.variants:
            self.rows(key)
        names = [row.name for row in self.layers]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"layers.{index}.name: {name!r} stands twice")
        for label, table, of in self._tables():
            own = group_names(of or self.groups)
            if isinstance(table, dict) and set(table) not in (set(own), EACH):
                raise ValueError(f"{label}: expected exactly the groups {_some(own)}")
        return self

    def rows(self, variant: str | None = None) -> list[Row]:
        """The layer table of a variant, or as it stands.

        Raises:
            ValueError: the variant has a row that there is not, or a wrong key of one.
        """
        changes = self.variants[variant].layers if variant is not None else {}
        names = [row.name for row in self.layers]
        for name in changes:
            if name not in names:
                raise ValueError(f"variants.{variant}.layers.{name}: {nearest(name, names)}")
        if all(changes.get(name, {}) is None for name in names):
            raise ValueError(f"variants.{variant}.layers: leaves no row")
        return [
            self._changed(row, changes.get(row.name, {}), f"variants.{variant}.layers.{row.name}")
            for row in self.layers
            if changes.get(row.name, {}) is not None
        ]

    def _changed(self, row: Row, changes: Mapping[str, Any] | None, place: str) -> Row:
        if not changes:
            return row
        if "name" in changes:
            raise ValueError(f"{place}.name: rows of all variants are called alike")
        data = row.model_dump(by_alias=True, exclude_unset=True)
        try:
            return validate(Row, {**data, **changes}, place)
        except InputError as error:
            raise ValueError(str(error)) from error

    def to_dict(self) -> dict[str, Any]:
        """The file's data as it was written.

        Without defaults: a row must not have keys, empty ones included, that its operator does not
        take.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def _tables(self) -> Iterator[tuple[str, PerGroup | int | None, Groups | None]]:
        """The tables of groups, and the groups that they are of, where a variant has its own."""
        yield "inputs", self.inputs, None
        yield "outputs", self.outputs, None
        for key, variant in self.variants.items():
            for name in ("inputs", "outputs"):
                table = getattr(variant, name)
                if table is None and variant.groups is not None:  # the file's must do
                    table = getattr(self, name)
                yield f"variants.{key}.{name}", table, variant.groups


def group_names(groups: Groups) -> tuple[str, ...]:
    """The names of a file's groups."""
    if isinstance(groups, int):
        return tuple(f"g{index}" for index in range(groups))
    return tuple(groups)


def of_each(table: PerGroup | int, groups: Sequence[str]) -> dict[str, int]:
    """A number of every group, in the order of ``groups``; or that of all, ``shared``."""
    if isinstance(table, int):
        return {SHARED: table}
    if set(table) == EACH:
        return dict.fromkeys(groups, table["each"])
    return {group: table[group] for group in groups}


def _some(groups: Sequence[str]) -> str:
    return ", ".join(groups if len(groups) < 10 else [*groups[:2], "...", groups[-1]])


def _check_names(groups: Groups | None) -> None:
    if not isinstance(groups, list):
        return
    if len(set(groups)) != len(groups):
        raise ValueError("groups: a name stands twice")
    if "mean" in groups:
        raise ValueError("groups: mean is what the mean of all is called; take another name")


def read_space_file(path: str | os.PathLike[str]) -> SpaceFile:
    """Read and check a search-space file.

    Raises:
        InputError: not readable, not YAML, or wrong; names the file and every key at fault.
    """
    return validate(SpaceFile, read_yaml(path), str(path))
