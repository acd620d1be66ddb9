"""COCO keypoints files: one JSON file with several objects an image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from groupnas.errors import InputError
from groupnas.files import nearest, parse_json, read_text
from groupnas.landmarks.keypoints.entry import Entry, check_box, image_path
from groupnas.landmarks.keypoints.settings import KeypointFile
from groupnas.saved import Saved
from groupnas.schema import validate

_Id = int | str


class _Image(Saved):
    id: _Id
    file_name: str


class _Category(Saved):
    id: _Id
    name: str
    keypoints: list[str] = []


class _Annotation(Saved):
    image_id: _Id
    category_id: _Id
    keypoints: list[float] = []
    bbox: list[float] | None = None


class _File(Saved):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read_coco(path: Path, settings: KeypointFile) -> list[Entry]:
    """The objects of a COCO keypoints file, in its order.

    A keypoint is ``x, y, v``; where ``v`` is 0 it is missing. Boxes are ``x, y, width, height``.

    Raises:
        InputError: it cannot be read or is damaged, or lacks a point; names file and key.
    """
    raw = parse_json(read_text(path), str(path))
    file = validate(_File, raw, str(path))
    category = _category(path, file, settings)
    for name in settings.names:
        if name not in category.keypoints:
            choices = nearest(name, category.keypoints)
            raise InputError(f"{path}: category {category.name!r}: no keypoint {name!r}; {choices}")
    order = [category.keypoints.index(name) for name in settings.names]
    images = {image.id: number for number, image in enumerate(file.images)}
    if len(images) < len(file.images):
        raise InputError(f"{path}: images: an id stands twice")
    entries = []
    for number, one in enumerate(file.annotations):
        place = f"{path}: annotations.{number}"
        if one.category_id != category.id:
            continue
        if one.image_id not in images:
            raise InputError(f"{place}.image_id: no image has the id {one.image_id!r}")
        if len(one.keypoints) != 3 * len(category.keypoints):
            raise InputError(
                f"{place}.keypoints: expected {3 * len(category.keypoints)} numbers, x, y and v of "
                f"each keypoint, got {len(one.keypoints)}"
            )
        if not all(map(math.isfinite, one.keypoints)):
            raise InputError(f"{place}.keypoints: expected finite numbers")
        rows = np.array(one.keypoints, dtype=np.float64).reshape(-1, 3)[order]
        points = np.where(rows[:, 2:] > 0, rows[:, :2], math.nan)
        at = images[one.image_id]
        image = image_path(f"{path}: images.{at}.file_name", file.images[at].file_name)
        fields = _plain(raw["images"][at]) | _plain(raw["annotations"][number])
        box = _box(f"{place}.bbox", one.bbox) if settings.box == "listed" else None
        entries.append(Entry(place, image, points, box, fields))
    return entries


def _category(path: Path, file: _File, settings: KeypointFile) -> _Category:
    """The category that the settings name, or the only one with keypoints."""
    known = {one.name: one for one in file.categories if one.keypoints}
    if settings.category is None and len(known) == 1:
        return next(iter(known.values()))
    if settings.category is None:
        raise InputError(
            f"{path}: categories: {len(known)} have keypoints; say under category which is meant, "
            f"{nearest('', known)}"
        )
    if settings.category not in known:
        raise InputError(
            f"{path}: categories: no {settings.category!r} with keypoints; "
            f"{nearest(settings.category, known)}"
        )
    return known[settings.category]


def _box(place: str, box: list[float] | None) -> np.ndarray[Any, np.dtype[np.float64]]:
    if box is None or len(box) != 4:
        raise InputError(f"{place}: expected x, y, width and height, got {box}")
    found = np.array(box, dtype=np.float64)
    found[2:] += found[:2]
    check_box(place, found)
    return found


def _plain(told: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in told.items() if isinstance(value, (str, int, float))}
