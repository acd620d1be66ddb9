"""Cascades on disk: a model card ``NAME.json`` and its weights ``NAME.safetensors`` beside it.

The card holds everything but the numbers: all networks' spaces in full, their groupings, where they
look, what they were trained on by which version, and the scores. Reading executes nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from groupnas._version import __version__
from groupnas.engine.state import StateError, check_like
from groupnas.errors import InputError, naming
from groupnas.files import nearest, read_bytes, read_text, split_choice
from groupnas.grouping import Grouping
from groupnas.landmarks.cascade import Cascade, Stage
from groupnas.landmarks.data.face import BoxPolicy
from groupnas.landmarks.markup import Markup, check_same_points, is_shipped, shipped_markup
from groupnas.landmarks.markup_record import markup_from, markup_record
from groupnas.landmarks.pointing import pointing
from groupnas.landmarks.roles import Cells, Name, Role, check_roles
from groupnas.landmarks.upgrade import upgraded_card, upgraded_tensors
from groupnas.runs.kinds import CASCADE, refusal
from groupnas.saved import parse_saved
from groupnas.schema import Settings, validate
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.schema import SHARED, SpaceFile
from groupnas.spaces.space import SearchSpace, load_space, variant_names
from groupnas.writing import atomic_path, write_text


class StageCard(Role):
    """One stage of a cascade; its role's settings stand beside these.

    Attributes:
        name: Of its space, e.g. ``picasso_local``.
        variant: Of its space.
        space: The space file's content.
        grouping: A grouping as in ``grouping.json``.
    """

    name: str
    variant: str | None
    space: SpaceFile
    grouping: dict[str, Any]

    @field_serializer("space")
    def _as_written(self, space: SpaceFile) -> dict[str, Any]:
        return space.to_dict()


class Card(Settings):
    """All that a person, and a program, should know of a cascade.

    Attributes:
        format: 2; cards of format 1 are read, as if they were written so.
        kind: ``"cascade"``.
        points: Of the markup.
        own: The markup, where it is not one of
            :data:`~groupnas.landmarks.markup.MARKUPS`; ``markup`` in files.
        box: What a face's box is; see :class:`Cascade`.
        stages: In the order in which they look at a face.
        version: Of groupnas, that trained it.
        trained: Data set, samples, fingerprints, recipe: what the training left to say.
        scores: Where it was tested and what came out.
        weights: SHA-256 of the weights file.
    """

    format: Literal[2] = 2
    kind: Literal["cascade"] = "cascade"
    points: int
    own: Markup | None = Field(default=None, alias="markup")
    box: BoxPolicy
    stages: Annotated[dict[Name, StageCard], Field(min_length=1)]
    version: str = __version__
    trained: dict[str, Any]
    scores: dict[str, Any] = {}
    weights: str

    @model_validator(mode="before")
    @classmethod
    def _as_now(cls, data: Any) -> Any:
        return upgraded_card(data)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        check_roles(self.stages)
        return self

    @field_validator("own", mode="before")
    @classmethod
    def _in_full(cls, markup: Any) -> Any:
        return markup if markup is None or isinstance(markup, Markup) else markup_from(markup)

    @field_serializer("own")
    def _recorded(self, own: Markup | None) -> dict[str, Any] | None:
        return None if own is None else markup_record(own)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.own is None:
            shipped_markup(self.points)
        elif self.own.points != self.points:
            raise ValueError(f"markup.points: expected {self.points}, got {self.own.points}")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A markup that ships is told by its points alone."""
        told: dict[str, Any] = write(self)
        return {key: value for key, value in told.items() if key != "markup" or value is not None}

    @property
    def markup(self) -> Markup:
        """The landmarks."""
        return self.own or shipped_markup(self.points)


@dataclass(frozen=True)
class StageNetwork:
    """A trained network and what it takes to build it again.

    Attributes:
        allocation: Its space and grouping.
        role: In its cascade.
        module: With its weights, as :func:`groupnas.Allocation.build` makes it.
    """

    allocation: Allocation
    role: Role
    module: GroupedNetwork

    def pointing(self, module: nn.Module, markup: Markup) -> nn.Module:
        """The module, or the same one laid out for speed, with the stage's points as outputs."""
        look = self.role.look
        groups = look.groups(markup, self.allocation.space.groups)
        return pointing(module, self.role, groups, look.regions(markup))


def save_cascade(
    path: str | os.PathLike[str],
    stages: Mapping[str, StageNetwork],
    *,
    markup: Markup,
    box: BoxPolicy,
    trained: Mapping[str, Any],
    scores: Mapping[str, Any],
) -> Path:
    """Write a cascade; returns the card's path.

    ``path`` is the card's and ends in ``.json``; the rest is what :class:`Card` holds.

    Raises:
        InputError: the files cannot be written.
    """
    card = Path(path)
    tensors = {
        f"{stage}.{name}": value.contiguous()
        for stage, network in stages.items()
        for name, value in network.module.state_dict().items()
    }
    content = save_tensors(tensors)
    with atomic_path(card.with_suffix(".safetensors")) as temporary:
        temporary.write_bytes(content)
    model = Card(
        points=markup.points,
        markup=None if is_shipped(markup) else markup,
        box=box,
        stages={name: _stage_card(network) for name, network in stages.items()},
        trained=dict(trained),
        scores=dict(scores),
        weights=hashlib.sha256(content).hexdigest(),
    )
    write_text(card, model.model_dump_json(indent=2, by_alias=True) + "\n")
    return card


def card_file(path: str | os.PathLike[str]) -> Path:
    """The card that a path means: itself, or the ``model.json`` of a folder."""
    return Path(path) / CASCADE.last if os.path.isdir(path) else Path(path)


def load_network(card: StageCard, tensors: Mapping[str, Tensor], stage: str) -> StageNetwork:
    """The network of one stage with its weights; raises :class:`InputError` as it fits."""
    space = SearchSpace.from_file(card.space, card.name, card.variant)
    allocation = Allocation(space, Grouping.from_dict(card.grouping))
    prefix = f"{stage}."
    state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    with torch.device("meta"):  # before there is memory for whatever the card asks for
        expected = allocation.build().float().state_dict()
    try:
        check_like(state, expected, stage)
    except StateError as error:
        raise InputError(f"the weights are not of this network: {error}") from error
    for name, tensor in state.items():
        if not bool(tensor.isfinite().all()):
            raise InputError(f"{prefix}{name}: a weight is not finite; train the model again")
    module = allocation.build().float()  # as its crops, whatever torch's default dtype is
    module.load_state_dict(state)
    return StageNetwork(allocation, card.role, module)


def load_networks(path: str | os.PathLike[str]) -> tuple[Card, dict[str, StageNetwork]]:
    """The card of a saved cascade, and its networks by stage; as :func:`load_cascade`."""
    file = card_file(path)
    if file.suffix.lower() == ".onnx":
        raise InputError(f"{path}: is an ONNX file; give the model card that it was exported from")
    if os.path.isdir(path) and not os.path.lexists(file):
        raise refusal(path, [CASCADE])
    saved = parse_saved(read_text(file), str(file))
    card = validate(Card, saved, str(file))
    weights = _read_weights(file.with_suffix(".safetensors"), card.weights)
    tensors = upgraded_tensors(saved, weights)
    with naming(file):
        return card, {
            name: load_network(stage, tensors, name) for name, stage in card.stages.items()
        }


def load_first(path: str | os.PathLike[str], markup: Markup) -> StageNetwork:
    """The first network of a saved cascade, which must know the points of a markup.

    Raises:
        InputError: as :func:`load_cascade`; a network of other points.
    """
    card, networks = load_networks(path)
    network = next(iter(networks.values()))
    with naming(path):
        check_stages({"": network.allocation.space}, {"": network.role}, markup)
        check_same_points("the data set", markup, card.markup)
    return network


def load_cascade(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Cascade:
    """Read a cascade from its card, or from the folder that holds ``model.json``.

    Raises:
        InputError: a file is missing, damaged, or does not belong to the other.
    """
    card, networks = load_networks(path)
    told = card.model_dump(mode="json", by_alias=True)
    with naming(path):
        return make_cascade(card.markup, card.box, networks, told, device)


def make_cascade(
    markup: Markup,
    box: BoxPolicy,
    stages: Mapping[str, StageNetwork],
    card: Mapping[str, Any],
    device: str | torch.device = "cpu",
) -> Cascade:
    """A cascade of networks in their order, put into evaluation mode.

    Raises:
        InputError: a network's inputs or outputs are not those of the markup's regions.
    """
    spaces = {name: network.allocation.space for name, network in stages.items()}
    check_stages(spaces, {name: network.role for name, network in stages.items()}, markup)
    made = {}
    for name, network in stages.items():
        module = network.module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        made[name] = Stage(network.pointing(module.eval(), markup), markup, network.role)
    return Cascade(markup, made, box, card)


def markup_space(name: str, markup: Markup) -> SearchSpace:
    """The space of a name; the markup picks the variant, where there are any and none is named.

    Raises:
        InputError: no such space, or a file that is wrong.
    """
    stem, variant = split_choice("search_spaces", name)
    picks = variant is None and variant_names(stem)
    return load_space(name, str(markup.points) if picks else None)


def check_stages(
    spaces: Mapping[str, SearchSpace], roles: Mapping[str, Role], markup: Markup
) -> None:
    """Check that the networks of stages take what they look at; raises as :func:`check_network`."""
    for name, role in roles.items():
        look, space = role.look, spaces[name]
        regions, groups = look.regions(markup), look.groups(markup, space.groups)
        if isinstance(look, Cells):
            at = spaces[look.stage]
            rows = {layer.name.split(".")[0]: layer.out_channels for layer in at.layers}
            if look.row not in rows:
                raise InputError(
                    f"stages.{name}.look.at: {at.name} has no row {look.row!r}; "
                    f"{nearest(look.row, rows)}"
                )
            if len(at.groups) > 1:
                raise InputError(
                    f"stages.{name}.look.at: {at.name} has several groups; features are looked at "
                    "of networks of the whole face alone"
                )
            channels = rows[look.row]
        else:
            channels = look.channels
        inputs = dict.fromkeys(regions.parts, channels)
        if groups != regions:
            inputs = {SHARED: channels}
        check_network(space, inputs, look.size, groups, role.answer.outputs)


def check_network(
    space: SearchSpace, inputs: Mapping[str, int], size: int, groups: Markup, per_point: int = 2
) -> None:
    """Check that a space's networks take what they are shown and give a markup's points.

    Args:
        space: The space.
        inputs: Channels that each group is shown.
        size: Side of what they are shown.
        groups: Its parts are the groups.
        per_point: Outputs for each point; where it is 1, they are maps.

    Raises:
        InputError: its inputs, its outputs or the size of its input are others.
    """
    outputs = {part: per_point * len(points) for part, points in groups.parts.items()}
    for what, has, needs in (
        ("inputs", dict(space.inputs), inputs),
        ("outputs", dict(space.outputs), outputs),
        ("input size", space.input_size, (size, size)),
    ):
        if has != needs:
            told = f"has {what} {_brief(has)}, {groups.name} needs {_brief(needs)}"
            raise InputError(f"{space.name} {told}")
    if bool(space.output_size) != (per_point == 1):
        given, needed = ("numbers", "maps") if per_point == 1 else ("maps", "numbers")
        raise InputError(f"{space.name} puts out {given}, the stage's answer needs {needed}")


def _brief(sizes: object) -> str:
    """Sizes as a message names them: of a group a point, not all of them."""
    if not isinstance(sizes, dict) or len(sizes) < 9 or len(set(sizes.values())) > 1:
        return str(sizes)
    names = [*sizes]
    return f"{sizes[names[0]]} for each of {names[0]} to {names[-1]}"


def _stage_card(network: StageNetwork) -> StageCard:
    space = network.allocation.space
    return StageCard(
        name=space.name.removesuffix(f":{space.variant}"),
        variant=space.variant,
        space=space.file,
        grouping=network.allocation.grouping.to_dict(),
        **dict(network.role),
    )


def _read_weights(file: Path, digest: str) -> dict[str, Tensor]:
    content = read_bytes(file)
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(f"{file}: is damaged, or not the weights that the card beside it is of")
    try:
        return load_tensors(content)
    except (SafetensorError, ValueError, LookupError) as error:
        raise InputError(f"{file}: is not a safetensors file: {error}") from error
