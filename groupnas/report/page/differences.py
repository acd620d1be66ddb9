"""What a comparison says, set by set: a forest plot of differences, and the command's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from groupnas.comparison.rows import ResultRow
from groupnas.comparison.statistics import Difference
from groupnas.comparison.tables import (
    Comparison,
    TextTable,
    counted,
    errors_table,
    parts_table,
    remarks,
    several,
)
from groupnas.palette import INK, MUTED, PAPER, look
from groupnas.report.page.charts import CONFIG, SCHEMA, Spec

_LINE, _GAP, _FRAME = 11, 10, 20  # pixels: of an interval, between strategies, around all
_THIN, _THICK = 1.2, 3.5  # as in the figure that `groupnas compare` draws


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One set of samples at one budget.

    Attributes:
        title: Both, with how many samples there are and how many seeds.
        errors: The table of errors that ``groupnas compare`` prints.
        parts: Its table of differences; empty where there is nothing to compare with.
        forest: The chart of those differences; ``None`` where there are none.
        remarks: What has to be said of it; see :func:`groupnas.comparison.tables.remarks`.
    """

    title: str
    errors: TextTable
    parts: TextTable
    forest: Spec | None
    remarks: tuple[str, ...]


def panels(comparison: Comparison) -> tuple[Panel, ...]:
    """All that is finished, in the order in which ``groupnas compare`` prints it."""
    found: dict[tuple[str, float], list[ResultRow]] = {}
    for row in comparison.rows:
        found.setdefault((row.samples, row.budget), []).append(row)
    return tuple(
        Panel(
            title=_title(rows, len(comparison.budgets) > 1),
            errors=errors_table(comparison, samples, budget),
            parts=parts_table(comparison, samples, budget),
            forest=forest([row for row in rows if row.differences], str(comparison.baseline)),
            remarks=tuple(remarks(rows)),
        )
        for (samples, budget), rows in found.items()
    )


def _title(rows: Sequence[ResultRow], several: bool) -> str:
    row, counts = rows[0], sorted({len(row.seeds) for row in rows})
    seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    cost = f", cost {row.budget:g} of even groups" if several else ""
    plural = "" if counts[-1] == 1 else "s"
    return f"{row.samples}: {counted(row)}, {seeds} seed{plural}{cost}"


def forest(rows: Sequence[ResultRow], baseline: str) -> Spec | None:
    """A forest plot as a Vega-Lite specification: for each strategy the mean, then every part.

    Args:
        rows: Of one set of samples and one budget, with differences.
        baseline: What they are differences to.
    """
    if not rows:
        return None
    names = list(rows[0].differences)  # all are of the same samples
    parts = [name for name in names if name != "mean"]
    shown = ["mean", *parts]
    colours = [INK, *(look(place).colour for place in range(len(parts)))]
    values = [_value(row.strategy, name, row.differences[name]) for row in rows for name in shown]
    y: Spec = {
        "y": {
            "field": "strategy",
            "type": "nominal",
            "sort": None,
            "title": None,
            "axis": {"grid": True, "tickBand": "extent", "ticks": False, "labelLimit": 110},
            "scale": {"paddingInner": _GAP / (_GAP + _LINE * len(shown)), "paddingOuter": 0.05},
        },
        "yOffset": {"field": "part", "type": "nominal", "scale": {"domain": shown}},
        "color": {
            "field": "part",
            "type": "nominal",
            "sort": None,
            "scale": {"domain": shown, "range": colours},
            "legend": {"title": None, "orient": "bottom", "columns": 3, "symbolOpacity": 1},
        },
        "tooltip": [
            {"field": field, "type": "nominal"}
            for field in ("strategy", "part", "difference", "sources and seeds", "sources", "of")
        ],
    }
    axis = f"{rows[0].unit}, minus {baseline}"
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": _FRAME + len(rows) * (_GAP + _LINE * len(shown)),
        "padding": {"left": 4, "top": 6, "right": 12, "bottom": 4},
        "description": f"Differences to {baseline} on {rows[0].samples} with 95 % intervals: for "
        f"{', '.join(row.strategy for row in rows)}, of {', '.join(shown)}; the tables below hold "
        "the numbers",
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "rule", "color": MUTED, "aria": False},
                "encoding": {"x": {"datum": 0}},
            },
            _interval("low", "high", _THIN, axis, y),
            _interval("sources_low", "sources_high", _THICK, axis, y),
            _dots(y),
        ],
        "config": CONFIG,
    }


def _value(strategy: str, part: str, of: Difference) -> Spec:
    """What is drawn of a difference, and how the tip tells it."""
    return {
        "strategy": strategy,
        "part": part,
        **{
            key: None if (value := getattr(of, key)) is None else round(value, 5)
            for key in ("mean", "low", "high", "sources_low", "sources_high")
        },
        "marked": of.significant,
        "difference": f"{of.mean:+.3f}{'*' if of.significant else ''}",
        "sources and seeds": _told(of.low, of.high),
        "sources": _told(of.sources_low, of.sources_high),
        "of": f"{several(of.sources, 'source')}, {several(of.seeds, 'seed')}",
    }


def _told(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:+.3f} to {high:+.3f}"


def _interval(low: str, high: str, width: float, title: str, y: Spec) -> Spec:
    """A layer of lines from one end of an interval to the other, where there is one."""
    x = {"field": low, "type": "quantitative", "title": title, "axis": {"tickCount": 6}}
    return {
        "transform": [{"filter": f"isValid(datum.{low})"}],
        "mark": {"type": "rule", "strokeWidth": width, "aria": False},
        "encoding": {"x": x, "x2": {"field": high}, **y},
    }


def _dots(y: Spec) -> Spec:
    """A layer of the differences themselves: filled where marked, else hollow."""
    colour, marked = y["color"], "datum.marked"
    return {
        "mark": {"type": "point", "strokeWidth": 1.5, "opacity": 1, "aria": False},
        "encoding": {
            **{key: y[key] for key in y if key != "color"},
            "x": {"field": "mean", "type": "quantitative"},
            "fill": {"condition": {"test": marked, **colour}, "value": PAPER},
            "stroke": {**colour, "condition": {"test": marked, "value": INK}},
            "size": {"condition": {"test": marked, "value": 70}, "value": 28},
        },
    }
