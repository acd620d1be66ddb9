"""The window of a convolution: kernel, stride, padding and dilation as ``nn.Conv2d`` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, NamedTuple, TypedDict

from groupnas.errors import InputError

Size = int | Sequence[int]
Padding = Size | str


class Steps(TypedDict, total=False):
    """Keyword arguments of every convolution here, as ``nn.Conv2d`` takes them; 1, 0 and 1."""

    stride: Size
    padding: Padding
    dilation: Size


class Window(NamedTuple):
    """Height and width of each, so that whatever is made of it has the same.

    Attributes:
        kernel_size: (k_h, k_w).
        stride: Likewise.
        padding: Likewise; ``"same"`` where that is more on one side than on the other.
        dilation: Likewise.
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] | str
    dilation: tuple[int, int]

    @classmethod
    def of(
        cls, kernel_size: Size, stride: Size = 1, padding: Padding = 0, dilation: Size = 1
    ) -> Window:
        """The window of integers or pairs, as ``nn.Conv2d`` takes them; padding "same" or "valid".

        Raises:
            InputError: anything else.
        """
        kernel, steps = _pair("kernel_size", kernel_size, 1), _pair("stride", stride, 1)
        spread = _pair("dilation", dilation, 1)
        if not isinstance(padding, str):
            return cls(kernel, steps, _pair("padding", padding, 0), spread)
        if padding == "valid":
            return cls(kernel, steps, (0, 0), spread)
        if padding != "same":
            raise InputError(f"padding {padding!r}: expected 'same', 'valid', or numbers")
        if steps != (1, 1):
            raise InputError("padding 'same': goes with stride 1 only; give numbers")
        height, width = (d * (k - 1) for d, k in zip(spread, kernel, strict=True))
        uneven = height % 2 or width % 2
        return cls(kernel, steps, "same" if uneven else (height // 2, width // 2), spread)

    @property
    def pointwise(self) -> bool:
        """True where each output position sees the input at its own position, and nothing else."""
        return self.kernel_size == self.stride == (1, 1) and self.padding == (0, 0)

    @property
    def steps(self) -> dict[str, Any]:
        """Keyword arguments of ``F.conv2d``: all but the kernel's size."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}


def check_channels(**channels: Any) -> None:
    """Raise :class:`InputError` unless all of these are integers of at least 1."""
    for name, value in channels.items():
        _integer(name, value, 1)


def _pair(name: str, size: Any, least: int) -> tuple[int, int]:
    sizes = size if isinstance(size, Sequence) and not isinstance(size, str) else (size, size)
    if len(sizes) != 2:
        raise InputError(f"{name}: expected one number or two, got {len(sizes)}")
    return (_integer(name, sizes[0], least), _integer(name, sizes[1], least))


def _integer(name: str, value: Any, least: int) -> int:
    try:
        number = index(value)
    except TypeError:
        raise InputError(f"{name}: expected an integer, got {value!r}") from None
    if number < least:
        raise InputError(f"{name}: expected at least {least}, got {number}")
    return number
