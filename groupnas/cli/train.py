"""``groupnas train``: a cascade, step by step."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from groupnas.cli.options import (
    AllowPartial,
    CountOption,
    DataRoot,
    Device,
    Resume,
    RunOut,
    Seed,
    SeveralOption,
    Threads,
    Track,
    refuse_given,
    resolved,
    resolved_strategy,
    use_threads,
    whole_number,
)
from groupnas.cli.output import courtesy
from groupnas.cli.resumption import RecordedCount, recorded_arguments, say_stopped
from groupnas.errors import InputError
from groupnas.saved import Saved


class _Arguments(Saved):
    """The arguments of a run; a resumed one takes them from its ``config.yaml``."""

    recipe: str
    grouping: str | None
    epochs: RecordedCount | None
    global_from: str | None
    data_root: str | None
    allow_partial: bool | None
    limit: RecordedCount | None
    budget: list[str] | None = None
    start_from: str | None = None
    seed: int
    device: str | None
    threads: RecordedCount


_PLOT, _FRONT = "training.png", "front.png"


def train(
    *,
    recipe: str | None = None,
    grouping: str | None = None,
    out: RunOut = None,
    seed: Seed = None,
    epochs: CountOption = None,
    global_from: Path | None = None,
    start_from: Path | None = None,
    budget: SeveralOption = None,
    device: Device = None,
    threads: Threads = None,
    data_root: DataRoot = None,
    allow_partial: AllowPartial = False,
    limit: Annotated[int | None, whole_number(20)] = None,
    resume: Resume = False,
    track: Track = None,
) -> None:
    """Train a landmark cascade: the networks of its stages, and their groupings.

    Writes a run folder with a folder for each step and the model (model.json,
    model.safetensors). Ctrl-C stops it, and --resume goes on, as it does after a crash.

    With --budget it makes smaller cascades of one that is trained first, or given by --start-from:
    stages are pruned by importance, each to the share of the budget that the errors on validation
    faces are least for, and trained on. The folder has one of each size, and family.json.

    Args:
        recipe: How (300w, wflw, aflw, cofw, synthetic, name:preset), or a file.
        grouping: Of the last network, instead of the recipe's: even, a grouping.json, or a search
            strategy.
        epochs: Of all trainings, instead of the recipe's.
        global_from: Take the first network, the global one, of this model (a model.json or its
            folder).
        start_from: Train on the networks of this model, which has the recipe's stages.
        budget: What smaller cascades may cost, relative to the one that they are made of: 0.5, or
            total=0.5,mouth=0.3; one or several.
        limit: Use this many training faces only.
    """
    given = {
        "recipe": None if recipe is None else resolved(recipe),
        "grouping": None if grouping is None else resolved_strategy(grouping),
        "epochs": epochs,
        "global_from": None if global_from is None else str(global_from.resolve()),
        "start_from": None if start_from is None else str(start_from.resolve()),
        "budget": budget,
        "data_root": None if data_root is None else str(data_root.resolve()),
        "allow_partial": allow_partial or None,
        "limit": limit,
        "seed": seed,
        "device": device,
        "threads": threads,
    }
    if resume and out is not None:
        _check_member(out)
    arguments = (
        recorded_arguments("train", out, given, _Arguments)
        if resume
        else {**given, "seed": seed or 0}
    )
    if arguments["recipe"] is None:
        raise InputError(f"train needs --recipe; {_recipes()}")
    name = Path(str(arguments["recipe"])).stem.replace(":", "_")
    what = "family" if arguments["budget"] else "cascade"
    folder = out or Path("runs") / f"{name}-{what}-seed{arguments['seed']}"
    if arguments["budget"]:
        refuse_given({"--global-from": arguments["global_from"]}, "does not go with --budget")
    if arguments["start_from"]:
        refuse_given({"--grouping": arguments["grouping"]}, "the model's networks have their own")
    _train(arguments, folder, resume, track or ())


def _train(arguments: dict[str, Any], folder: Path, resume: bool, track: Sequence[str]) -> None:
    # Names are checked before torch is imported: a typing mistake is answered at once.
    from groupnas.landmarks.shares import CascadeBudget
    from groupnas.runs.folder import CONFIG
    from groupnas.runs.kinds import CASCADE, FAMILY
    from groupnas.tasks import find_dataset, require_root

    budgets = [CascadeBudget.parse(text) for text in arguments["budget"] or ()]
    kind = FAMILY if budgets else CASCADE
    if not resume:
        kind.check_free(folder)
    from groupnas.landmarks.recipe import load_recipe, recipe_from

    if resume:
        recorded = kind.read(folder)["recipe"]
        settings = recipe_from(recorded, f"{folder / CONFIG}: recipe")
    else:
        settings = load_recipe(arguments["recipe"])
        settings = settings.with_epochs(arguments["epochs"]).with_grouping(arguments["grouping"])
    root = require_root(find_dataset(settings.data), arguments["data_root"])

    from groupnas.engine.tracking import trackers
    from groupnas.landmarks.family import train_family
    from groupnas.landmarks.train import train_cascade

    threads = use_threads(arguments["threads"])
    sinks = trackers(track)
    options: dict[str, Any] = {
        "root": root,
        "seed": arguments["seed"],
        "device": arguments["device"] or "cpu",
        "allow_partial": bool(arguments["allow_partial"]),
        "limit": arguments["limit"],
        "start_from": arguments["start_from"],
        "resume": resume,
        "observers": lambda step: sinks,
        "arguments": {**arguments, "threads": threads},
    }
    try:
        if budgets:
            found = train_family(settings, budgets, folder, **options)
        else:
            options["global_from"] = arguments["global_from"]
            found = train_cascade(settings, folder, **options)
    except KeyboardInterrupt:
        raise SystemExit(say_stopped("train", folder)) from None
    if budgets:
        _family_summary(found)
        return
    with courtesy("the training plot was not drawn"):
        _draw(found, settings.steps)
    with courtesy("what came out was not printed"):
        _summary(found)


def _check_member(folder: Path) -> None:
    """Refuse to go on with one of a family by itself."""
    from groupnas.runs.kinds import FAMILY, kind_of

    family = folder.absolute().parent
    if kind_of(family) is FAMILY:
        raise InputError(
            f"{folder}: is of a family, which goes on as a whole: groupnas train --resume --out "
            f"{folder.parent}"
        )


def _draw(card: Path, steps: Iterable[str]) -> None:
    from groupnas.report import plot_training, read_training
    from groupnas.runs.folder import HISTORY

    files = {step: card.parent / step / HISTORY for step in steps}
    histories = {step: read_training(file) for step, file in files.items() if file.is_file()}
    plot_training(histories, card.with_name(_PLOT), "NME %")


def _summary(card: Path) -> None:
    import json

    from groupnas.cli.tables import print_table

    content = json.loads(card.read_text(encoding="utf-8"))
    evaluation = content["scores"]["validation"]
    stages = evaluation["scores"]["full"]
    rows = [["NME %", "all", *next(iter(stages.values()))["parts"]]]
    for stage, scores in stages.items():
        rows.append([stage, *(f"{v:.2f}" for v in (scores["nme"], *scores["parts"].values()))])
    print_table(rows, numbers=True)
    print(
        f"on {evaluation['faces']} {content.get('markup', {}).get('whole', 'face')}s split off the "
        f"training set, in % of {evaluation['normaliser']}"
    )
    print(f"model: {card}")
    if card.with_name(_PLOT).is_file():
        print(f"training plot: {card.with_name(_PLOT)}")
    name = shlex.quote(str(card))
    print(f"next: groupnas eval --model {name} --data {content['trained']['data']}")
    print(f"or:   groupnas predict PHOTO --model {name}")


def _family_summary(found: Path) -> None:
    import json

    from groupnas.cli.tables import print_table

    members = json.loads(found.read_text(encoding="utf-8"))["members"]
    errors = [one["scores"]["validation"]["scores"]["full"]["cascade"]["nme"] for one in members]
    names = [one["budget"] or "whole" for one in members]
    macs = [sum(one["macs"].values()) / 1e6 for one in members]
    with courtesy("the front was not drawn"):
        from groupnas.report.front import FrontPoint, plot_front

        points = [
            FrontPoint(name, error, {"M MACs": cost})
            for name, error, cost in zip(names, errors, macs, strict=True)
        ]
        plot_front(points, found.with_name(_FRONT), unit="NME %, validation")
    with courtesy("what came out was not printed"):
        rows = [["budget", "M MACs", "NME %", "model"]]
        for name, cost, error, one in zip(names, macs, errors, members, strict=True):
            rows.append([name, f"{cost:.1f}", f"{error:.2f}", one["model"]])
        print_table(rows, numbers=True)
        print("NME on faces split off the training set; all but the first were trained on")
        print(f"family: {found}")
        if found.with_name(_FRONT).is_file():
            print(f"front: {found.with_name(_FRONT)}")


def _recipes() -> str:
    from groupnas.files import shipped_names
    from groupnas.landmarks.recipe import KIND

    return f"choose from: {', '.join(shipped_names(KIND))}"
