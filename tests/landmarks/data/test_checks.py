"""``check`` of every data set finds what a training or an evaluation would be ended by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groupnas.landmarks.data import aflw, cofw, cofw68, w300, wflw
from groupnas.landmarks.data.checks import damage
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.landmarks.data.images import read_rgb
from groupnas.landmarks.data.pts import read_pts


def write_pts(path: Path, points: np.ndarray) -> None:
    path.write_text("\n".join(f"{x} {y}" for x, y in points))


def cut_short(image: Path) -> None:
    """As a broken download leaves it: the header whole, the pixels not."""
    noise = np.random.default_rng(0).integers(0, 255, (160, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(image)
    content = image.read_bytes()
    image.write_bytes(content[: len(content) * 6 // 10])


def test_a_whole_copy_has_no_damage(copy_300w: Callable[[], Path]) -> None:
    assert w300.check(copy_300w()).damaged == ()


@pytest.mark.parametrize(
    "name", ["afw/11_1.jpg", "lfpw/trainset/image_0001.png", "01_Indoor/indoor_001.png"]
)
def test_a_photo_that_was_cut_short_300w(copy_300w: Callable[[], Path], name: str) -> None:
    root = copy_300w()
    cut_short(root / "300w" / name)
    (line,) = w300.check(root).damaged
    assert line.startswith(f"{root / '300w' / name}: damaged or not an image: ")


def test_faces_that_cannot_be_used_300w(copy_300w: Callable[[], Path]) -> None:
    root = copy_300w() / "300w"
    squeezed, spot, far = (read_pts(root / f"afw/{n}.pts") for n in ("11_1", "11_2", "12_1"))
    squeezed[45] = squeezed[36]
    spot[48:68] = spot[48]
    far[8] = 1000, 50
    for name, points in (("11_1", squeezed), ("11_2", spot), ("12_1", far)):
        write_pts(root / f"afw/{name}.pts", points)
    (root / "ibug/image_003_1.pts").write_text("1 2 3")
    Image.new("RGB", (9, 9)).save(root / "afw/alone.png")
    (root / "afw/alone.png").write_bytes(b"x")
    (root / "helen/trainset/alone.pts").write_text("nan nan")
    (root / "helen/testset/31_1.pts").unlink()
    (root / "helen/testset/31_1.pts").mkdir()
    wrong = {
        "ibug/image_003_1.pts:1": "expected x and y",
        "helen/trainset/alone.pts:1": "expected finite numbers",
        "afw/11_1.jpg (afw/11_1)": "the distance of the outer eye corners is 0 pixels",
        "afw/11_2.jpg (afw/11_2)": "the points of mouth lie within one pixel",
        "afw/12_1.JPG (afw/12_1)": "landmarks lie far outside the image of 160 x 160 pixels",
        "afw/alone.png": "damaged or not an image",
        "helen/testset/31_1.pts": "cannot be read: Is a directory",
    }
    found = [line.removeprefix(f"{root}/") for line in w300.check(root.parent).damaged]
    assert len(found) == len(wrong)
    for place, what in wrong.items():
        assert any(line.startswith(f"{place}: {what}") for line in found), (place, found)


def test_parts_of_test_faces_need_no_extent(copy_300w: Callable[[], Path]) -> None:
    """No crop of theirs is made by their own landmarks."""
    points = copy_300w() / "300w/ibug/image_003_1.pts"
    content = read_pts(points)
    content[48:68] = content[48]
    write_pts(points, content)
    assert w300.check(points.parents[2]).damaged == ()


def test_photos_and_faces_of_wflw(wflw_root: Path) -> None:
    images = wflw_root / "wflw/WFLW_images"
    lists = wflw_root / "wflw/WFLW_annotations/list_98pt_rect_attr_train_test"
    fields = (lists / "list_98pt_rect_attr_test.txt").read_text().splitlines()
    row = fields[1].split()
    row[144:146] = row[120:122]  # 72, the other outer corner
    fields[1] = " ".join(row)
    (lists / "list_98pt_rect_attr_test.txt").write_text("\n".join(fields))
    cut_short(images / "0--Parade/a.jpg")
    lines = wflw.check(wflw_root).damaged
    assert [line for line in lines if "a.jpg: damaged" in line] == [lines[0]]
    (line,) = (line for line in lines if "eye corners is 0 pixels" in line)
    assert line.startswith(f"{images}/1--Handshaking/c.jpg (test/1--Handshaking/c_1): ")


def test_two_faces_of_one_name(wflw_root: Path) -> None:
    """Photos whose names differ in the suffix alone."""
    images = wflw_root / "wflw/WFLW_images/0--Parade"
    (images / "b.jpg").rename(images / "a.png")
    lists = wflw_root / "wflw/WFLW_annotations/list_98pt_rect_attr_train_test"
    for file in lists.iterdir():
        file.write_text(file.read_text().replace("b.jpg", "a.png"))
    (line,) = (line for line in wflw.check(wflw_root).damaged if "are called" in line)
    assert "2 faces are called train/0--Parade/a_0: " in line
    assert str(images / "a.jpg") in line and str(images / "a.png") in line


def test_photos_of_aflw(aflw_root: Path) -> None:
    photo = aflw_root / "aflw/data/flickr/2/c.jpg"
    cut_short(photo)
    (line,) = aflw.check(aflw_root).damaged  # once, though two faces are on it
    assert line.startswith(f"{photo}: damaged or not an image")


def test_images_inside_cofw(cofw_root: Path) -> None:
    """Of a file that opens, one image that does not unpack; COFW68 has its images there."""
    import h5py

    path = cofw_root / "cofw/COFW_test_color.mat"
    with h5py.File(path, "r+") as file:
        noise = np.random.default_rng(0).integers(0, 255, (3, 140, 130), dtype=np.uint8)
        packed = file.create_dataset("packed", data=noise, chunks=noise.shape, compression="gzip")
        place, size = packed.id.get_chunk_info(0).byte_offset, packed.id.get_chunk_info(0).size
        file["IsT"][0, 1] = packed.ref
    content = bytearray(path.read_bytes())
    content[place : place + size] = bytes(size)
    path.write_bytes(content)
    for of in (cofw, cofw68):
        (line,) = of.check(cofw_root).damaged
        assert line.startswith(f"{path}: image 2: damaged or not a Matlab file: ")


def test_every_picture_is_decoded_once(tmp_path: Path) -> None:
    read: list[Path] = []

    def reading(face: Face) -> np.ndarray:
        read.append(face.path)
        return read_rgb(face.path)

    faces = []
    for number, name in enumerate(("a", "b", "a", "a")):
        Image.new("RGB", (160, 160)).save(tmp_path / f"{name}.png")
        points = np.random.default_rng(number).uniform(0, 150, (68, 2))
        faces.append(Face(f"{name}_{number}", name, tmp_path / f"{name}.png", points))
    of: FaceSet = replace(w300.FACES, read=reading)
    assert damage(of, {"train": faces[:2], "test": faces[2:]}) == []
    assert sorted(path.name for path in read) == ["a.png", "b.png"]
