"""The style that all pictures share, the width of a text, and saving them reproducibly."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from groupnas.formats import check_suffix as check_any_suffix
from groupnas.matplotlib_tools import style
from groupnas.palette import INK, MUTED, PALE
from groupnas.writing import atomic_path

# File suffix to the metadata that would otherwise name the moment and the program's version.
_ANONYMOUS: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
SUFFIXES = tuple(_ANONYMOUS)

FONT = "DejaVu Sans"  # comes with matplotlib, so every machine draws the same
STYLE: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": 7.0,
    "text.color": INK,
    "text.parse_math": False,  # names are shown as they are, "$" too
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.titlesize": 8.0,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": PALE,
    "grid.linewidth": 0.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "hatch.linewidth": 0.5,
    "savefig.dpi": 300,
    "svg.hashsalt": "groupnas",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the house style, whatever the user's matplotlibrc says; it is restored at the end."""
    with style(STYLE):
        yield


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The lower-case suffix of a picture's path.

    Raises:
        InputError: it is not one of :data:`SUFFIXES`.
    """
    return check_any_suffix(path, SUFFIXES, "a picture")


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as the path's suffix says; the same figure gives the same bytes.

    A letter that the font lacks is drawn as a box, without a word.

    Raises:
        InputError: the suffix is not one of :data:`SUFFIXES`, or the file cannot be written.
    """
    suffix = check_suffix(path)
    with styled(), _any_letter(), atomic_path(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], metadata=_ANONYMOUS[suffix])
    return Path(path)


@contextmanager
def _any_letter() -> Iterator[None]:
    """Names may have letters that the font lacks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of one line of text in points, in the house font."""
    font = FontProperties(family=FONT, size=size, weight=weight)
    with _any_letter():
        width, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return float(width)


def shorten(text: str, size: float, width: float, weight: str = "normal") -> str:
    """The text as one printable line of at most ``width`` points; an ellipsis replaces its middle.

    Numbers tend to stand at the end of a name and its kind at the front, so both ends survive.
    """
    text = "".join(char if char.isprintable() else " " for char in text)
    short = text
    for kept in range(len(text) - 1, 0, -1):
        if text_width(short, size, weight) <= width:
            break
        short = text[: kept - kept // 2] + "…" + text[len(text) - kept // 2 :]
    return short
