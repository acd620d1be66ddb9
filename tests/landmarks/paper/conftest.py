"""Runs that are written by hand, so that every figure of a table can be checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from groupnas.comparison.plan import Piece
from groupnas.comparison.samples import SampleErrors
from groupnas.engine.strategy import load_strategy

GROUPS = ("left_eye", "right_eye", "nose", "mouth")
_LONG = {"gumbel": {"warmup_epochs": 3, "epochs": 12}, "flgc": {"epochs": 500}}
GUMBEL, FLGC = (
    load_strategy(name).with_settings(**changes).model_dump(mode="json")
    for name, changes in _LONG.items()
)
# Label to settings, and the mean error of the easy faces; hard ones have twice as much.
STRATEGIES: dict[str, tuple[dict[str, Any], float]] = {
    "separate": ({"algorithm": "separate"}, 2.5),
    "ungrouped": ({"algorithm": "ungrouped"}, 2.6),
    "even": ({"algorithm": "even"}, 2.0),
    "random": ({"algorithm": "random"}, 2.4),
    "by_hand": ({"algorithm": "manual", "weights": {"nose": 0.9}}, 2.2),
    "quick": (GUMBEL, 1.8),
    "old": (FLGC, 2.3),
}


def write_comparison(folder: Path, task: str = "300w", *, test: bool = True) -> Path:
    """Two seeds of all strategies, which differ by 0.2."""
    config = {
        "arguments": {"recipe": "somewhere/mine.yaml"},
        "strategies": {label: given for label, (given, _) in STRATEGIES.items()},
        "seeds": [0, 1],
        "budgets": [1.0],
        "groups": list(GROUPS),
        "measure": "mac",
        "task": {"name": task, "samples": 3148},
        "training": {"epochs": 150},
    }
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    for label, (_, level) in STRATEGIES.items():
        for seed in (0, 1):
            _write_training(folder, Piece(label, seed, 1.0), level + 0.2 * seed, test)
    return folder


def _write_training(out: Path, piece: Piece, level: float, test: bool) -> None:
    folder, label = out / piece.folder, piece.strategy
    folder.mkdir(parents=True)
    hard = np.array([False, True, True, False])
    errors = level * np.array([1.0, 2.0, 2.0, 1.0])[:, None] * np.ones((1, 4))
    for name in ("validation", "test")[: 2 if test else 1]:
        SampleErrors(
            errors=errors,
            groups=GROUPS,
            weights=np.array([11.0, 11.0, 9.0, 20.0]),
            sources=np.array(["a", "b", "c", "d"]),
            unit="NME %",
            subsets={"common": ~hard, "challenging": hard} if name == "test" else {},
        ).save(folder / f"errors-{name}.npz")
    start = dict(zip(GROUPS, (2_000_000, 2_100_000, 2_200_000, 2_300_000), strict=True))
    moved = {**start, "nose": 1_900_000, "mouth": 2_600_000} if label == "quick" else start
    flops = {} if label == "ungrouped" else {"initial": start, "found": moved, "trained": moved}
    told = {
        **vars(piece),
        "costs": {"mac": dict.fromkeys(GROUPS, 1e6)},
        "flops": flops,
        "seconds": 80.0,
        "steps": 400,
        "errors": {name: {} for name in ("validation", "test")[: 2 if test else 1]},
    }
    (folder / "cell.json").write_text(json.dumps(told))


def scores(faces: int, nme: float) -> dict[str, Any]:
    """Of both stages; the global one misses by 1 more."""
    return {
        stage: {
            "faces": faces,
            "nme": nme + more,
            "failure_rate": 2 * nme,
            "auc": 0.6,
            "tangential": 0.7 * nme,
            "normal": 0.3 * nme,
        }
        for stage, more in (("global", 1.0), ("cascade", 0.0))
    }


def write_evaluation(
    folder: Path,
    data: str = "300w",
    split: str = "test",
    subsets: Mapping[str, tuple[int, float]] | None = None,
    model: Path | None = None,
) -> Path:
    """What ``groupnas eval --out`` writes; without subsets, the whole test set of 300W."""
    found = subsets or {"full": (689, 3.5), "common": (554, 3.0), "challenging": (135, 5.5)}
    told = {
        "model": str(model or folder / "gone"),
        "allow_partial": False,
        "data": data,
        "split": split,
        "faces": found["full"][0],
        "box": "listed",
        "normaliser": "interocular",
        "threshold": 0.1,
        "scores": {name: scores(*of) for name, of in found.items()},
        "by_pose": {
            stage: [{"low": 10 * n, "high": 10 * n + 10, "faces": 9, "nme": n + 0.25}
                    for n in range(9)]
            + [{"low": 90, "high": None, "faces": 0, "nme": None}]
            for stage in ("global", "cascade")
        },
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text(json.dumps(told))
    return folder


def write_model(folder: Path, *, alpha: float = 0.6, epochs: int = 150, faces: int = 3148) -> Path:
    """A cascade's card with what a table reads of it: its training, and scores held out of it."""
    step = {
        "loss": {"name": "wing", "alpha": alpha},
        "balance_poses": True,
        "training": {"epochs": epochs},
    }
    held_out = json.loads((write_evaluation(folder / "eval") / "scores.json").read_text())
    held_out["scores"] = {"full": scores(314, 4.0)}
    card = {
        "trained": {
            "data": "300w",
            "faces": faces,
            "recipe": {
                "stages": {
                    "global": {"space": "picasso_global"},
                    "local": {"grouping": "even", "blend": 0.6},
                },
                "steps": {"global": step, "local": step},
            },
        },
        "scores": {"validation": {**held_out, "split": "validation"}},
    }
    (folder / "model.json").write_text(json.dumps(card))
    return folder


def write_bench(file: Path) -> Path:
    """What ``groupnas bench --json`` writes of the cascade and one peer."""
    rows = [
        {"model": model, "threads": threads, "batch": 1, "timing": {"median": median}}
        for threads in (2, 1)
        for model, median in (("cascade", 2.04 / threads), ("ResNet-50", 76.0 / threads))
    ]
    told = {"machine": "a machine", "runtime": "onnxruntime 1", "unit": "ms per call", "rows": rows}
    file.write_text(json.dumps({"runs": [told]}))
    return file


@pytest.fixture(scope="session")
def runs() -> Any:
    """The writers above; not the module, whose name every conftest.py has."""
    return SimpleNamespace(**globals())


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison on 300W."""
    return write_comparison(tmp_path_factory.mktemp("paper") / "compared")


@pytest.fixture(scope="session")
def everything(comparison: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run of every kind."""
    place = tmp_path_factory.mktemp("runs")
    wflw = {"full": (2500, 4.5), "pose": (326, 8.0), "blur": (773, 5.0)}
    return [
        comparison,
        write_evaluation(place / "w", subsets=wflw, data="wflw"),
        write_model(place / "model", alpha=1.0),
        write_evaluation(place / "e"),
        write_bench(place / "bench.json"),
    ]
