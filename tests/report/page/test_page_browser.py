"""The page in a real browser: pointer, keyboard, slider, themes, widths, print, accessibility."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groupnas.grouping import Grouping
from groupnas.palette import COLOURS, INK, PAPER
from groupnas.report.page import render, write_page
from groupnas.report.page.model import PageRun
from groupnas.report.page.render import vega

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def page_file(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs side by side, of which one was killed."""
    folder = tmp_path_factory.mktemp("browser")
    killed = shutil.copytree(searched, folder / "killed-run")
    (killed / "result.json").unlink()
    return write_page([searched, killed], folder / "page").page


class Opened:
    """A page, what its console said, and what it asked for."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector(".plate svg")


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Any]:
    made: list[Opened] = []

    def open_page(**options: Any) -> Any:
        made.append(Opened(browser, page_file, **{"viewport": DESKTOP, **options}))
        return made[-1].page

    yield open_page
    for one in made:
        one.context.close()
        assert one.said == [] and one.asked == [page_file.as_uri()]


def first(page: Any, selector: str) -> Any:
    return page.locator(selector).first


def test_pointer_tells_layer_part_channels_and_macs(opened: Any, searched: Path) -> None:
    page = opened()
    found = Grouping.load(searched / "grouping.json")
    unit = found.units[0]
    row = page.locator("[data-tetris='0'] .row").first
    assert row.locator(".unit").text_content() == unit
    row.locator(".cell").nth(1).hover()
    tip = page.locator("#tip").text_content()
    channels = found.assignments[unit]
    share = 100 * channels.count(1) / len(channels)
    assert f"{unit} · {found.groups[1]}" in tip and "MACs" in tip and "in stem" in tip
    assert f"{channels.count(1)} of {len(channels)} channels ({share:.1f} %)" in tip
    page.mouse.move(0, 0)
    assert page.locator("#tip").is_hidden()


def test_keys_walk_through_the_plot(opened: Any) -> None:
    page = opened()
    grid = page.locator("[data-tetris='0'] .bars")
    # One stop of the tab key for the whole plot.
    assert grid.locator("[tabindex='0']").count() == 1
    grid.locator("[tabindex='0']").focus()
    start = page.evaluate("document.activeElement.getAttribute('aria-label')")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label != start and "channels" in label
    assert page.locator("#tip").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    assert grid.locator("[tabindex='0']").count() == 1


def test_initial_and_found_in_turn(opened: Any, searched: Path) -> None:
    page = opened()
    panel = page.locator("[data-tetris='0']")

    def sizes() -> list[int]:
        labels = panel.locator(".cell").evaluate_all(
            "cells => cells.map(cell => cell.getAttribute('aria-label'))"
        )
        return [int(label.split(", ")[1].split()[0]) for label in labels]

    def recorded(name: str) -> list[int]:
        counts = Grouping.load(searched / name).counts()
        return [size for row in counts.values() for size in row.values()]

    wanted = recorded("initial_grouping.json")
    panel.get_by_role("button", name="initial").click()
    assert sizes()[: len(wanted)] == wanted
    assert panel.get_by_role("button", name="initial").get_attribute("aria-pressed") == "true"
    panel.get_by_role("button", name="found").click()
    assert sizes()[: len(wanted)] == recorded("grouping.json") != wanted


def test_slider_goes_through_the_epochs(opened: Any) -> None:
    page = opened()
    panel = page.locator("[data-tetris='0']")
    slider = panel.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext") == "Epoch 1"
    before = panel.locator(".cell").evaluate_all("cells => cells.map(cell => cell.style.width)")
    assert panel.locator(".moved").text_content() == (
        "Epoch 1: sizes differ from initial by 0 channels."
    )
    assert page.locator("#said").text_content() == panel.locator(".moved").text_content()
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "Epoch 3"
    after = panel.locator(".cell").evaluate_all("cells => cells.map(cell => cell.style.width)")
    assert before != after


def test_runs_can_be_hidden(opened: Any) -> None:
    page = opened()
    assert page.locator("[data-tetris]:visible").count() == 2
    first(page, "#choice input").uncheck()
    assert page.locator("[data-tetris]:visible").count() == 1
    assert page.locator("main [data-run='0']:visible").count() == 0
    first(page, "#choice input").check()
    assert page.locator("[data-tetris]:visible").count() == 2


def test_theme_follows_the_system_and_the_button(opened: Any) -> None:
    page = opened(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(20, 23, 27)"
    page.get_by_role("button", name="Light theme").click()
    assert page.evaluate(ground) == "rgb(246, 247, 249)"
    assert page.get_by_role("button", name="Dark theme").is_visible()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE, {"width": 320, "height": 640}])
def test_nothing_is_wider_than_the_screen(opened: Any, viewport: dict[str, int]) -> None:
    page = opened(viewport=viewport)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    first(page, ".cell").scroll_into_view_if_needed()
    first(page, ".cell").hover()
    box = page.locator("#tip").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= viewport["width"]


def test_every_chart_is_drawn_and_named(opened: Any) -> None:
    page = opened()
    page.wait_for_timeout(300)
    plates = page.locator(".plate").count()
    assert page.locator(".plate svg").count() == plates > 0
    names = page.locator(".plate[role='graphics-document']").evaluate_all(
        "all => all.map(one => one.getAttribute('aria-label'))"
    )
    assert len(names) == plates and any("Loss: lines for training" in name for name in names)


def test_print_is_black_on_white_without_controls(opened: Any) -> None:
    page = opened(color_scheme="dark", viewport={"width": 794, "height": 1123})  # A4
    page.emulate_media(media="print")
    cut = "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).length"
    assert page.locator(".scroll:visible").evaluate_all(cut) == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("nav").is_hidden() and page.locator(".tools").first.is_hidden()
    assert first(page, ".cell").is_visible()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_comparison_has_a_forest_and_tables(
    browser: Any,
    violations: Any,
    row: Any,
    compared: Any,
    tmp_path: Path,
    viewport: dict[str, int],
) -> None:
    rows = [row(name, samples) for samples in ("validation", "test") for name in ("even", "own")]
    unsure = dict.fromkeys(rows[1].differences, rows[1].differences["nose"])
    rows.append(row("own", "set without marks", differences=unsure))
    run = PageRun(name="c", folder="c", kind="comparison", state="Finished.", finished=True)
    file = tmp_path / "index.html"
    file.write_text(render([replace(run, comparison=compared(*rows))], library=vega()))
    one = Opened(browser, file, viewport=viewport)
    page = one.page
    page.wait_for_timeout(300)
    assert page.locator(".forests .plate svg").count() == 3
    names = page.locator(".forests .plate").evaluate_all(
        "all => all.map(one => one.getAttribute('aria-label'))"
    )
    assert names[0].startswith("Differences to even on validation")
    dots = page.locator(".forests figure").first.locator("svg .mark-symbol.role-mark path")
    fills = dots.evaluate_all("all => all.map(one => one.getAttribute('fill'))")
    assert fills == [INK, PAPER, COLOURS[1]]  # the mean, the nose that is not sure, the mouth
    assert page.locator("details.card[open] .marked").first.is_visible()
    assert page.locator("details.card:not([open]) .marked").first.is_hidden()
    page.locator("#compared summary").nth(1).click()
    assert page.locator("#compared details").nth(1).locator(".marked").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert violations(page) == []
    one.context.close()
    assert one.said == [] and one.asked == [file.as_uri()]


@pytest.mark.parametrize(("scheme", "viewport"), [("light", DESKTOP), ("dark", PHONE)])
def test_axe_finds_nothing(
    opened: Any, violations: Any, scheme: str, viewport: dict[str, int]
) -> None:
    page = opened(color_scheme=scheme, viewport=viewport)
    first(page, "#choice input").uncheck()  # both runs have the same elements
    for details in page.locator("details").all():
        details.evaluate("node => node.open = true")
    assert violations(page) == []
