"""docs/own_keypoints.md: its files fit each other, and the mouse that it is about."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from helpers import ROOT

from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.given import gather
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.recipe import load_recipe

PAGE = (ROOT / "docs/own_keypoints.md").read_text(encoding="utf-8")
FILES = re.findall(r"`([\w/]+\.yaml)`[^`]*\n\n```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files, where one works."""
    for name, text in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_recipe_fits_the_spaces_and_the_data(page: Path) -> None:
    recipe, data = load_recipe("mouse_recipe.yaml"), face_set("mouse.yaml")
    given = gather(recipe, data.markup, None, 0)
    assert [*given] == ["whole", "parts"]
    assert [*given["parts"].space.groups] == [*data.markup.parts]


def test_the_mouse(page: Path) -> None:
    root = os.environ.get("GROUPNAS_DATA")
    if not root or not (Path(root) / "mirror_mouse").is_dir():
        pytest.skip("needs GROUPNAS_DATA with mirror_mouse/")
    (page / "mirror_mouse").symlink_to(Path(root) / "mirror_mouse")
    data = face_set("mouse.yaml")
    train, test = (load_faces(data, None, split) for split in ("train", "test"))
    assert f"finds {len(train)} frames to train on and {len(test)} to test on" in PAGE
    first = next(face for face in train if face.name.endswith("img01.png"))
    assert first.points[0].tolist() == [77.25, 36.25]  # its first row
    assert data.read(first).shape == (406, 396, 3)
