"""A real browser, for what is to be opened in one.

Skipped where Playwright or Chromium is missing: ``pip install -e '.[test-browser]'``, and a
``chromium`` on the path (or its path in GROUPNAS_CHROMIUM).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra test-browser")
    chromium = os.environ.get("GROUPNAS_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        pytest.skip("needs chromium on the path")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def violations() -> Callable[[Any], list[tuple[str, str]]]:
    """What axe finds on a page: rule and the first place."""
    spec = find_spec("axe_playwright_python")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs axe")
    axe = Path(spec.submodule_search_locations[0]) / "axe.min.js"

    def look(page: Any) -> list[tuple[str, str]]:
        page.evaluate(axe.read_text(encoding="utf-8"))
        result = page.evaluate("axe.run()")
        assert len(result["passes"]) > 5  # it did look
        return [(found["id"], found["nodes"][0]["html"]) for found in result["violations"]]

    return look
