"""The formats that ``fuzz_saved.py`` damages: small runs that hold them, and who reads them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import runpy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import yaml

import groupnas
from groupnas.cli.resumption import recorded_arguments
from groupnas.cli.search import _Arguments
from groupnas.comparison import Evidence, read_comparison
from groupnas.comparison.compare import compare
from groupnas.comparison.plan import Plan
from groupnas.comparison.summary import read_evidence
from groupnas.engine.observer import Observer
from groupnas.engine.split import split_by_source
from groupnas.engine.strategy import Optimizer, load_strategy
from groupnas.engine.training import train
from groupnas.engine.training_settings import Training
from groupnas.groupbench import Table
from groupnas.grouping import Grouping
from groupnas.landmarks.cache import load_patches, save_patches
from groupnas.landmarks.crops import FACE_CROPS, PART_CROPS, Patches
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.model import StageNetwork, load_cascade, save_cascade
from groupnas.landmarks.paper import render as render_table
from groupnas.landmarks.paper.runs import read_runs
from groupnas.landmarks.roles import Gaze, Role
from groupnas.landmarks.saved import read_faces
from groupnas.latency.table import LatencyTable
from groupnas.report import read_curves, read_history, read_recorded, read_training
from groupnas.report.history import history_figure
from groupnas.report.page.collect import collect
from groupnas.report.page.render import render
from groupnas.runs.folder import RunFolder
from groupnas.spaces.space import SearchSpace, load_space
from groupnas.writing import write_text

ROOT = Path(__file__).parents[1]
SMALL = ROOT / "tests/landmarks/small"
_FEW: dict[str, Any] = {"batch_size": 16, "validation": 0.3}
_BRIEF: dict[str, dict[str, Any]] = {
    "gumbel": {"warmup_epochs": 1, "epochs": 1, **_FEW},
    "evolution": {"trials": 4, "epochs": 1, "population": 2, "tournament": 2, **_FEW},
    "optuna": {"trials": 3, "epochs": 1, "startup": 1, **_FEW},
    "kronecker": {"epochs": 2, **_FEW},
    "knapsack": {"trials": 4, "epochs": 1, **_FEW},
    "knapsack:quick_slimmable": {"epochs": 1, "points": 4, "rounds": 1, **_FEW},
    "even": {},
}


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        name: Of the format.
        file: Inside the folder.
        make: The folder of a sound run with the file, made in another.
        read: Reads such a folder as commands do.
        weight: How many inputs it gets, relative to others.
        mend: What makes a damaged file go past a checksum.
    """

    name: str
    file: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    weight: int = 4
    mend: Callable[[Path], None] | None = None

    @property
    def suffix(self) -> str:
        """How its contents are read and written."""
        return Path(self.file).suffix


# -- runs ---------------------------------------------------------------------------------------


@functools.cache
def _own() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "examples/own_parts.py"))


@functools.cache
def shapes() -> Any:
    """The task of an example."""
    return _own()["Shapes"](60)


@functools.cache
def space() -> SearchSpace:
    """Its space."""
    return load_space(_own()["SPACE"])


@functools.cache
def searched(place: Path, strategy: str) -> Path:
    """A brief search, finished."""
    out = place / f"search-{strategy.replace(':', '-')}"
    settings = load_strategy(strategy).with_settings(**_BRIEF[strategy])
    arguments: dict[str, Any] = dict.fromkeys(_Arguments.model_fields)
    arguments |= {"threads": 1, "seed": 0, "device": "cpu"}
    arguments |= {"space": str(_own()["SPACE"]), "data": "synthetic"}
    groupnas.search(space(), shapes(), settings, out, arguments=arguments)
    (out / "result.json").rename(out / "ended.json")
    return out


class Killed(Exception):
    """Stands for the end of a process."""


class _Killing(Observer):
    def epoch_ended(self, record: dict[str, Any]) -> None:
        raise Killed


@functools.cache
def begun(place: Path, strategy: str) -> Path:
    """A brief search that was killed behind its first epoch."""
    out = place / f"begun-{strategy.replace(':', '-')}"
    settings = load_strategy(strategy).with_settings(**_BRIEF[strategy])
    with contextlib.suppress(Killed):
        groupnas.search(space(), shapes(), settings, out, observers=[_Killing()])
    return out


def search_again(folder: Path) -> None:
    """Go on with a search, which has no epoch left."""
    groupnas.search(space(), shapes(), None, folder, resume=True)


def _training() -> Training:
    return Training(epochs=1, batch_size=16, weights=Optimizer(lr=0.01))


def train_in(folder: Path, resume: bool = True) -> None:
    """Train a network for an epoch, or go on where nothing is left."""
    torch.manual_seed(0)
    network = groupnas.Allocation.even(space()).build()
    split = split_by_source(shapes().sources, 0.3, 0)
    train(network, shapes(), _training(), folder, split=split, resume=resume)


@functools.cache
def trained(place: Path) -> Path:
    train_in(place / "training", resume=False)
    return place / "training"


@functools.cache
def compared(place: Path) -> Path:
    """A comparison of two strategies."""
    brief = load_strategy("gumbel").with_settings(**_BRIEF["gumbel"])
    strategies = {"even": load_strategy("even"), "gumbel": brief}
    options: dict[str, Any] = {"seeds": (0,), "budgets": (1.0,), "validation": 0.3, "jobs": 1}
    compare(space(), shapes, strategies, place / "compared", training=_training(), **options)
    return place / "compared"


@functools.cache
def exported_numbers(place: Path) -> Path:
    """The numbers of a comparison."""
    read_evidence(compared(place)).save(place / "numbers/numbers.json")
    return place / "numbers"


@functools.cache
def cascade(place: Path, own: bool = False) -> Path:
    """A cascade with weights of nobody's, of faces or of a markup that its card has in full."""
    markup, name = MARKUPS[68], "cascade"
    if own:
        names = tuple(f"point{number}" for number in range(68))
        markup, name = replace(markup, names=names, distance=(0, 16)), "own"
    looks = Gaze.at("box", FACE_CROPS), Gaze.at("extents", PART_CROPS)
    stages = {}
    for name, variant, look, size in zip(
        ("global", "local"), (None, "68"), looks, (24, 16), strict=True
    ):
        one = load_space(str(SMALL / f"small_{name}.yaml"), variant)
        even = Grouping.even(one)
        made = groupnas.Allocation(one, even)
        role = Role(look=replace(look, size=size))
        stages[name] = StageNetwork(made, role, made.build())
    told: dict[str, Any] = {"markup": markup, "box": "landmarks"}
    recipe = yaml.safe_load((ROOT / "strategies/recipes/300w.yaml").read_text())
    told |= {"trained": {"data": "300w", "faces": 7, "recipe": recipe}}
    told |= {"scores": {"validation": _scores("validation")}}
    save_cascade(place / name / "model.json", stages, **told)
    return place / name


def _scores(split: str) -> dict[str, Any]:
    stage: dict[str, Any] = {
        "faces": 3,
        "nme": 4.0,
        "failure_rate": 0.0,
        "auc": 0.5,
        "tangential": 2.0,
    }
    stage |= {"normal": 2.0, "parts": {"nose": 3.0, "mouth": 4.0}}
    scores = {"global": stage, "cascade": stage}
    bins = [{"low": 0, "high": 10, "faces": 3, "nme": 4.0}]
    return {
        "data": "300w",
        "split": split,
        "faces": 3,
        "box": "landmarks",
        "normaliser": "interocular",
        "threshold": 0.1,
        "scores": {"full": scores},
        "by_pose": {"global": bins, "cascade": bins},
    }


@functools.cache
def evaluated(place: Path) -> Path:
    """An evaluation."""
    out = place / "evaluated"
    model = str(cascade(place) / "model.json")
    write_text(out / "scores.json", json.dumps({"model": model, **_scores("test")}, indent=1))
    rows = "\n".join(f"face {n},{n}.5,{n}.25,1" for n in range(1, 4))
    write_text(out / "faces.csv", f"face,global_nme,cascade_nme,common\n{rows}\n")
    return out


def _written(name: str, value: Any) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        write_text(place / name / name, json.dumps(value))
        return place / name

    return make


def _timing() -> Any:
    row = {"model": "cascade", "batch": 1, "threads": 1, "timing": {"median": 4.5}}
    return {"machine": "a CPU", "runtime": "ONNX Runtime", "rows": [row]}


def _table(place: Path) -> Path:
    file = LatencyTable.shipped().file
    kept = file.model_copy(update={"kernels": file.kernels[::20]})
    (place / "latency").mkdir()
    LatencyTable("x", kept).save(place / "latency/table.json")
    return place / "latency"


def _use_table(folder: Path) -> None:
    table = LatencyTable.load(folder / "table.json")
    with contextlib.suppress(groupnas.InputError):  # a kernel that was not measured
        for layer in space().layers:
            float(table.of_layer(layer, 4, 4))
    table.to_markdown()


def _bench_table(place: Path) -> Path:
    about = {"parts": ["a", "b"], "largest": {"stem": 2, "body": 3}, "seeds": 2}
    about |= {"training": {"epochs": 2}}
    shape = (2, 2, 3, 2)
    arrays = {"validation": np.ones((*shape, 2), "float32"), "test": np.ones(shape, "float32")}
    (place / "groupbench").mkdir()
    Table(**arrays, about=about).save(place / "groupbench/table.npz")
    return place / "groupbench"


def _patches(place: Path) -> Path:
    markup, settings = MARKUPS[68], replace(PART_CROPS, size=16)
    parts, side = len(markup.parts), settings.pixels
    made = Patches(
        np.zeros((2, parts, settings.channels, side, side), np.uint8),
        np.zeros((2, len(markup.part_points), 2), np.float32),
        np.ones((2, parts), np.float32),
        np.ones(2, np.float32),
        ("a", "b"),
        markup,
        settings,
    )
    (place / "patches").mkdir()
    save_patches(place / "patches/cache.npz", made)
    return place / "patches"


def _read_patches(folder: Path) -> None:
    load_patches(folder / "cache.npz", MARKUPS[68], replace(PART_CROPS, size=16))


def _exported(place: Path) -> Path:
    from groupnas.landmarks.deploy.export import export_cascade

    (place / "exported").mkdir()
    export_cascade(cascade(place), place / "exported/cascade.onnx")
    return place / "exported"


def _run_exported(folder: Path) -> None:
    from groupnas.landmarks.deploy.runtime import OnnxCascade

    found = OnnxCascade.load(folder / "cascade.onnx")
    assert found.markup.points == 68


# -- readers ------------------------------------------------------------------------------------


def _page(folder: Path) -> None:
    render(collect([folder]), library="")


def _paper(folder: Path) -> None:
    for name in ("table3", "table4", "table7", "table9", "table12"):
        render_table(name, [folder], "markdown")
    read_runs([folder])


def _paper_and_page(folder: Path) -> None:
    _paper(folder)
    _page(folder)


def _comparison(folder: Path) -> None:
    found = read_comparison(folder, draws=10)
    json.dumps(found.to_dict())


def _numbers(folder: Path) -> None:
    _comparison(folder / "numbers.json")
    Evidence.load(folder / "numbers.json").save(folder / "again.json")


def _resume_comparison(folder: Path) -> None:
    Plan.from_dict(RunFolder(folder).read_config(), "config.yaml")
    _comparison(folder)
    _paper(folder)
    _page(folder)


def _resumed_search(folder: Path) -> None:
    given = dict.fromkeys(_Arguments.model_fields)
    recorded_arguments("search", folder, given, _Arguments)
    search_again(folder)


def _cascade(folder: Path) -> None:
    load_cascade(folder)
    list(read_runs([folder]).evaluations)


def _digest(file: Path) -> None:
    """Let the card be of the damaged weights."""
    card = file.with_name("model.json")
    if file.is_file() and not file.is_symlink() and file.stat().st_size < 2**30:
        told = json.loads(card.read_text())
        told["weights"] = hashlib.sha256(file.read_bytes()).hexdigest()
        card.write_text(json.dumps(told))


def _history(folder: Path) -> None:
    file = folder / "history.jsonl"
    history_figure(read_history(file), read_recorded(file))


def _result(folder: Path) -> None:
    from groupnas.report.curves import plot_curves

    result = read_curves(folder / "ended.json")
    plot_curves(result, folder / "curves.svg")


def _of(strategy: str) -> Callable[[Path], Path]:
    return lambda place: searched(place, strategy)


def _ended(strategy: str, weight: int) -> Format:
    make = _of(strategy)
    return Format(f"checkpoint, {strategy}", "checkpoint.pt", make, search_again, weight)


def _begun(strategy: str) -> Format:
    def make(place: Path) -> Path:
        return begun(place, strategy)

    return Format(f"checkpoint, {strategy}, begun", "checkpoint.pt", make, search_again, 2)


def _grouping(folder: Path) -> None:
    found = Grouping.load(folder / "grouping.json")
    groupnas.Allocation(space(), found)


FORMATS = (
    *(_ended(name, 5 if name == "gumbel" else 3) for name in _BRIEF),
    *map(_begun, ("gumbel", "evolution", "optuna", "kronecker", "knapsack:quick_slimmable")),
    Format("checkpoint, training", "checkpoint.pt", trained, train_in, 5),
    Format("split.json", "split.json", trained, train_in, 1),
    Format("config.yaml, search", "config.yaml", _of("gumbel"), _resumed_search, 4),
    Format("config.yaml, comparison", "config.yaml", compared, _resume_comparison, 4),
    Format("config.yaml, page", "config.yaml", _of("gumbel"), _page, 1),
    Format("space.yaml", "space.yaml", _of("even"), lambda f: load_space(str(f / "space.yaml")), 3),
    Format("grouping.json", "grouping.json", _of("gumbel"), _grouping, 5),
    Format(
        "history.jsonl, masks",
        "history.jsonl",
        _of("gumbel"),
        _history,
        2,
    ),
    Format(
        "history.jsonl, training",
        "history.jsonl",
        trained,
        lambda f: read_training(f / "history.jsonl"),
        4,
    ),
    Format("history.jsonl, page", "history.jsonl", _of("gumbel"), _page, 1),
    Format("history.jsonl, comparison", "search/gumbel-s0/history.jsonl", compared, _comparison, 1),
    Format("timings.jsonl, comparison", "search/gumbel-s0/timings.jsonl", compared, _comparison, 1),
    Format("result.json, curves", "ended.json", _of("knapsack"), _result, 1),
    Format("cell.json", "train/even-s0-b1/cell.json", compared, _comparison, 4),
    Format("cell.json, report", "train/even-s0-b1/cell.json", compared, _resume_comparison, 1),
    Format("errors.npz", "train/even-s0-b1/errors-validation.npz", compared, _comparison, 4),
    Format("numbers of a comparison", "numbers.json", exported_numbers, _numbers, 4),
    Format("scores.json", "scores.json", evaluated, _paper_and_page, 2),
    Format("faces.csv", "faces.csv", evaluated, _page, 1),
    Format("faces.csv, figures", "faces.csv", evaluated, lambda f: read_faces(f / "faces.csv"), 2),
    Format("model.json", "model.json", cascade, _cascade, 5),
    Format("model.json, own markup", "model.json", lambda p: cascade(p, own=True), _cascade, 3),
    Format("model.json, report", "model.json", cascade, _paper_and_page, 2),
    Format("model.safetensors", "model.safetensors", cascade, _cascade, 4, _digest),
    Format("cascade.onnx", "cascade.onnx", _exported, _run_exported, 2),
    Format(
        "bench --json",
        "bench.json",
        _written("bench.json", _timing()),
        lambda f: _paper(f / "bench.json"),
        2,
    ),
    Format("latency table", "table.json", _table, _use_table, 3),
    Format("GroupBench table", "table.npz", _bench_table, lambda f: Table.load(f / "table.npz"), 4),
    Format("crops kept on disk", "cache.npz", _patches, _read_patches, 3),
)


# -- contents -----------------------------------------------------------------------------------


def load(suffix: str, content: bytes) -> Any:
    """The values of a sound file."""
    if suffix == ".json":
        return json.loads(content)
    if suffix == ".jsonl":
        return [json.loads(line) for line in content.splitlines()]
    if suffix == ".yaml":
        return yaml.safe_load(content)
    if suffix == ".npz":
        return dict(np.load(io.BytesIO(content)))
    if suffix == ".pt":
        return torch.load(io.BytesIO(content), weights_only=True)
    if suffix == ".onnx":
        import onnx

        model = onnx.load_from_string(content)
        return {entry.key: entry.value for entry in model.metadata_props} | {"": content}
    return safetensors.torch.load(content)


def store(file: Path, value: Any) -> None:
    """Write values, which may be odd ones, in a file's format; it may refuse by any exception."""
    if file.suffix == ".json":
        file.write_text(json.dumps(value, default=str))
    elif file.suffix == ".jsonl":
        lines = value if isinstance(value, list) else [value]
        file.write_text("".join(json.dumps(line, default=str) + "\n" for line in lines))
    elif file.suffix == ".yaml":
        file.write_text(yaml.safe_dump(value), errors="surrogatepass")
    elif file.suffix == ".npz":
        arrays: dict[str, Any] = {key: np.asarray(array) for key, array in value.items()}
        np.savez(file, **arrays)
    elif file.suffix == ".pt":
        torch.save(value, file)
    elif file.suffix == ".onnx":
        import onnx

        model = onnx.load_from_string(value.pop(""))
        onnx.helper.set_model_props(model, {str(k): str(v) for k, v in value.items()})
        file.write_bytes(model.SerializeToString())
    else:
        if any(tensor.numel() > 10**6 for tensor in value.values()):
            raise ValueError("too large to be written")
        tensors = {key: tensor.contiguous() for key, tensor in value.items()}
        file.write_bytes(safetensors.torch.save(tensors))
