"""Drawn faces with the 68 landmarks of 300W: a first run and the tests need no download.

Every landmark sits on something drawn, and everything around it varies: shape, expression and
pose (``_synthetic_shape``), skin, light, hair, beards, glasses, clutter (``_synthetic_parts``),
blur and noise. As in photographs the mouth's geometry varies most and the nose's least. The faces
show that a search works; they say nothing about real faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from groupnas.errors import InputError
from groupnas.landmarks.data._synthetic_canvas import Canvas, resized, softened
from groupnas.landmarks.data._synthetic_parts import (
    Appearance,
    draw_background,
    draw_distractors,
    draw_features,
    draw_head,
)
from groupnas.landmarks.data._synthetic_shape import (
    Expression,
    Identity,
    View,
    head_outline,
    landmarks,
)
from groupnas.landmarks.data.face import Face
from groupnas.landmarks.dataset import FaceDataSet
from groupnas.landmarks.markup import MARKUPS

MIN_SIZE = 48
SIZE = 160
# Faces of each split, and the endless set that they begin.
SPLITS = {"train": (1000, 0), "test": (200, 1)}


def draw_face(index: int, seed: int = 0, size: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Face number ``index`` of the endless set ``seed``; the same arguments, the same face.

    Args:
        index: Which face, from 0. A face depends on ``(seed, index)`` alone.
        seed: Which set, from 0.
        size: The image's side in pixels, at least 48. The face stays the same.

    Returns:
        A grey image ``(size, size)`` uint8 and its landmarks ``(68, 2)`` float64, x then y in
        pixels; the centre of the first pixel is 0.0. The landmarks' box takes 50 to 60 % of the
        image's side.

    Raises:
        InputError: a negative index or seed, or a size below 48.
    """
    for name, value, least in (("index", index, 0), ("seed", seed, 0), ("size", size, MIN_SIZE)):
        if value < least:
            raise InputError(f"synthetic faces: {name} must be at least {least}, got {value}")
    rng = np.random.default_rng([seed, index])
    who, doing, view, points = _pose(rng)
    look, outline = Appearance.sample(rng), view(head_outline(who, landmarks(who, doing)))
    canvas = Canvas(size, view.scale)
    draw_background(canvas, rng, look)
    draw_head(canvas, rng, look, outline, view.axes)
    draw_features(canvas, look, doing, points, view.axes)
    draw_distractors(canvas, rng, look, points, outline, view.axes)
    return _photograph(canvas, rng, look), points * size - 0.5


def _pose(rng: np.random.Generator) -> tuple[Identity, Expression, View, np.ndarray]:
    """Who is seen how, and the landmarks ``(68, 2)`` in shares of the image's side."""
    who, doing = Identity.sample(rng), Expression.sample(rng)
    face = landmarks(who, doing)
    view = View.sample(rng, face)
    return who, doing, view, view(face)


def _faces(root: Path, split: str, allow_partial: bool) -> Sequence[Face]:
    return _posed(split)


@cache  # a training asks for them once for every stage
def _posed(split: str) -> tuple[Face, ...]:
    count, seed = SPLITS[split]
    faces = []
    for index in range(count):
        points = _pose(np.random.default_rng([seed, index]))[-1] * SIZE - 0.5
        points.setflags(write=False)
        name = f"synthetic/{split}/{index:05d}"
        faces.append(Face(name, source=name, path=Path(__file__), points=points, index=index))
    return tuple(faces)


def _code(root: Path, split: str, allow_partial: bool) -> Sequence[Path]:
    """What the faces are made from."""
    return sorted(Path(__file__).parent.glob("*synthetic*.py"))


def _read(face: Face) -> np.ndarray:
    assert face.index is not None
    grey, _ = draw_face(face.index, SPLITS[face.name.split("/")[1]][1], SIZE)
    return np.repeat(grey[..., None], 3, axis=-1)


def _photograph(canvas: Canvas, rng: np.random.Generator, look: Appearance) -> np.ndarray:
    """Uneven skin and light, blur and noise: ``(size, size)`` uint8."""
    size = canvas.size
    # Drawn at one size whatever the image's, so that what follows draws the same numbers.
    patches = Image.fromarray(rng.normal(1.0, 0.03, (32, 32)).astype(np.float32))
    slope = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    light = 1 + 0.4 * (look.light[0] * slope[None, :] + look.light[1] * slope[:, None])
    picture = canvas.develop() * resized(patches, size) * (look.gain * light)
    picture = softened(picture, look.blur * size / 160)
    picture = picture + look.noise * rng.standard_normal((size, size), dtype=np.float32)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


FACES = FaceDataSet(
    name="synthetic",
    summary="1,000 drawn faces with exact landmarks, 68 each",
    obtained="drawn on the spot, needs nothing",
    markup=MARKUPS[68],
    box="landmarks",
    normaliser="interocular",
    subsets={split: () for split in SPLITS},
    faces=_faces,
    files=_code,
    read=_read,
)
