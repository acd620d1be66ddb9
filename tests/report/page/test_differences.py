"""A comparison on the page: the command's own numbers, and what the forest plot draws of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from groupnas.comparison.tables import NOTE, Comparison, errors_table, parts_table
from groupnas.palette import COLOURS, INK
from groupnas.report.page import render
from groupnas.report.page.differences import forest, panels
from groupnas.report.page.model import PageRun

Build = Callable[..., Any]


def page(comparison: Comparison) -> str:
    run = PageRun(name="c", folder="c", kind="comparison", state="", finished=True)
    return render([replace(run, comparison=comparison)], library="")


def test_tables_are_those_of_the_command(row: Build, compared: Build) -> None:
    comparison = compared(row("even"), row("own"), row("own", "test"))
    first, second = panels(comparison)
    assert first.errors == errors_table(comparison, "validation", 1.0)
    assert first.parts == parts_table(comparison, "validation", 1.0)
    assert (first.title, second.title) == (
        "validation: 20 samples of 20 sources, 3 seeds",
        "test: 20 samples of 20 sources, 3 seeds",
    )
    text = page(comparison)
    assert '<td class="marked">-0.500 [-0.800, -0.200]*</td>' in text
    assert "<td>+0.100 [+0.050, +0.200]</td>" in text
    assert '<td class="marked">-0.500 (-12.5%)*</td>' in text
    assert NOTE.split(".")[0] in text
    for cell in ("<td>30 s</td>", "<td>1.50</td>", "<td>90</td>", "<td>1.25</td>"):
        assert cell in text


def test_a_panel_for_each_budget(row: Build, compared: Build) -> None:
    rows = [row("own", budget=b, seeds=s) for b, s in ((0.5, (0,)), (1.0, (0, 1)))]
    titles = [panel.title for panel in panels(compared(*rows))]
    assert titles == [
        "validation: 20 samples of 20 sources, 1 seed, cost 0.5 of even groups",
        "validation: 20 samples of 20 sources, 2 seeds, cost 1 of even groups",
    ]
    assert "with one seed is never marked" in page(compared(*rows))
    assert "with one seed is never marked" not in page(compared(*rows[1:]))


def test_forest_has_the_mean_first_and_the_parts_in_their_colours(row: Build) -> None:
    spec = forest([row("own"), row("other")], "even")
    assert spec is not None
    values = spec["data"]["values"]
    assert [(v["strategy"], v["part"]) for v in values[:4]] == [
        ("own", "mean"),
        ("own", "nose"),
        ("own", "mouth"),
        ("other", "mean"),
    ]
    assert [v["marked"] for v in values[:3]] == [True, False, True]
    assert [values[1][key] for key in ("sources_low", "low", "mean", "high", "sources_high")] == [
        0.06,
        0.05,
        0.1,
        0.2,
        0.15,
    ]
    scale = spec["layer"][1]["encoding"]["color"]["scale"]
    assert scale == {"domain": ["mean", "nose", "mouth"], "range": [INK, *COLOURS[:2]]}


def test_without_differences_it_says_why(row: Build, compared: Build) -> None:
    lonely = compared(row("even"))
    (panel,) = panels(lonely)
    assert panel.forest is None and panel.parts == []
    assert "even, which others are compared with" in page(lonely)
    nameless = replace(compared(row("x", differences={})), baseline=None)
    assert "there is no strategy called even" in page(nameless)


def test_without_results_there_is_no_section(compared: Build) -> None:
    assert 'id="compared"' not in page(compared())


def test_two_alike_keep_their_own_names_and_places(row: Build, compared: Build) -> None:
    run = PageRun(name="", folder="c", kind="comparison", state="Finished.", finished=True)
    alike = compared(row("even"))  # no differences, and so no chart of its own
    pair = [replace(run, name=name, comparison=alike) for name in ("first", "second")]
    page = render(pair, library="")
    section = page[page.index('<section id="compared"') :].partition("</section>")[0]
    for place, name in enumerate(("first", "second")):
        assert f'<div data-run="{place}">\n<h3>{name}</h3>' in section


def test_what_few_sources_do_not_say_is_not_drawn(row: Build, compared: Build) -> None:
    whole = row("own")
    ends = ("low", "high", "sources_low", "sources_high", "seeds_low", "seeds_high")
    less = {
        name: replace(of, sources=1, **dict.fromkeys(ends))
        for name, of in whole.differences.items()
    }
    few = replace(whole, sources=1, differences=less)
    (panel,) = panels(compared(few))
    assert panel.forest is not None
    value = panel.forest["data"]["values"][0]
    assert (value["mean"], value["low"], value["sources"], value["marked"]) == (
        -0.5,
        None,
        "-",
        False,
    )
    assert value["of"] == "1 source, 3 seeds"
    filters = [layer.get("transform") for layer in panel.forest["layer"]]
    assert filters[1:3] == [
        [{"filter": "isValid(datum.low)"}],
        [{"filter": "isValid(datum.sources_low)"}],
    ]
    assert panel.title == "validation: 20 samples of 1 source, 3 seeds"
    assert "samples of 1 source only: no intervals and no *" in page(compared(few))
