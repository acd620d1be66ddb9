"""The contact sheet: every face, every box, every crop."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.landmarks.augment import Augmentation
from groupnas.landmarks.crops import FACE_CROPS, PART_CROPS, extents, whole_face
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.frames import around
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.preview import FACES, contact_sheet, preview, recipe_views
from groupnas.report.figure import save

SYNTHETIC = face_set("synthetic")


def test_a_column_for_each_face(tmp_path: Path) -> None:
    chosen = load_faces(SYNTHETIC, None, limit=3)
    figure = contact_sheet(chosen, SYNTHETIC)
    whole = figure.axes[::9]  # a face, then two crops for each of four parts
    assert len(figure.axes) == 27
    assert [axes.get_title() for axes in whole] == [face.name for face in chosen]
    for axes, face in zip(whole, chosen, strict=True):
        lines = np.concatenate([np.stack(line.get_data(), axis=-1) for line in axes.lines])
        assert sorted(map(tuple, lines)) == sorted(map(tuple, face.points))
        drawn = [(*patch.get_xy(), patch.get_width()) for patch in axes.patches]
        markup = SYNTHETIC.markup
        parts = around(extents(face.points, markup), PART_CROPS.margin)
        every = around(extents(face.points, whole_face(markup)), FACE_CROPS.margin)
        expected = [
            (*(centre - side / 2), side)
            for frame in (parts, every)
            for centre, side in zip(frame.origin, frame.side, strict=True)
        ]
        np.testing.assert_allclose(drawn, expected)
    for number, part in enumerate(SYNTHETIC.markup.parts):
        assert figure.axes[1 + number].get_ylabel() == part.replace("_", " ")
        assert len(figure.axes[1 + number].lines[0].get_xdata()) == len(
            SYNTHETIC.markup.parts[part]
        )


def test_the_same_seed_augments_alike() -> None:
    chosen = load_faces(SYNTHETIC, None, limit=1)

    def crops(seed: int) -> list[np.ndarray]:
        return [
            np.asarray(a.images[0].get_array()) for a in contact_sheet(chosen, SYNTHETIC, seed).axes
        ]

    one, two, other = crops(0), crops(0), crops(1)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert np.array_equal(one[1], other[1]) and not np.array_equal(one[5], other[5])


def test_of_a_whole_set(copy_300w: Callable[[], Path], tmp_path: Path) -> None:
    root = copy_300w()
    figure = preview(face_set("300w"), root, False)
    assert len(figure.axes) == 9 * FACES
    assert save(figure, tmp_path / "sheet.png").stat().st_size > 50_000
    (root / "300w/afw/11_1.pts").unlink()
    with pytest.raises(InputError, match="--allow-partial"):
        preview(face_set("300w"), root, False)
    assert len(preview(face_set("300w"), root, True).axes) == 9 * FACES


def test_real_faces(tmp_path: Path) -> None:
    root = os.environ.get("GROUPNAS_DATA")
    if not root or not (Path(root) / "300w").is_dir():
        pytest.skip("GROUPNAS_DATA does not name a folder with 300w")
    figure = preview(face_set("300w"), Path(root), True)
    assert len(figure.axes) == 9 * FACES
    assert save(figure, tmp_path / "sheet.png").stat().st_size > 100_000


def test_a_recipe_says_what_is_drawn() -> None:
    """Its stages one below the other, in their sizes and colours, under their augmentation."""
    views = recipe_views("synthetic")
    assert [view.look.whole for view in views] == [True, False]
    busy = [replace(view, augmentation=Augmentation(blur=3.0, erase=1.0)) for view in views]
    chosen = load_faces(SYNTHETIC, None, limit=2)
    plain, changed = (contact_sheet(chosen, SYNTHETIC, views=each) for each in (views, busy))
    assert len(plain.axes) == len(changed.axes) == 2 * (1 + 2 * (1 + 4))
    names = [axes.get_ylabel() for axes in plain.axes if axes.get_ylabel()]
    assert names == ["global", "left eye", "right eye", "nose", "mouth"]
    pictures = [[np.asarray(a.images[0].get_array()) for a in f.axes] for f in (plain, changed)]
    sizes = [picture.shape for picture in pictures[0][1:11]]
    assert sizes == [(96, 96, 3)] * 2 + [(64, 64)] * 8
    assert len(plain.axes[1].lines[0].get_xdata()) == 68
    same = [np.array_equal(*pair) for pair in zip(*pictures, strict=True)]
    augmented = [False, False, True, *[False] * 4, *[True] * 4] * 2
    assert same == [not each for each in augmented]
