"""What goes into a model to time it: what the user gives, and the rest drawn."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groupnas.arrays import DAMAGE
from groupnas.errors import InputError
from groupnas.files import nearest, read_bytes

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
_IMAGE = (480, 640)  # height and width of an image whose size the model leaves open


@dataclass(frozen=True)
class GivenInputs:
    """What the user says of inputs, by their names: a shape to fill, or the values themselves."""

    shapes: Mapping[str, tuple[int, ...]]
    values: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Port:
    """One input of a model.

    Attributes:
        name: As the model calls it.
        dtype: Of its elements.
        shape: Its sizes; None where the model leaves one open.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    @property
    def is_image(self) -> bool:
        """A single image ``(H, W, 3)``: its first size is no batch."""
        return self.dtype == np.uint8 and len(self.shape) == 3 and self.shape[2] == 3

    @property
    def is_box(self) -> bool:
        """A rectangle ``(4,)`` in an image's pixels: x0, y0, x1, y1."""
        return self.name == "box" and self.shape == (4,)

    @property
    def has_batch(self) -> bool:
        """Its first size counts samples."""
        return len(self.shape) > 1 and not self.is_image

    def accepts(self, shape: Sequence[int]) -> bool:
        """Whether an array of this shape fits."""
        return len(shape) == len(self.shape) and all(
            own in (None, size) for own, size in zip(self.shape, shape, strict=True)
        )


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """``NAME=1x3x224x224`` as name and sizes; an :class:`InputError` where it is none."""
    name, sign, sizes = text.partition("=")
    parts = sizes.split("x")
    if not (sign and name and all(part.isdecimal() and int(part) > 0 for part in parts)):
        raise InputError(f"--shape {text}: expected NAME=SIZExSIZE..., e.g. x=1x3x224x224")
    return name, tuple(map(int, parts))


def parse_input(text: str) -> tuple[str, NDArray[Any]]:
    """``NAME=FILE.npy`` as name and array; an :class:`InputError` where it is none."""
    name, sign, path = text.partition("=")
    if not (sign and name and path):
        raise InputError(f"--input {text}: expected NAME=FILE.npy")
    try:
        found = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except (InputError, *DAMAGE) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "it is empty"
        if "pickle" in reason:  # numpy's idea of any other file, and what to do about it
            reason = "it holds something else, or Python objects"
        raise InputError(f"--input {name}: {path} is no .npy file: {reason}") from error
    if not isinstance(found, np.ndarray):
        raise InputError(f"--input {name}: {path} holds several arrays; save one with np.save")
    return name, found


def read_ports(model: str, session: Any) -> tuple[Port, ...]:
    """The inputs of a model in its session; an :class:`InputError` where one holds no numbers."""
    ports = []
    for port in session.get_inputs():
        if port.type not in _DTYPES:
            raise InputError(
                f"{model}: input {port.name} is of {port.type}, which bench cannot fill"
            )
        shape = tuple(size if isinstance(size, int) else None for size in port.shape)
        ports.append(Port(port.name, np.dtype(_DTYPES[port.type]), shape))
    return tuple(ports)


def check_given(given: GivenInputs, models: Mapping[str, Sequence[Port]]) -> None:
    """Raise :class:`InputError` where what was given fits no input, or not all it names."""
    known = {port.name for ports in models.values() for port in ports}
    for name in (*given.shapes, *given.values):
        if name not in known:
            raise InputError(f"no model has an input {name!r}; {nearest(name, known)}")
    for model, ports in models.items():
        for port in ports:
            _check_fits(model, port, given)


def _check_fits(model: str, port: Port, given: GivenInputs) -> None:
    own = _by(port.shape)
    if port.name in given.values:
        value = given.values[port.name]
        if value.dtype != port.dtype or not port.accepts(value.shape):
            raise InputError(
                f"{model}: --input {port.name} is {value.dtype} ({_by(value.shape)}), where the "
                f"model takes {port.dtype} ({own})"
            )
    elif port.name in given.shapes and not port.accepts(given.shapes[port.name]):
        chosen = _by(given.shapes[port.name])
        raise InputError(f"{model}: --shape {port.name}={chosen} does not fit its ({own})")


def fixed_batch(ports: Sequence[Port], given: GivenInputs) -> int | None:
    """The one batch that a model takes; None where it takes any."""
    counted = [port for port in ports if port.has_batch]
    if not counted:
        return 1
    for port in counted:
        shape: Sequence[int | None] = given.shapes.get(port.name, port.shape)
        if port.name in given.values:
            shape = given.values[port.name].shape
        if shape[0] is not None:
            return shape[0]
    return None


def draw_feed(
    model: str, ports: Sequence[Port], batch: int, given: GivenInputs
) -> dict[str, NDArray[Any]]:
    """An array for each input of a model."""
    image = next((_shape(model, port, batch, given)[:2] for port in ports if port.is_image), None)
    feed = {}
    for port in ports:
        if port.name in given.values:
            feed[port.name] = given.values[port.name]
        elif port.is_box and image is not None and port.name not in given.shapes:
            feed[port.name] = _central_square(image).astype(port.dtype)
        else:
            feed[port.name] = _drawn(port.dtype, _shape(model, port, batch, given))
    return feed


def _shape(model: str, port: Port, batch: int, given: GivenInputs) -> tuple[int, ...]:
    """The sizes of an input, with nothing left open."""
    shape: tuple[int | None, ...] = port.shape
    if port.name in given.values:
        return given.values[port.name].shape
    if port.name in given.shapes:
        return given.shapes[port.name]
    if port.is_image:
        shape = (shape[0] or _IMAGE[0], shape[1] or _IMAGE[1], 3)
    elif port.has_batch:
        shape = (shape[0] or batch, *shape[1:])
    sizes = tuple(size for size in shape if size is not None)
    if len(sizes) < len(shape):
        raise InputError(
            f"{model}: input {port.name} leaves sizes open ({_by(shape)}); say which with "
            f"--shape {port.name}={_by([size or 8 for size in shape])}"
        )
    return sizes


def _drawn(dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    generator = np.random.default_rng(0)
    if dtype.kind == "f":
        return generator.standard_normal(shape).astype(dtype)
    if dtype == np.uint8:
        return generator.integers(0, 256, shape, dtype=np.uint8)
    return np.zeros(shape, dtype)


def _central_square(image: Sequence[int]) -> NDArray[np.float64]:
    """x0, y0, x1, y1 around the centre of a image, half as wide as its shorter side."""
    height, width = image
    quarter = min(height, width) / 4
    x, y = (width - 1) / 2, (height - 1) / 2
    return np.array([x - quarter, y - quarter, x + quarter, y + quarter])


def _by(shape: Sequence[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)
