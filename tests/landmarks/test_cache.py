"""The disk cache: same patches, rebuilt when stale or damaged, never in the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.landmarks import cache
from groupnas.landmarks.cache import (
    cache_folder,
    cached_patches,
    load_patches,
    save_patches,
)
from groupnas.landmarks.crops import (
    PART_CROPS,
    CropSettings,
    Patches,
    cut_patches,
    stack_patches,
)
from groupnas.landmarks.data.synthetic import draw_face
from groupnas.landmarks.markup import MARKUPS, Markup

MARKUP, SETTINGS = MARKUPS[68], replace(PART_CROPS, size=16)


@pytest.fixture(scope="module")
def patches() -> Patches:
    cut = [cut_patches(*draw_face(index), MARKUP, SETTINGS) for index in range(3)]
    return stack_patches(cut, np.array([50.0, 60, 70]), ["a", "b", "b"], MARKUP, SETTINGS)


class Setup:
    """A data folder of one file, and a count of how often patches were built."""

    def __init__(self, root: Path, patches: Patches) -> None:
        self.root, self.file, self.patches, self.built = root, root / "x.jpg", patches, 0
        self.file.write_text("x")

    def __call__(self, settings: CropSettings = SETTINGS, markup: Markup = MARKUP) -> Patches:
        def build() -> Patches:
            self.built += 1
            return self.patches

        return cached_patches("set", [self.file], markup, settings, build)


@pytest.fixture
def setup(tmp_path: Path, patches: Patches, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setenv("GROUPNAS_CACHE", str(tmp_path / "cache"))
    return Setup(tmp_path, patches)


def assert_same(one: Patches, other: Patches) -> None:
    for name in ("pixels", "points", "box_size", "normaliser"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    assert one.sources == other.sources
    assert (one.markup, one.settings) == (other.markup, other.settings)


def test_second_time_comes_from_disk(setup: Setup) -> None:
    assert_same(setup(), setup())
    assert setup.built == 1
    assert len(list(cache_folder().iterdir())) == 1


def test_other_files_or_settings_are_built_anew(setup: Setup) -> None:
    setup()
    setup.file.write_text("longer")
    setup()
    assert setup.built == 2
    for number, (key, value) in enumerate(
        (("margin", 1.4), ("size", 18), ("cover", 1.5), ("colour", True)), start=3
    ):
        setup(replace(SETTINGS, **{key: value}))  # type: ignore[arg-type]
        assert setup.built == number, key


@pytest.mark.parametrize("at", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("how", ["cut", "flip"])
def test_a_damaged_file_is_built_again(setup: Setup, at: float, how: str) -> None:
    setup()
    (path,) = cache_folder().iterdir()
    content = bytearray(path.read_bytes())
    position = int(at * len(content))
    if how == "cut":
        del content[position:]
    else:
        content[position] ^= 0xFF
    path.write_bytes(content)
    assert_same(setup(), setup.patches)
    assert_same(setup(), setup.patches)
    assert setup.built <= 2  # a flipped bit may hit padding
    assert load_patches(path, MARKUP, SETTINGS) is not None


def test_a_file_of_other_shape_does_not_fit(tmp_path: Path, patches: Patches) -> None:
    path = tmp_path / "x.npz"
    save_patches(path, patches)
    assert load_patches(path, MARKUP, SETTINGS) is not None
    assert load_patches(path, MARKUP, replace(SETTINGS, size=18)) is None
    assert load_patches(path, MARKUPS[98], SETTINGS) is None
    np.savez(path, pixels=np.array([object()], dtype=object))
    assert load_patches(path, MARKUP, SETTINGS) is None  # pickles are not loaded


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was told so far, as if nothing had been before."""
    cache._tell_once.cache_clear()
    return lambda: [record.getMessage() for record in caplog.records]


def test_an_unwritable_folder_is_told_once(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, told: Callable[[], list[str]]
) -> None:
    blocked = setup.root / "blocked"
    blocked.write_text("a file where the folder should be")
    monkeypatch.setenv("GROUPNAS_CACHE", str(blocked / "cache"))
    assert_same(setup(), setup.patches)
    assert_same(setup(), setup.patches)
    (line,) = told()
    assert "cannot be written" in line and line.endswith("(set GROUPNAS_CACHE)")


def test_a_pipe_in_the_caches_place_is_not_waited_for(
    setup: Setup, told: Callable[[], list[str]]
) -> None:
    setup()
    (file,) = (setup.root / "cache").glob("*.npz")
    file.unlink()
    os.mkfifo(file)
    assert_same(setup(), setup.patches)
    (line,) = told()
    assert line.startswith(f"{file}: is no regular file; the crops will be cut again")


def nobody(_: object) -> NoReturn:
    raise KeyError("getpwuid(): uid not found: 1000")


def test_no_home_folder(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, told: Callable[[], list[str]]
) -> None:
    """A container's user often has none."""
    for variable in ("GROUPNAS_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(InputError, match="there is no home folder"):
        cache_folder()
    assert_same(setup(), setup.patches)
    assert_same(setup(), setup.patches)
    assert setup.built == 2
    assert told() == [
        "there is no home folder to keep crops in; the crops will be cut again each time "
        "(set GROUPNAS_CACHE)"
    ]


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("GROUPNAS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache/groupnas"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # invalid, says the specification
    assert cache_folder() == tmp_path / ".cache/groupnas"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/groupnas")
    monkeypatch.setenv("GROUPNAS_CACHE", "/y")
    assert cache_folder() == Path("/y")
