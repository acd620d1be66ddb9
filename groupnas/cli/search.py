"""``groupnas search``: the main job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

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
    anchored,
    measure_option,
    resolved,
    use_threads,
    whole_number,
)
from groupnas.cli.output import courtesy, tell_caveat, tell_ceiling
from groupnas.cli.resumption import RecordedCount, recorded_arguments, say_stopped
from groupnas.errors import InputError
from groupnas.saved import Saved

if TYPE_CHECKING:
    from groupnas.engine.search import Run
    from groupnas.engine.strategy import Strategy
    from groupnas.spaces.space import SearchSpace


class _Arguments(Saved):
    """The arguments of a run; a resumed one takes them from its ``config.yaml``."""

    space: str
    data: str
    data_root: str | None
    allow_partial: bool | None
    limit: RecordedCount | None
    seed: int
    threads: RecordedCount
    device: str


_DEFAULT = "saliency"  # strategy
_PLOTS = {
    "Tetris plot": "tetris.png",
    "curves plot": "curves.png",
    "trajectory plot": "trajectory.png",
    "history plot": "history.png",
}


def search(
    *,
    space: str | None = None,
    data: str | None = None,
    strategy: str | None = None,
    budget: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    measure: Annotated[str | None, measure_option("else as the strategy says")] = None,
    divisor: int | None = None,
    out: RunOut = None,
    seed: Seed = None,
    epochs: CountOption = None,
    device: Device = None,
    threads: Threads = None,
    data_root: DataRoot = None,
    allow_partial: AllowPartial = False,
    limit: Annotated[int | None, whole_number(2)] = None,
    resume: Resume = False,
    track: Track = None,
) -> None:
    """Search how many channels each group gets in every layer.

    Writes a run folder with the grouping, the history, checkpoints and plots. Ctrl-C stops it, and
    --resume goes on, as it does after a crash.

    Args:
        space: A search space (`groupnas spaces`) or a file.
        data: A data set, which `groupnas data list` names, or a data file.
        strategy: How to search (`groupnas strategies`), or a file; saliency by default.
        budget: What the network found may cost, relative to even groups; else as the strategy says.
        divisor: A power of two that divides every group's channels, since kernels compute whole
            blocks of them: 16 with AVX-512, 8 on other CPUs.
        epochs: Search epochs, instead of the strategy's; its warm-up comes on top.
        limit: Use this many samples only.
    """
    given = {
        "space": None if space is None else resolved(space),
        "data": None if data is None else resolved(data),
        "data_root": None if data_root is None else str(data_root.resolve()),
        "allow_partial": allow_partial or None,
        "limit": limit,
        "seed": seed,
        "threads": threads,
        "device": device,
    }
    if resume:
        arguments = recorded_arguments("search", out, given, _Arguments)
    else:
        arguments = {**given, "seed": seed or 0, "device": device or "cpu"}
    for name in ("space", "data"):
        if arguments[name] is None:
            raise InputError(f"search needs --{name} (only --resume knows it already)")
    folder = out or default_folder(arguments, _DEFAULT if strategy is None else strategy)
    if measure is not None:
        measure = resolved(measure)
    options = {"total": budget, "measure": measure, "divisor": divisor}
    settings = _settings(strategy, options, resume)
    found = run_search(arguments, folder, settings, epochs, resume, track or ())
    _draw(found)
    with courtesy("what was found was not printed"):
        _summary(found, found.job.space)
    searched = found.job.strategy.budget
    tell_ceiling(found.folder.path, (searched and searched.total) or 1.0)


def _settings(strategy: str | None, options: Mapping[str, object], resume: bool) -> Strategy | None:
    """The strategy of the options; ``None`` where the run that is resumed knows it.

    Args:
        strategy: Its name or file.
        options: Of its budget; ``None`` where the strategy's own holds.
        resume: Whether a run is resumed.
    """
    from groupnas.budget import Budget
    from groupnas.engine.strategy import load_strategy
    from groupnas.schema import validate

    given = {name: value for name, value in options.items() if value is not None}
    if strategy is None and resume:
        if given:
            name = "budget" if "total" in given else next(iter(given))
            raise InputError(f"--{name}: a resumed run keeps its own; leave it out")
        return None
    settings = anchored(load_strategy(_DEFAULT if strategy is None else strategy))
    if given:
        own = (settings.budget or Budget()).model_dump()
        budget = validate(Budget, {**own, **given}, "--budget, --measure, --divisor")
        settings = settings.with_budget(budget)
    if settings.budget is not None:
        # A wrong table is told now, not at the end of the search
        tell_caveat(settings.budget.resolved_measure)
    return settings


def run_search(
    arguments: dict[str, Any],
    folder: Path,
    settings: Strategy | None,
    epochs: int | None = None,
    resume: bool = False,
    track: Sequence[str] = (),
) -> Run:
    """Run a search by a command's arguments; how it is stopped, the user is told."""
    # Names are checked before torch is imported: a typing mistake is answered at once.
    from groupnas.runs.begin import recorded_space
    from groupnas.runs.kinds import SEARCH
    from groupnas.spaces import load_space
    from groupnas.tasks import find_dataset

    find_dataset(arguments["data"])
    if not resume:
        chosen = load_space(arguments["space"])
        SEARCH.check_free(folder)

    from groupnas.engine.search import search
    from groupnas.engine.tracking import trackers
    from groupnas.tasks import load_task

    threads = use_threads(arguments["threads"])
    if resume:
        chosen = recorded_space(folder)
    task = load_task(
        arguments["data"],
        data_root=arguments["data_root"],
        allow_partial=bool(arguments["allow_partial"]),
        limit=arguments["limit"],
    )
    try:
        return search(
            chosen,
            task,
            settings,
            folder,
            seed=arguments["seed"],
            device=arguments["device"],
            epochs=epochs,
            resume=resume,
            observers=trackers(track),
            arguments={**arguments, "threads": threads},
        )
    except KeyboardInterrupt:
        raise SystemExit(say_stopped("search", folder)) from None


def default_folder(arguments: Mapping[str, Any], strategy: str) -> Path:
    """Return where a search goes that was given no folder."""
    names = [Path(name).stem for name in (arguments["space"], arguments["data"], strategy)]
    stem = "-".join(name.replace(":", "_") for name in names)
    return Path("runs") / f"{stem}-seed{arguments['seed']}"


def _draw(run: Run) -> None:
    """The plots of a finished run, as many as can be drawn."""
    with courtesy("no plot was drawn"):
        from groupnas.report import plot_curves, plot_history, plot_tetris, plot_trajectory
    recorded = run.job.recorded
    if _grouped(run):
        with courtesy("the Tetris plot was not drawn"):
            panels = [("initial", run.initial), ("found", run.grouping)]
            plot_tetris(panels, run.folder / _PLOTS["Tetris plot"])
    if "curves" in recorded.plots:
        with courtesy("the curves plot was not drawn"):
            plot_curves(run.result, run.folder / _PLOTS["curves plot"])
    if "trajectory" in recorded.plots:
        with courtesy("the trajectory plot was not drawn"):
            plot_trajectory(run.result, run.folder / _PLOTS["trajectory plot"])
    if "history" in recorded.plots and run.history:
        with courtesy("the history plot was not drawn"):
            plot_history(run.history, run.folder / _PLOTS["history plot"], recorded)


def _summary(run: Run, space: SearchSpace) -> None:
    from groupnas.cli.tables import print_table
    from groupnas.runs.fields import findings
    from groupnas.runs.folder import FOUND

    result = run.result
    print_table(_rows(result, space), numbers=True)
    if _grouped(run):
        print(" ".join(filter(None, [_changes(result), run.job.strategy.summary(result)])))
    else:
        print("Groups share channels: there is no grouping to draw.")
    for finding in findings(result):
        print(f"health: {finding}")
    if _grouped(run):
        print(f"grouping: {run.folder / FOUND}")
    for label, name in _PLOTS.items():
        if (run.folder / name).is_file():
            print(f"{label}: {run.folder / name}")


def _grouped(run: Run) -> bool:
    return run.design().grouping is not None


def _rows(result: Mapping[str, Any], space: SearchSpace) -> list[list[str]]:
    """MACs before and after, and validation errors where the strategy has any."""
    before, after = result["macs_before"], result["macs_after"]
    total_before, total_after = sum(before.values()), sum(after.values())
    rows = [
        ["", *space.groups, "all"],
        ["MACs before", *map(_short, before.values()), _short(total_before)],
        ["MACs after", *(_short(after[g]) if g in after else "" for g in space.groups)],
        [
            "MACs change",
            *(f"{after[g] / before[g] - 1:+.1%}" if g in after else "" for g in before),
        ],
    ]
    rows[2].append(_short(total_after))
    rows[3].append(f"{total_after / total_before - 1:+.1%}")
    for network, errors in result.get("validation_errors", {}).items():
        values = [errors[key] for key in (*space.groups, "mean")]
        rows.append([f"{result['error_unit']}, {network}", *(f"{v:.2f}" for v in values)])
    counts = result.get("validation_counts", {})
    if len(set(counts.values())) > 1:  # the errors are of those that show a group
        rows.append(["samples", *(f"{counts[key]:,}" for key in (*space.groups, "mean"))])
    return rows


def _changes(result: Mapping[str, Any]) -> str:
    """Say how far the grouping is from the one that the search started with."""
    if result["resized"] is None:
        return f"{result['channels']} channels, in units of other widths than the space's."
    return (
        f"Group sizes differ from the initial ones by {result['resized']} of "
        f"{result['channels']} channels."
    )


def _short(macs: int) -> str:
    return f"{macs / 1e6:.2f} M" if macs >= 1e5 else f"{macs:,}"
