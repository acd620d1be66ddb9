"""A tiny data set in the layout of 300W, made of drawn faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groupnas.tasks.landmarks import w300
from groupnas.tasks.landmarks.synthetic import draw_face

FILES = {
    "afw": ["11_1.jpg", "11_2.jpg", "12_1.JPG"],
    "helen/trainset": ["21_1.jpeg", "22_1.png"],
    "lfpw/trainset": ["image_0001.png", "image_0002.png"],
    "helen/testset": ["31_1.jpg"],
    "lfpw/testset": ["image_0001.png"],
    "ibug": ["image_003_1.jpg"],
    "01_Indoor": ["indoor_001.png"],
    "02_Outdoor": ["outdoor_001.png"],
}
COUNTS = {folder: len(names) for folder, names in FILES.items()}


def write_face(image: Path, index: int) -> None:
    """A drawn face and, counted from 1, its landmarks."""
    image.parent.mkdir(parents=True, exist_ok=True)
    grey, points = draw_face(index)
    Image.fromarray(grey).convert("RGB").save(image, quality=95)
    rows = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points + 1)
    image.with_suffix(".pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}\n}}\n")


@pytest.fixture(scope="session")
def _drawn_300w(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn")
    names = [f"{folder}/{name}" for folder, names in FILES.items() for name in names]
    for index, name in enumerate(names):
        write_face(root / "300w" / name, index)
    return root


@pytest.fixture
def copy_300w(
    _drawn_300w: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Path]:
    """Call it for a data root with a complete copy, as far as the shrunken counts go."""
    import shutil

    counts = {
        split: {folder: COUNTS[folder] for folder in folders}
        for split, folders in w300.SPLITS.items()
    }
    monkeypatch.setattr(w300, "SPLITS", counts)
    monkeypatch.setenv("GROUPNAS_CACHE", str(tmp_path / "cache"))

    def copy() -> Path:
        return Path(shutil.copytree(_drawn_300w, tmp_path / "data"))

    return copy


@pytest.fixture
def face() -> tuple[np.ndarray, np.ndarray]:
    """A drawn face ``(160, 160)`` and its 68 landmarks."""
    return draw_face(0)
