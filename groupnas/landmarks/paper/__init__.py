"""The tables and figures of a paper, from runs: its own figures, and ours beside them.

What each is made of stands in ``reports/``, what the paper prints in ``reports/published/``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.landmarks.paper.build import build_table
from groupnas.landmarks.paper.definition import FigureDefinition, definition_names, load_definition
from groupnas.landmarks.paper.figures import render_figure
from groupnas.landmarks.paper.formats import FORMATS
from groupnas.landmarks.paper.runs import read_runs

__all__ = ["FORMATS", "definition_names", "is_figure", "render", "render_figure"]


def render(
    name: str,
    runs: Sequence[str | os.PathLike[str]] = (),
    format: str = "markdown",
    *,
    searched: str | None = None,
) -> str:
    """A table of the paper with what some runs say beside what is printed.

    Args:
        name: Of a definition, such as ``"table9"``; or the path of one.
        runs: Comparisons, searches, trained cascades, and outputs of ``groupnas eval --out`` and
            ``groupnas bench --json``; those that the table does not need are left aside.
        format: One of :data:`FORMATS`.
        searched: The label of the strategy in the role of the paper's search; by default the first
            Gumbel search of the comparison, else its only search.

    Raises:
        InputError: no such table or format, a figure's name, or a run that is none or is damaged.
    """
    if format not in FORMATS:
        raise InputError(f"format {format!r}: {nearest(format, FORMATS)}")
    definition = load_definition(name)
    if isinstance(definition, FigureDefinition):
        raise InputError(f"{name}: is a figure, not a table; give a picture's name to draw it")
    return FORMATS[format](build_table(name, definition, read_runs(runs), searched))


def is_figure(name: str) -> bool:
    """Return True for a figure's definition, to :func:`render_figure`; raises as :func:`render`."""
    return isinstance(load_definition(name), FigureDefinition)
