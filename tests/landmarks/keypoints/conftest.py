"""Drawn fish: an ellipse with two eyes, a mouth, two fins and a tail, and a table of their points.

Left is left of the image. Each of four fish has three photos; one of the four is the test's.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

SIZE = 72
POINTS = ("eye_l", "eye_r", "mouth", "fin_l", "fin_r", "tail")
# The fish head up, in shares of its length, the middle at (0, 0).
SHAPE = np.array([[-0.1, -0.4], [0.1, -0.4], [0, -0.5], [-0.3, 0], [0.3, 0], [0, 0.5]])
FILE: dict[str, Any] = {
    "format": 1,
    "title": "Drawn fish",
    "images": "photos",
    "annotations": "fish.csv",
    "points": [*POINTS],
    "parts": {"head": ["eye_l", "eye_r", "mouth"], "fins": ["fin_l", "fin_r"]},
    "mirror": [["eye_l", "eye_r"], ["fin_l", "fin_r"]],
    "normaliser": ["mouth", "tail"],
    "source": {"column": "fish"},
    "test": {"column": "set", "value": "test"},
}


def fish(index: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo ``(72, 72)`` uint8 and the points ``(6, 2)`` in pixel-centre coordinates."""
    rng = np.random.default_rng(index)
    length, angle = rng.uniform(36, 46), rng.uniform(-0.3, 0.3)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = SHAPE @ turn.T * length + SIZE / 2 + rng.uniform(-4, 4, 2)
    image = Image.new("L", (SIZE, SIZE), int(rng.integers(20, 60)))
    draw = ImageDraw.Draw(image)
    outline = [points[number] for number in (2, 4, 5, 3)]
    draw.polygon([tuple(point) for point in outline], fill=120)
    for number, shade in enumerate((255, 230, 180, 205, 90, 10)):
        x, y = points[number]
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=shade)
    noisy = np.asarray(image) + rng.normal(0, 3, (SIZE, SIZE))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), points


def rows() -> list[dict[str, Any]]:
    """The table: a dictionary for each fish, ``eye_l_x`` and so on."""
    found = []
    for index in range(12):
        told: dict[str, Any] = {
            "image": f"{index % 4}/photo{index:02}.png",
            "fish": f"fish{index % 4}",
            "set": "test" if index % 4 == 3 else "train",
        }
        for name, (x, y) in zip(POINTS, fish(index)[1], strict=True):
            told |= {f"{name}_x": f"{x:.4f}", f"{name}_y": f"{y:.4f}"}
        found.append(told)
    return found


@pytest.fixture
def write_fish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Called with settings that replace some of the data file's, writes all; the file's path.

    ``table`` is the rows of the CSV file, ``None`` of a setting leaves it out.
    """
    monkeypatch.setenv("GROUPNAS_CACHE", str(tmp_path / "cache"))

    def write(table: list[dict[str, Any]] | None = None, **changes: Any) -> Path:
        for index in range(12):
            photo = tmp_path / f"photos/{index % 4}/photo{index:02}.png"
            photo.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(fish(index)[0]).save(photo)
        with open(tmp_path / "fish.csv", "w", newline="", encoding="utf-8") as file:
            told = rows() if table is None else table
            writer = csv.DictWriter(file, [*dict.fromkeys(key for row in told for key in row)])
            writer.writeheader()
            writer.writerows(told)
        settings = {key: value for key, value in {**FILE, **changes}.items() if value is not None}
        (tmp_path / "fish.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        return tmp_path / "fish.yaml"

    return write


@pytest.fixture
def fish_file() -> dict[str, Any]:
    """What the data file holds."""
    return {**FILE}


@pytest.fixture
def fish_rows() -> list[dict[str, Any]]:
    """The rows of the table."""
    return rows()


@pytest.fixture
def fish_points() -> Callable[[int], np.ndarray]:
    """The points of a fish by its number."""
    return lambda index: fish(index)[1]
