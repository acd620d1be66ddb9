"""Channel numbers that belong to a module, and are neither weights nor buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from groupnas.errors import InputError


class KeepsIndices(nn.Module):
    """Base of modules with numbers of channels or groups: discrete choices, not quantities.

    As a buffer, an index would become another one where buffers are averaged, and be lost where a
    module is made on the meta device and filled with saved weights. Here it is plain integers, with
    a tensor of them that waits on the device where the module is.
    """

    def __init__(self) -> None:
        super().__init__()
        self._indices: dict[str, tuple[int, ...]] = {}

    def keep(self, name: str, values: Iterable[int], device: torch.device | None = None) -> None:
        """Keep some numbers under a name; on the default device where none is given."""
        kept = tuple(values)
        self._indices = {**self._indices, name: kept}  # a shallow copy may have the one of before
        setattr(self, name, _tensor(kept, device))

    def drop(self, name: str) -> None:
        """Forget what is kept under a name, if anything is."""
        if name in self._indices:
            self._indices = {key: kept for key, kept in self._indices.items() if key != name}
            delattr(self, name)

    def kept(self, name: str, device: torch.device) -> Tensor:
        """Return what is kept under a name: int64, on a device."""
        ready = cast(Tensor, getattr(self, name))
        return ready if ready.device == device else _tensor(self._indices[name], device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> KeepsIndices:
        """Go where the weights go: not by ``fn``, which may leave a tensor without values."""
        super()._apply(fn, recurse)
        device = fn(torch.empty(0, device="cpu")).device
        for name, values in self._indices.items():
            setattr(self, name, _tensor(values, device))
        return self


def check_readable(logits: Tensor, what: str) -> None:
    """Refuse logits that no choice can be read from.

    Raises:
        InputError: they are on the meta device, or one is NaN.
    """
    if logits.is_meta:
        raise InputError(
            f"{what}: is on the meta device and has no values; fill it first, with to_empty() and "
            "load_state_dict()"
        )
    if bool(logits.isnan().any()):
        raise InputError(
            f"{what}: some are not a number (NaN), and say no group; the training that made them "
            "diverged: go back to weights of before"
        )


def _tensor(values: tuple[int, ...], device: Any) -> Tensor:
    with torch.inference_mode(False):  # a tensor of that mode could not be trained with later
        return torch.tensor(values, dtype=torch.long, device=device)
