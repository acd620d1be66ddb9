"""Images: what is read, which way up, and the one line that every damaged one ends in."""

from __future__ import annotations

import os
import random
import struct
import threading
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groupnas.errors import InputError
from groupnas.landmarks.data.images import read_rgb

RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]], [[1, 2, 3], [0, 0, 0]]])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.fromarray(RGB.astype(np.uint8)).save(tmp_path / "small.png")
    return tmp_path / "small.png"


def test_colours_rows_and_columns(path: Path) -> None:
    np.testing.assert_array_equal(read_rgb(path), RGB)


def test_a_grey_image_has_three_equal_colours(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "grey.png"), np.stack([grey] * 3, axis=2))


# What a viewer does, by the TIFF specification: which corner the stored first pixel is.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("orientation", [*UPRIGHT, 0, 9])
def test_which_way_up(tmp_path: Path, name: str, orientation: int) -> None:
    """The pixels as stored, which annotations are of, or upright; in all formats alike."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name == "a.webp" else {}
    Image.fromarray(RGB.astype(np.uint8)).save(tmp_path / name, exif=exif, **options)  # type: ignore[arg-type]
    np.testing.assert_array_equal(read_rgb(tmp_path / name), RGB)
    upright = UPRIGHT.get(orientation, UPRIGHT[1])(RGB)
    np.testing.assert_array_equal(read_rgb(tmp_path / name, upright=True), upright)


ENTRIES = {  # tag, type, count, value; 3 is a short number, 2 a text, 4 an offset
    "a text for a fraction": [(0x0112, 3, 1, b"\6\0\0\0"), (0x011A, 2, 4, b"300\0")],
    "a text for a direction": [(0x0112, 2, 2, b"6\0\0\0")],
    "two directions": [(0x0112, 3, 2, b"\6\0\3\0")],
    "a count of billions": [(0x0112, 3, 0xFFFFFFFF, b"\6\0\0\0")],
    "no such type": [(0x0112, 99, 1, b"\6\0\0\0")],
    "a circle": [(0x0112, 3, 1, b"\6\0\0\0"), (0x8769, 4, 1, b"\10\0\0\0")],
    "an offset beyond the end": [(0x0112, 3, 1, b"\6\0\0\0"), (0x8769, 4, 1, b"\xff\xff\xff\x7f")],
}


@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_odd_exif_data_do_not_keep_a_photo_from_being_read(
    tmp_path: Path, entries: list, kind: str
) -> None:
    rows = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    head = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries))
    for tail in (struct.pack("<I", 0), struct.pack("<I", 8), b""):  # the last has no end
        Image.new("RGB", (8, 4), "red").save(tmp_path / "odd", kind, exif=head + rows + tail)
        assert read_rgb(tmp_path / "odd", upright=True).shape in {(8, 4, 3), (4, 8, 3)}
        assert read_rgb(tmp_path / "odd").shape == (4, 8, 3)


def test_a_direction_among_odd_exif_data_is_followed(tmp_path: Path) -> None:
    rows = b"".join(
        struct.pack("<HHI", *entry[:3]) + entry[3] for entry in ENTRIES["a text for a fraction"]
    )
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + rows + struct.pack("<I", 0)
    Image.new("RGB", (8, 4), "red").save(tmp_path / "odd.jpg", exif=exif)
    assert read_rgb(tmp_path / "odd.jpg", upright=True).shape == (8, 4, 3)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n\0\0", b"\0" * 99])
def test_damage_is_one_line(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match="small.png: damaged or not an image: ") as raised:
        read_rgb(path)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "a.tif", "a.gif"])
def test_a_photo_that_was_cut_short(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(InputError, match=f"{name}: damaged or not an image: "):
        read_rgb(tmp_path / name)


def test_what_is_no_photo_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing.png: .*No such file"):
        read_rgb(tmp_path / "nothing.png")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(InputError, match="folder.jpg: .*directory"):
        read_rgb(tmp_path / "folder.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(InputError, match="pipe.jpg: is not a regular file"):
        read_rgb(tmp_path / "pipe.jpg")
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(InputError, match="a.heic: .* such as HEIC; save it as JPEG"):
        read_rgb(tmp_path / "a.heic")
    Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")
    with pytest.raises(InputError, match="a.eps: .*of no format that is read"):
        read_rgb(tmp_path / "a.eps")


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    Image.new("1", (8, 8)).save(tmp_path / "a.bmp")
    content = bytearray((tmp_path / "a.bmp").read_bytes())
    content[18:26] = struct.pack("<ii", 60_000, 60_000)
    (tmp_path / "a.bmp").write_bytes(content)
    with pytest.raises(InputError, match="a.bmp: .*3600000000 pixels.* exceeds limit"):
        read_rgb(tmp_path / "a.bmp")


def test_a_large_photo_is_read_in_silence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between one and two limits Pillow warns; warnings are errors in here."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    np.testing.assert_array_equal(read_rgb(path), RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
    with pytest.raises(InputError, match="exceeds limit"):
        read_rgb(path)


def test_others_keep_their_warnings(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: [read_rgb(path) for _ in range(20)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before
    with pytest.raises(Image.DecompressionBombWarning), Image.open(path):
        pass


def test_any_bytes_are_read_or_refused(tmp_path: Path) -> None:
    """Photos whose bytes were changed, half of them where the Exif data are."""
    exif = Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x010F] = 6, 72.0, "Maker"
    exif.get_ifd(0x8769)[0x927C] = b"note" * 9
    picture = Image.radial_gradient("L").resize((40, 30)).convert("RGB")
    draw = random.Random(0)
    path = tmp_path / "photo"
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "MPO"):
        buffer = BytesIO()
        picture.save(buffer, kind, exif=exif)
        whole = buffer.getvalue()
        start = max(whole.find(b"Exif"), 0)
        ends = set()
        for number in range(60):
            content = bytearray(whole)
            for _ in range(draw.choice((1, 1, 2, 5))):
                place = min(start + draw.randrange(250), len(whole) - 1)
                if number % 2:
                    place = draw.randrange(len(whole))
                content[place] = draw.choice((0, 1, 2, 3, 6, 9, 255, draw.randrange(256)))
            path.write_bytes(content[: draw.randrange(len(whole))] if number % 10 == 0 else content)
            try:
                assert read_rgb(path, upright=True).shape[2] == 3
                ends.add("read")
            except InputError:
                ends.add("refused")
        assert "refused" in ends, kind
