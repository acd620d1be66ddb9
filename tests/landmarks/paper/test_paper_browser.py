"""The paper's HTML tables in a real browser: nothing is cut off or beyond the keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from groupnas.landmarks.paper import render

PHONE = {"width": 390, "height": 844}


@pytest.mark.parametrize("name", ["table4", "table9"])  # with labels left out; with wide rows
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(
    browser: Any, violations: Any, everything: list[Path], tmp_path: Path, name: str, scheme: str
) -> None:
    file = tmp_path / f"{name}.html"
    file.write_text(render(name, everything, "html"), encoding="ascii")
    context = browser.new_context(viewport=PHONE, color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    box = page.locator("h1").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "scroll"
    assert violations(page) == [] and asked == [file.as_uri()]
    context.close()
