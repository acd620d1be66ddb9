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
    Threads,
    Track,
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
    seed: int
    device: str | None
    threads: RecordedCount


_PLOT = "training.png"


def train(
    *,
    recipe: str | None = None,
    grouping: str | None = None,
    out: RunOut = None,
    seed: Seed = None,
    epochs: CountOption = None,
    global_from: Path | None = None,
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

    Args:
        recipe: How (300w, wflw, aflw, cofw, synthetic, name:preset), or a file.
        grouping: Of the last network, instead of the recipe's: even, a grouping.json, or a search
            strategy.
        epochs: Of all trainings, instead of the recipe's.
        global_from: Take the first network, the global one, of this model (a model.json or its
            folder).
        limit: Use this many training faces only.
    """
    given = {
        "recipe": None if recipe is None else resolved(recipe),
        "grouping": None if grouping is None else resolved_strategy(grouping),
        "epochs": epochs,
        "global_from": None if global_from is None else str(global_from.resolve()),
        "data_root": None if data_root is None else str(data_root.resolve()),
        "allow_partial": allow_partial or None,
        "limit": limit,
        "seed": seed,
        "device": device,
        "threads": threads,
    }
    arguments = (
        recorded_arguments("train", out, given, _Arguments)
        if resume
        else {**given, "seed": seed or 0}
    )
    if arguments["recipe"] is None:
        raise InputError(f"train needs --recipe; {_recipes()}")
    name = Path(str(arguments["recipe"])).stem.replace(":", "_")
    folder = out or Path("runs") / f"{name}-cascade-seed{arguments['seed']}"
    _train(arguments, folder, resume, track or ())


def _train(arguments: dict[str, Any], folder: Path, resume: bool, track: Sequence[str]) -> None:
    # Names are checked before torch is imported: a typing mistake is answered at once.
    from groupnas.runs.folder import CONFIG
    from groupnas.runs.kinds import CASCADE
    from groupnas.tasks import find_dataset, require_root

    if not resume:
        CASCADE.check_free(folder)
    from groupnas.landmarks.recipe import load_recipe, recipe_from

    if resume:
        recorded = CASCADE.read(folder)["recipe"]
        settings = recipe_from(recorded, f"{folder / CONFIG}: recipe")
    else:
        settings = load_recipe(arguments["recipe"])
        settings = settings.with_epochs(arguments["epochs"]).with_grouping(arguments["grouping"])
    root = require_root(find_dataset(settings.data), arguments["data_root"])

    from groupnas.engine.tracking import trackers
    from groupnas.landmarks.train import train_cascade

    threads = use_threads(arguments["threads"])
    sinks = trackers(track)
    try:
        card = train_cascade(
            settings,
            folder,
            root=root,
            seed=arguments["seed"],
            device=arguments["device"] or "cpu",
            allow_partial=bool(arguments["allow_partial"]),
            limit=arguments["limit"],
            global_from=arguments["global_from"],
            resume=resume,
            observers=lambda step: sinks,
            arguments={**arguments, "threads": threads},
        )
    except KeyboardInterrupt:
        raise SystemExit(say_stopped("train", folder)) from None
    with courtesy("the training plot was not drawn"):
        _draw(card, settings.steps)
    with courtesy("what came out was not printed"):
        _summary(card)


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


def _recipes() -> str:
    from groupnas.files import shipped_names
    from groupnas.landmarks.recipe import KIND

    return f"choose from: {', '.join(shipped_names(KIND))}"
