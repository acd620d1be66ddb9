"""What all tests share: one thread per worker, pictures without a screen, examples that repeat.

Engine and strategies are tried on the example's three drawn shapes: an epoch takes a moment; what
works on networks, on the small spaces of tests/spaces/small and the reduced local network.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

# Before torch and matplotlib are imported; subprocesses inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
import torch
from helpers import ROOT, SMALL_SPACES, load_script
from hypothesis import settings
from torch import Tensor, nn

import groupnas
from groupnas.grouping import Grouping
from groupnas.schema import validate
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.schema import read_space_file
from groupnas.strategies.masks.job import BilevelSearch
from groupnas.strategies.masks.settings import MaskSearch

PICASSO = ROOT / "search_spaces/picasso_local.yaml"

# A test goes red because of a change, never because of luck or of a busy machine.
settings.register_profile("groupnas", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("groupnas")


@pytest.fixture(scope="session")
def own_parts() -> ModuleType:
    """examples/own_parts.py"""
    return load_script(ROOT / "examples/own_parts.py")


@pytest.fixture(scope="session")
def shapes_space(own_parts: ModuleType) -> groupnas.SearchSpace:
    return groupnas.load_space(own_parts.SPACE)


@pytest.fixture(scope="session")
def shapes(own_parts: ModuleType) -> Any:
    """A task of 100 drawings, of which 70 train at the validation share of 0.3."""
    return own_parts.Shapes(samples=100)


@pytest.fixture(scope="session")
def brief(own_parts: ModuleType) -> Callable[..., MaskSearch]:
    """A strategy of one warm-up and two search epochs of 3 steps; settings replace its own."""

    def make(masks: dict[str, Any] | None = None, **changes: Any) -> MaskSearch:
        settings = own_parts.STRATEGY.model_dump()
        settings.update(warmup_epochs=1, epochs=2, batch_size=20, **changes)
        # Undecided at first, so that a few steps change the grouping.
        settings["masks"].update({"init": "ones", **(masks or {})})
        return validate(MaskSearch, settings, "test")

    return make


@pytest.fixture
def make_search(
    shapes_space: groupnas.SearchSpace, shapes: Any, brief: Callable[..., MaskSearch]
) -> Callable[..., BilevelSearch]:
    """A new search of the shapes; the global random state is put back after the test."""

    def make(task: Any = None, seed: int = 0, **changes: Any) -> BilevelSearch:
        return BilevelSearch(shapes_space, task or shapes, brief(**changes), seed)

    return make


def _reduced_picasso() -> SearchSpace:
    """All layers and units of the local network, on crops of 16 x 16."""
    file = read_space_file(PICASSO).model_copy(update={"input": (16, 16)})
    return SearchSpace.from_file(file, "picasso_local")


@pytest.fixture(
    params=[*SMALL_SPACES, None], ids=lambda path: path.stem if path else "picasso_local"
)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    """Each of the small spaces in turn, and the reduced local network."""
    return load_space(request.param) if request.param else _reduced_picasso()


@pytest.fixture
def groupings() -> Callable[[SearchSpace], list[Grouping]]:
    """Even, random, and as lopsided as is valid: each group in turn gets all but one of each."""

    def make(space: SearchSpace) -> list[Grouping]:
        lopsided = [
            Grouping.from_counts(
                space,
                {
                    unit: {
                        group: channels - len(space.groups) + 1 if group == favourite else 1
                        for group in space.groups
                    }
                    for unit, channels in space.free_units.items()
                },
            )
            for favourite in (space.groups[0], space.groups[-1])
        ]
        return [Grouping.even(space), *(Grouping.random(space, s) for s in range(3)), *lopsided]

    return make


@pytest.fixture
def randomised() -> Callable[[nn.Module], nn.Module]:
    """Random weights, biases and BatchNorm statistics, so that none of them can be mixed up."""

    @torch.no_grad()
    def fill(network: nn.Module, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for name, tensor in module.state_dict().items():
                    if name in ("weight", "running_var"):
                        tensor.uniform_(0.5, 1.5)
                    elif name in ("bias", "running_mean"):
                        tensor.normal_(0, 0.2)
            elif isinstance(bias := getattr(module, "bias", None), Tensor):
                bias.normal_(0, 0.2)
        return network

    return fill


@pytest.fixture
def process_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process group of ``torch.distributed`` of this process alone."""
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", loopback)
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.fixture(params=[torch.float64, torch.float16], ids=str)
def default_dtype(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    """Another default dtype than float32."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


CHROMIUM = [
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
    """Chromium, for what is to be opened in a browser.

    Skipped where Playwright or Chromium is missing: ``pip install -e '.[test-browser]'``, and a
    ``chromium`` on the path (or its path in GROUPNAS_CHROMIUM).
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra test-browser")
    chromium = os.environ.get("GROUPNAS_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        pytest.skip("needs chromium on the path")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
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
