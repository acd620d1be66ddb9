"""Saving is reproducible, whole or not at all; text is measured and shortened."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from groupnas.errors import InputError
from groupnas.report.figure import SUFFIXES, save, shorten, styled, text_width

MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


def picture() -> Figure:
    with styled():
        figure = Figure(figsize=(2, 1))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.plot([0, 1], [0, 1])
        axes.text(0.5, 0.5, "costs $5 to $6")  # not mathematics
        axes.bar([0], [1], hatch="//")
    return figure


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_figure_same_bytes(tmp_path: Path, suffix: str) -> None:
    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix.upper()}"
    assert save(picture(), first) == first
    save(picture(), second)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(MAGIC[suffix])
    for stamp in (b"<dc:date>", b"CreationDate", b"Software"):
        assert stamp not in first.read_bytes()


@pytest.mark.parametrize("name", ["plot.jpg", "plot", "plot.png.txt", ".png"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"must end in \.png, \.svg, \.pdf"):
        save(picture(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_folder_is_made_and_its_absence_in_a_file_reported(tmp_path: Path) -> None:
    assert save(picture(), tmp_path / "a" / "b.png").is_file()
    with pytest.raises(InputError, match="cannot be written"):
        save(picture(), tmp_path / "a" / "b.png" / "c.png")


def test_style_is_ours_whatever_the_user_set_and_left_as_it_was() -> None:
    with mpl.rc_context({"font.size": 33.0, "axes.facecolor": "red"}):
        with styled():
            assert mpl.rcParams["font.size"] == 7 and mpl.rcParams["axes.facecolor"] == "white"
        assert mpl.rcParams["font.size"] == 33


def test_text_width() -> None:
    assert text_width("", 6) == 0
    assert text_width("m" * 10, 6) == pytest.approx(10 * text_width("m", 6), rel=0.05)
    assert text_width("abc", 12) == pytest.approx(2 * text_width("abc", 6), rel=0.05)
    assert text_width("abc", 6, "bold") > text_width("abc", 6)


def test_shorten_keeps_both_ends() -> None:
    assert shorten("stage1.trunk", 6, 100) == "stage1.trunk"
    short = shorten("stage1." + "x" * 50 + ".hidden7", 6, 60)
    assert short.startswith("stage1") and short.endswith("hidden7") and "…" in short


@given(st.text(st.characters(max_codepoint=0x17F), max_size=60), st.floats(12, 200))
def test_shorten_fits_and_prints(text: str, width: float) -> None:
    short = shorten(text, 6, width)
    assert text_width(short, 6) <= width
    assert short.isprintable()
