"""Every pixel format becomes 8 bits by the range of its own, or is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groupnas.errors import InputError
from groupnas.landmarks.data.images import read_rgb

GREY = np.array([[0, 1, 2, 100], [128, 200, 254, 255]], np.uint8)
RGB = np.stack([GREY, 255 - GREY, GREY // 2], axis=2)
CLEAR = np.array([[0, 128, 255, 255]] * 2, np.uint8)


def png(width: int, depth: int, kind: int, row: bytes) -> bytes:
    """A PNG of one row, as its specification says; kind 0 is grey, 2 RGB, 4 and 6 with alpha."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, 1, depth, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def tiff(order: str, data: bytes, bits: int, size: tuple[int, int], **more: int) -> bytes:
    """A grey TIFF in one strip; ``more`` are tags, as ``t339=2`` for signed numbers."""
    width, height = size
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 278: height, 279: len(data)}
    tags |= {int(name[1:]): value for name, value in more.items()} | {273: 0}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    rows = b"".join(
        struct.pack(order + "HHI", tag, 4 if tag in (273, 279) else 3, 1)
        + (struct.pack(order + ("I" if tag in (273, 279) else "H"), value)).ljust(4, b"\0")
        for tag, value in sorted(tags.items())
    )
    mark = b"II" if order == "<" else b"MM"
    ends = struct.pack(order + "HIH", 42, 8, len(tags)), struct.pack(order + "I", 0)
    return mark + ends[0] + rows + ends[1] + data


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jp2", "a.pgm", "a.lzw.tif"])
def test_grey_of_16_bits_is_that_of_8(tmp_path: Path, name: str) -> None:
    options = {"compression": "tiff_lzw"} if "lzw" in name else {}
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / name, **options)
    np.testing.assert_array_equal(read_rgb(tmp_path / name), np.stack([GREY] * 3, axis=2))


def test_16_bits_are_rounded(tmp_path: Path) -> None:
    """65,535 is 255, so 128 is nearer to 0 and 129 to 1."""
    row = struct.pack(">4H", 128, 129, 65_535 - 128, 65_535 - 129)
    (tmp_path / "a.png").write_bytes(png(4, 16, 0, row))
    assert read_rgb(tmp_path / "a.png")[0, :, 0].tolist() == [0, 1, 255, 254]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (2, (0, 257 * 128, 65_535), [0, 128, 255]),  # RGB
        (6, (0, 257 * 128, 65_535, 9), [0, 128, 255]),  # with alpha, nearly clear
        (4, (257 * 77, 9), [77, 77, 77]),  # grey with alpha
    ],
)
def test_colours_of_16_bits(
    tmp_path: Path, kind: int, values: tuple[int, ...], expected: list[int]
) -> None:
    (tmp_path / "a.png").write_bytes(png(1, 16, kind, struct.pack(f">{len(values)}H", *values)))
    assert read_rgb(tmp_path / "a.png")[0, 0].tolist() == expected


def test_few_bits(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(4, 2, 0, bytes([0b00_01_10_11])))
    assert read_rgb(tmp_path / "a.png")[0, :, 0].tolist() == [0, 85, 170, 255]
    Image.fromarray(GREY > 100).save(tmp_path / "b.png")
    assert set(read_rgb(tmp_path / "b.png").ravel().tolist()) == {0, 255}


@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_tiffs(tmp_path: Path, order: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(order, struct.pack(order + "4H", 0, 257, 25_700, 65_535), 16, (2, 2)))
    assert read_rgb(path)[..., 0].tolist() == [[0, 1], [100, 255]]


@pytest.mark.parametrize(
    ("turn", "upright"),
    [(1, [[0, 1, 2], [3, 4, 5]]), (3, [[5, 4, 3], [2, 1, 0]]), (6, [[3, 0], [4, 1], [5, 2]])]
    + [(5, [[0, 3], [1, 4], [2, 5]]), (8, [[2, 5], [1, 4], [0, 3]])],
)
def test_deep_tiffs_are_turned(tmp_path: Path, turn: int, upright: list[list[int]]) -> None:
    """Pillow gives them the size of what comes of it before it is."""
    data = struct.pack("<6H", *(257 * value for value in range(6)))
    (tmp_path / "a.tif").write_bytes(tiff("<", data, 16, (3, 2), t274=turn))
    assert read_rgb(tmp_path / "a.tif")[..., 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read_rgb(tmp_path / "a.tif", upright=True)[..., 0].tolist() == upright


def test_12_bits_have_their_own_range(tmp_path: Path) -> None:
    """0 and 4,095; 2,048 and 16, whose nearest of 255 steps are 128 and 1."""
    data = bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x10])
    (tmp_path / "a.tif").write_bytes(tiff("<", data, 12, (2, 2)))
    assert read_rgb(tmp_path / "a.tif")[..., 0].tolist() == [[0, 255], [128, 1]]
    (tmp_path / "a.pgm").write_bytes(b"P5 2 2 4095\n" + struct.pack(">4H", 0, 4095, 2048, 16))
    assert read_rgb(tmp_path / "a.pgm")[..., 0].tolist() == [[0, 255], [128, 1]]


def test_white_may_be_0(tmp_path: Path) -> None:
    content = tiff("<", struct.pack("<4H", 0, 257, 25_700, 65_535), 16, (2, 2), t262=0)
    (tmp_path / "a.tif").write_bytes(content)
    assert read_rgb(tmp_path / "a.tif")[..., 0].tolist() == [[255, 254], [155, 0]]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (tiff("<", struct.pack("<4f", 0, 0.5, 1, 200), 32, (2, 2), t339=3), "floating-point"),
        (tiff(">", struct.pack(">4f", 0, 0.5, 1, 200), 32, (2, 2), t339=3), "floating-point"),
        (tiff("<", struct.pack("<4h", 0, -5, 9, 32_767), 16, (2, 2), t339=2), "signed numbers"),
        (tiff("<", struct.pack("<4b", 0, -5, 9, 127), 8, (2, 2), t339=2), "signed numbers"),
        (tiff("<", struct.pack("<4i", 0, -5, 9, 127), 32, (2, 2), t339=2), "signed numbers"),
        (tiff("<", struct.pack("<4I", 0, 5, 9, 1 << 31), 32, (2, 2)), "integers of 32 bits"),
        (b"Pf\n2 2\n-1.0\n" + struct.pack("<4f", 0, 0.5, 1, 2), "floating-point"),
        (tiff("<", bytes(12), 24, (2, 2)), "of no format that is read"),
    ],
)
def test_what_has_no_range_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InputError, match=f"a.tif: .*{problem}"):
        read_rgb(tmp_path / "a.tif")


def test_deep_colours_in_planes_are_refused(tmp_path: Path) -> None:
    """Pillow would mix them up; those of 8 bits it does not."""
    deep = tiff("<", bytes(24), 16, (2, 2), t262=2, t277=3, t284=2)
    (tmp_path / "a.tif").write_bytes(deep)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.mode == "RGB"
    with pytest.raises(InputError, match="a.tif: its colours of 16 bits lie apart"):
        read_rgb(tmp_path / "a.tif")


def test_transparency_is_left_out(tmp_path: Path) -> None:
    """Colours as stored, under it too: nothing is put behind."""
    few = Image.fromarray(RGB).quantize(8)
    grey = Image.fromarray(GREY)
    clear = Image.fromarray(np.dstack([RGB, CLEAR]))
    for name, image, options, expected in (
        ("rgba.png", clear, {}, RGB),
        ("la.png", Image.fromarray(np.dstack([GREY, CLEAR])), {}, np.dstack([GREY] * 3)),
        ("l.png", grey, {"transparency": 1}, np.dstack([GREY] * 3)),
        ("p.png", few, {}, RGB),
        ("p1.png", few, {"transparency": 1}, RGB),
        ("p2.png", few, {"transparency": bytes([0, 128, 255])}, RGB),  # Pillow warns of it
        (
            "a.webp",
            Image.fromarray(np.dstack([RGB, CLEAR])),
            {"lossless": True, "exact": True},
            RGB,
        ),
    ):
        image.save(tmp_path / name, **options)
        np.testing.assert_array_equal(read_rgb(tmp_path / name), expected, name)


def test_premultiplied_colours_are_divided(tmp_path: Path) -> None:
    """50 at an opacity of 128 of 255 is 99.6."""
    content = tiff("<", bytes([50, 128] * 4), 8, (2, 2), t277=2, t338=1)
    (tmp_path / "a.tif").write_bytes(content)  # its bits are said once, for both
    with Image.open(tmp_path / "a.tif") as image:
        assert image.mode == "La"
    assert set(read_rgb(tmp_path / "a.tif").ravel().tolist()) <= {99, 100}


def test_print_colours(tmp_path: Path) -> None:
    """As PNG does not lose; JPEG of print colours is stored upside down by what Adobe began."""
    cmyk = Image.fromarray(RGB).convert("CMYK")
    cmyk.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.tif"), RGB)
    cmyk.save(tmp_path / "a.jpg", quality=100)
    assert np.abs(read_rgb(tmp_path / "a.jpg").astype(int) - RGB).max() <= 3
    Image.fromarray(RGB).convert("YCbCr").save(tmp_path / "b.tif")
    assert np.abs(read_rgb(tmp_path / "b.tif").astype(int) - RGB).max() <= 3


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_the_first_picture_of_several(tmp_path: Path, name: str) -> None:
    first, second = (Image.fromarray(array).quantize(8) for array in (RGB, 255 - RGB))
    if name.endswith("webp"):
        first, second = first.convert("RGB"), second.convert("RGB")
    options = {"lossless": True} if name.endswith("webp") else {}
    first.save(tmp_path / name, save_all=True, append_images=[second], **options)  # type: ignore[arg-type]
    np.testing.assert_array_equal(read_rgb(tmp_path / name), RGB)
