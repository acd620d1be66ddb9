"""Images: what is read, and the one line that every damaged one ends in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groupnas.errors import InputError
from groupnas.tasks.landmarks.data.images import check_image, read_rgb

RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]], [[1, 2, 3], [0, 0, 0]]])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.fromarray(RGB.astype(np.uint8)).save(tmp_path / "small.png")
    return tmp_path / "small.png"


def test_colours_rows_and_columns(path: Path) -> None:
    np.testing.assert_array_equal(read_rgb(path), RGB)
    assert check_image(path) == (2, 3)


def test_a_grey_image_has_three_equal_colours(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "grey.png"), np.stack([grey] * 3, axis=2))


def test_a_tag_for_viewers_does_not_turn_the_image(path: Path) -> None:
    turned = path.with_name("turned.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    with Image.open(path) as image:
        image.save(turned, exif=exif)
    np.testing.assert_array_equal(read_rgb(turned), RGB)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n\0\0", b"\0" * 99])
@pytest.mark.parametrize("read", [read_rgb, check_image])
def test_damage_is_one_line(path: Path, content: bytes, read: object) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match="small.png: damaged or not an image: ") as raised:
        read(path)  # type: ignore[operator]
    assert len(str(raised.value).splitlines()) == 1


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing.png: .*No such file"):
        read_rgb(tmp_path / "nothing.png")
