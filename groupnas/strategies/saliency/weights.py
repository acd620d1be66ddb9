"""Networks in files: weights as safetensors, and the sizes that they are of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from groupnas.errors import InputError
from groupnas.saved import Saved, parse_saved
from groupnas.schema import validate
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.network import GroupedNetwork
from groupnas.writing import atomic_path

_SIZES = "sizes"


class SavedSizes(Saved):
    """The metadata of a file: channels by unit and group."""

    sizes: dict[str, dict[str, Annotated[int, Field(ge=1)]]]


def save_network(network: GroupedNetwork, path: str | os.PathLike[str]) -> None:
    """Write a network's weights and sizes, whole or not at all."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target.parent}: cannot be made: {error.strerror}") from error
    owned = {unit: row for unit, row in network.sizes.items() if unit not in network.joint}
    sizes = {unit: dict(zip(network.groups, row, strict=True)) for unit, row in owned.items()}
    state = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
    with atomic_path(target) as temporary:
        temporary.write_bytes(save(state, {_SIZES: json.dumps({_SIZES: sizes})}))


def load_network(path: str | os.PathLike[str], like: Allocation) -> GroupedNetwork:
    """Read a network with its weights.

    Args:
        path: What :func:`save_network` wrote; or weights without sizes, which are ``like``'s.
        like: Of the space whose network it is.

    Raises:
        InputError: the file cannot be read, or holds another network.
    """
    where = os.fspath(path)
    try:
        with safe_open(where, "pt") as file:
            told = (file.metadata() or {}).get(_SIZES)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{where}: is no file of weights that can be read: {error}") from error
    if told is not None:
        data = validate(SavedSizes, parse_saved(told, where), f"{where}: sizes")
        counts = {u: row for u, row in data.sizes.items() if u in like.space.free_units}
        groups = like.space.groups
        try:
            if any(tuple(row) != groups for row in counts.values()):
                raise InputError(f"its groups are not {', '.join(groups)}, in this order")
            like = Allocation.from_counts(like.space, counts)
        except InputError as error:
            raise InputError(f"{where}: is of another space: {error}") from error
    network = like.build()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"{where}: holds no weights of {like.space.name}'s network of these sizes: {reason}"
        ) from error
    return network
