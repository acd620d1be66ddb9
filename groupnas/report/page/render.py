"""Runs as one HTML file that asks nothing of a network."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from groupnas._version import __version__
from groupnas.comparison.tables import (
    NOTE,
    Comparison,
    front_sections,
    level,
    search_remarks,
    search_table,
)
from groupnas.errors import InputError
from groupnas.extras import install_hint
from groupnas.palette import COLOURS, look
from groupnas.report.page.charts import Spec, distribution, epoch_chart
from groupnas.report.page.collect import collect
from groupnas.report.page.differences import panels
from groupnas.report.page.model import ErrorCurve, Note, PageRun, TetrisData
from groupnas.runs.fields import Chart
from groupnas.writing import write_text

PAGE = "index.html"
_PICTURE_ROOM = 3_400_000  # characters that pictures may take, of the page's 5 MB
# The library's own comments do not survive bundling; its licence asks for this one.
_LICENCE = (
    "/* Vega, Vega-Lite and Vega-Embed, Copyright University of Washington Interactive Data Lab "
    "and contributors, BSD-3-Clause: https://vega.github.io */\n"
)
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


@dataclass(frozen=True)
class Written:
    """The page that was written, and what could not be shown."""

    page: Path
    notes: tuple[Note, ...]


def write_page(paths: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> Written:
    """Write ``index.html`` into a folder.

    Args:
        paths: Run folders, as :func:`groupnas.report.page.collect.collect` takes them.
        out: The folder.

    Raises:
        InputError: no run folder, a library that is not installed, or a folder that cannot be
            written.
    """
    folder, library = Path(out), vega()
    runs = collect(paths)
    write_text(folder / PAGE, render(runs, library=library))
    return Written(folder / PAGE, tuple(note for run in runs for note in run.notes))


@cache
def vega() -> str:
    """The JavaScript of Vega, Vega-Lite and Vega-Embed, as it ships with ``vl-convert-python``."""
    try:
        import jinja2  # noqa: F401 - of the same extra, and soon needed
        import vl_convert
    except ImportError as error:
        raise InputError(f"report: {error.name} is missing; {install_hint('report')}") from error
    return _LICENCE + vl_convert.javascript_bundle(_SNIPPET)


def render(runs: Sequence[PageRun], *, library: str) -> str:
    """The page's HTML.

    Every text of a run is escaped; scripts other than the page's own are refused by its content
    security policy, and so is every request.

    Args:
        runs: At least one.
        library: JavaScript that defines ``vegaEmbed``; without, tables stand for the charts.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("groupnas.report.page", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = figure
    environment.filters["change"] = change
    scripts = [script for script in (library, _asset("page.js")) if script]
    specs = _Specs()
    return environment.get_template("page.html").render(
        runs=runs,
        title=", ".join(run.name for run in runs),
        version=__version__,
        style=_asset("page.css"),
        scripts=scripts,
        hashes=[_hash(script) for script in scripts],
        looks=[look(index) for index in range(len(COLOURS))],
        compared=[_compared(run.comparison, specs) for run in runs],
        note=NOTE,
        networks=[_network(run.network) if run.network else None for run in runs],
        charts=[[(c, specs.add(epoch_chart(c, run.groups))) for c in run.charts] for run in runs],
        distributions=[(title, n, specs.add(spec)) for title, n, spec in _distributions(runs)],
        specs=specs.made,
        commands=["\n".join(map(shlex.join, run.commands)) for run in runs],
        parts=_parts(runs),
        settings=[
            (title, _side_by_side([getattr(run, name) or {} for run in runs]))
            for title, name in (
                ("Data", "data"),
                ("Environment", "environment"),
                ("Configuration", "settings"),
            )
        ],
        pictures=_pictures(runs),
        rows=chart_rows,
    )


def figure(value: float | None) -> str:
    """A number as tables hold it: millions from one on, thousands apart, else four digits."""
    if value is None:
        return ""
    if abs(value) >= 1e6:
        return f"{value / 1e6:,.3f} M"
    whole = abs(value) >= 1000 or float(value).is_integer()
    return f"{value:,.0f}" if whole else f"{value:.4g}"


def change(now: float | None, before: float | None) -> str:
    """By how much a number changed, in percent; nothing where it did not."""
    if now is None or not before or now == before:
        return ""
    return f"{100 * (now / before - 1):+.1f} %".replace("-", "−")


def chart_rows(chart: Chart) -> list[list[str]]:
    """A chart as a table: at most 40 epochs, evenly, with the last."""
    step = max(1, -(-len(chart.epochs) // 40))
    places = sorted({*range(0, len(chart.epochs), step), len(chart.epochs) - 1})
    rows = [[chart.step, *chart.lines]]
    return rows + [
        [str(chart.epochs[at]), *(figure(values[at]) for values in chart.lines.values())]
        for at in places
    ]


class _Specs:
    """Charts by number, so that the page's script finds what belongs where."""

    def __init__(self) -> None:
        self.made: list[Spec] = []

    def add(self, spec: Spec) -> int:
        self.made.append(spec)
        return len(self.made) - 1


def _network(network: TetrisData) -> dict[str, Any]:
    """Return what the script needs for the Tetris plot; units by number, since epochs are many."""
    units = list(network.divisions[0].sizes)
    return {
        "space": network.space,
        "groups": network.groups,
        "divisions": [
            {"title": d.title, "moved": d.moved, "sizes": [[u, s] for u, s in d.sizes.items()]}
            for d in network.divisions
        ],
        "units": units,
        "epochs": network.epochs,
        "step": network.step,
        "timeline": [[sizes[unit] for unit in units] for sizes in network.timeline],
        "layers": [
            [layer.name, layer.source, layer.target, layer.factor, layer.mixes]
            for layer in network.layers
        ],
        "fixed": network.fixed or {},
    }


def _compared(comparison: Comparison | None, specs: _Specs) -> dict[str, Any] | None:
    """Panels with their charts' numbers, and what searches cost; ``None`` without results."""
    if comparison is None or not comparison.rows:
        return None
    found = panels(comparison)
    return {
        "baseline": comparison.baseline,
        "panels": [(p, specs.add(p.forest) if p.forest else None) for p in found],
        "forests": any(panel.forest for panel in found),
        "single": any(len(row.seeds) < 2 for row in comparison.rows),
        "fronts": front_sections(comparison),
        "level": level(comparison),
        "searches": search_table(comparison) if comparison.searches else [],
        "longer": search_remarks(comparison),
    }


def _distributions(runs: Sequence[PageRun]) -> list[tuple[str, int, Spec]]:
    """A chart for each set of samples, with the curves of all runs that were measured on it."""
    found: dict[tuple[str, str], list[tuple[str, ErrorCurve]]] = {}
    for run in runs:
        for curve in run.curves:
            name = f"{run.name}: {curve.network}" if len(runs) > 1 else curve.network
            found.setdefault((curve.samples, curve.unit), []).append((name, curve))
    return [
        (
            f"{samples} ({unit})",
            max(len(c.errors) for _, c in curves),
            distribution(samples, curves),
        )
        for (samples, unit), curves in found.items()
    ]


def _parts(runs: Sequence[PageRun]) -> list[str]:
    """Columns of the table of errors: groups in order, what else has errors, and the mean."""
    names = dict.fromkeys(group for run in runs for group in run.groups)
    names |= dict.fromkeys(group for run in runs for s in run.scores for group in s.errors)
    scored = {group for run in runs for score in run.scores for group in score.errors}
    ordered = [group for group in names if group in scored and group != "mean"]
    return ordered + (["mean"] if "mean" in scored else [])


def _side_by_side(tables: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any], bool]]:
    """Keys, each run's value, and whether runs differ."""
    keys = dict.fromkeys(key for table in tables for key in table)
    return [
        (key, values, len(set(map(str, values))) > 1)
        for key in keys
        for values in [[table.get(key) for table in tables]]
    ]


def _pictures(runs: Sequence[PageRun]) -> list[list[tuple[str, str]]]:
    """Title and data of each run's pictures, as long as they fit into the page."""
    room, shown = _PICTURE_ROOM, []
    for run in runs:
        mine = []
        for picture in run.pictures:
            room -= len(picture.uri)
            mine.append((picture.title, picture.uri if room >= 0 else ""))
        shown.append(mine)
    return shown


@cache
def _asset(name: str) -> str:
    return (resources.files("groupnas.report.page") / "assets" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
