"""``groupnas compare``: strategies, seeds and budgets, and how sure the differences are."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from groupnas.cli.options import (
    AllowPartial,
    AsJson,
    CountOption,
    DataRoot,
    Device,
    Flag,
    Resume,
    SeveralOption,
    Track,
    anchored,
    measure_option,
    refuse_given,
    resolved,
    resolved_strategy,
    whole_number,
)
from groupnas.cli.output import beside, courtesy, tell_caveat, tell_ceiling
from groupnas.cli.resumption import RecordedCount, recorded_arguments, say_stopped
from groupnas.errors import InputError, shown
from groupnas.files import nearest
from groupnas.saved import Saved

if TYPE_CHECKING:
    from groupnas.comparison import Comparison
    from groupnas.comparison.plan import SplitBy
    from groupnas.landmarks.comparing import FaceData, InCascade


class _Arguments(Saved):
    """The arguments of a comparison; a resumed one takes them from its ``config.yaml``."""

    recipe: str
    space: str | None
    epochs: RecordedCount | None
    search_epochs: RecordedCount | None
    tolerance: float | None
    data_root: str | None
    allow_partial: bool | None
    limit: RecordedCount | None
    device: str | None
    vary_split: bool | None = None


_SETTINGS = "recipe_settings"  # the recipe, whole
_SEEDS = 3


def compare(
    folders: list[Path] | None = None,
    /,
    *,
    recipe: str | None = None,
    space: str | None = None,
    strategies: SeveralOption = None,
    seeds: CountOption = None,
    budgets: Annotated[list[float] | None, Parameter(consume_multiple=1, negative="")] = None,
    measure: Annotated[str | None, measure_option("mac by default")] = None,
    tolerance: Annotated[float | None, Parameter(validator=Number(gt=0, lt=1))] = None,
    epochs: CountOption = None,
    search_epochs: CountOption = None,
    out: Path | None = None,
    jobs: CountOption = None,
    cascade: Path | None = None,
    test: Flag = False,
    data_root: DataRoot = None,
    allow_partial: AllowPartial = False,
    limit: Annotated[int | None, whole_number(20)] = None,
    device: Device = None,
    resume: Resume = False,
    evidence: Annotated[list[Path] | None, Parameter(consume_multiple=1, negative="")] = None,
    vary_split: Flag = False,
    track: Track = None,
    baseline: str | None = None,
    figure: Path | None = None,
    export: Path | None = None,
    as_json: AsJson = False,
) -> None:
    """Compare strategies over seeds and budgets, at equal cost and with intervals.

    Every strategy searches with every seed; what it finds is brought to each budget, trained from
    scratch as the recipe trains its last stage, and scored on faces that nothing was trained on.
    Ctrl-C stops it, and --resume goes on, as it does after a crash; with --resume, strategies,
    seeds, budgets, --cascade and --test can be added later. `groupnas compare FOLDER` prints what
    is there, `--export` writes its numbers, and another machine prints them, or goes on from them
    with --evidence.

    Args:
        folders: Comparisons to print, finished or not, or files of their numbers; nothing is run
            then. With a file among them all are joined into one.
        recipe: Its last stage says data, crops, loss and training (300w:quick), or a file.
        space: A search space, instead of the last stage's.
        strategies: What to compare (`groupnas strategies`), e.g. even random gumbel:quick.
        seeds: So many, 0, 1, ... of each; 3 by default.
        budgets: Costs of the trained networks, relative to even groups; 1.0 by default.
        tolerance: By how much the costs may miss their budget; 0.01 by default.
        epochs: Of trainings, not the recipe's.
        search_epochs: Of searches, not the strategies'; without their warm-up.
        out: The comparison's folder; runs/... by default.
        jobs: Processes; by default one for each core.
        cascade: Score inside a cascade too, behind this model's networks before the last.
        test: Score on the test faces too; needs --cascade.
        limit: Use this many training faces only.
        evidence: Folders or files of numbers whose networks count as done.
        vary_split: Hold out other faces with each seed.
        baseline: Tell differences to this strategy; even by default.
        figure: Draw differences and errors: a .png, .svg or .pdf file.
        export: Write the numbers, without weights and images, to this .json file.
    """
    if figure is not None:
        from groupnas.report.figure import check_suffix

        check_suffix(figure)
    if export is not None and export.suffix != ".json":
        raise InputError(f"--export {export}: numbers are written to a .json file")
    if folders:
        unused = {
            "--recipe": recipe,
            "--space": space,
            "--strategies": strategies,
            "--seeds": seeds,
            "--budgets": budgets,
            "--measure": measure,
            "--tolerance": tolerance,
            "--epochs": epochs,
            "--search-epochs": search_epochs,
            "--out": out,
            "--jobs": jobs,
            "--cascade": cascade,
            "--test": test,
            "--data-root": data_root,
            "--allow-partial": allow_partial,
            "--limit": limit,
            "--device": device,
            "--resume": resume,
            "--evidence": evidence,
            "--vary-split": vary_split,
            "--track": track,
        }
        refuse_given(unused, "folders are only printed")
    else:
        given = {
            "recipe": None if recipe is None else resolved(recipe),
            "space": None if space is None else resolved(space),
            "epochs": epochs,
            "search_epochs": search_epochs,
            "tolerance": tolerance,
            "data_root": None if data_root is None else str(data_root.resolve()),
            "allow_partial": allow_partial or None,
            "limit": limit,
            "device": device,
            "vary_split": vary_split or None,
        }
        arguments = recorded_arguments("compare", out, given, _Arguments) if resume else given
        if arguments["recipe"] is None:
            raise InputError("compare needs --recipe, or the folder of a comparison to print")
        folder = (
            out or Path("runs") / f"{Path(str(arguments['recipe'])).stem.replace(':', '_')}-compare"
        )
        _compare(
            arguments,
            folder,
            strategies or [],
            seeds,
            budgets,
            None if measure is None else resolved(measure),
            jobs,
            resume,
            cascade,
            test,
            track or (),
            baseline,
            evidence or (),
        )
        with courtesy("what came out was not shown", figure):
            _show([folder], baseline, figure or folder / "comparison.png", as_json)
        if export is not None:
            _export([folder], export, as_json)
        if not as_json:
            tell_ceiling(folder, (budgets or [1.0])[0])
        return
    with beside(figure):
        _show(folders, baseline, figure, as_json)
    if export is not None:
        _export(folders, export, as_json)


def _compare(
    arguments: dict[str, Any],
    folder: Path,
    names: Sequence[str],
    seeds: int | None,
    budgets: Sequence[float] | None,
    measure: str | None,
    jobs: int | None,
    resume: bool,
    cascade: Path | None,
    test: bool,
    track: Sequence[str],
    baseline: str | None,
    evidence: Sequence[Path],
) -> None:
    # Names are checked before torch is imported: a typing mistake is answered at once.
    from groupnas.comparison.plan import Plan, labelled
    from groupnas.runs.begin import check_recorded, recorded_space
    from groupnas.runs.folder import CONFIG
    from groupnas.runs.kinds import COMPARISON
    from groupnas.spaces.measure import measure as find_measure
    from groupnas.tasks import find_dataset, require_root

    if not resume:
        COMPARISON.check_free(folder)
        if not names:
            raise InputError("compare needs --strategies; `groupnas strategies` lists them")
    found = labelled([resolved_strategy(name) for name in names], arguments["search_epochs"])
    chosen = {label: anchored(strategy) for label, strategy in found.items()}
    config = COMPARISON.read(folder) if resume else {}
    before = Plan.from_dict(config, str(folder / CONFIG)) if resume else None
    recorded = config.get("arguments", {})
    strategies = {**(before.strategies if before else {}), **chosen}
    if baseline is not None and baseline not in strategies and not evidence:
        raise InputError(f"--baseline {baseline}: {nearest(baseline, strategies)}")
    measure = measure or (before.measure if before else "mac")
    tell_caveat(find_measure(measure))

    from groupnas.comparison.compare import compare as run
    from groupnas.landmarks.comparing import FaceData
    from groupnas.landmarks.recipe import load_recipe, recipe_from

    if resume:
        origin = f"{folder / CONFIG}: arguments"
        check_recorded(recorded, [_SETTINGS], origin)
        recipe = recipe_from(recorded[_SETTINGS], f"{origin}.{_SETTINGS}")
    else:
        recipe = load_recipe(arguments["recipe"]).with_epochs(arguments["epochs"])
    root = require_root(find_dataset(recipe.data), arguments["data_root"])
    data = FaceData(
        recipe=recipe,
        root=root,
        allow_partial=bool(arguments["allow_partial"]),
        limit=arguments["limit"],
    )
    space = recorded_space(folder) if resume else data.space(arguments["space"])
    data = replace(data, networks=space)
    told, more = _scorers(folder, recorded, data, cascade, test, arguments["device"] or "cpu")
    split: SplitBy = "seed" if arguments["vary_split"] else "fixed"
    if split == "seed" and "cascade" in more:
        del more["cascade"]  # its held-out faces are those of the fixed split
        if not more:
            raise InputError(
                "--cascade with --vary-split needs --test: on held-out faces, which are others "
                "with each seed, networks are scored outside of it only"
            )
    try:
        run(
            space,
            data,
            strategies,
            folder,
            training=data.step.training,
            seeds=range(seeds) if seeds else (before.seeds if before else range(_SEEDS)),
            budgets=budgets or (before.budgets if before else (1.0,)),
            measure=measure,
            tolerance=arguments["tolerance"] or 0.01,
            validation=recipe.validation,
            split=split,
            evidence=evidence,
            more=more,
            sampling=data.sampling,
            device=arguments["device"] or "cpu",
            jobs=jobs,
            resume=resume,
            track=track,
            arguments={**arguments, **told, _SETTINGS: recipe.model_dump(mode="json")},
        )
    except KeyboardInterrupt:
        raise SystemExit(say_stopped("compare", folder)) from None


def _scorers(
    folder: Path,
    recorded: Mapping[str, Any],
    data: FaceData,
    cascade: Path | None,
    test: bool,
    device: str,
) -> tuple[dict[str, Any], dict[str, InCascade]]:
    """Return what is recorded of the cascade, and the further scores that it gives."""
    from groupnas.landmarks.comparing import InCascade

    for name, kind in {"cascade": str, "cascade_weights": str, "test": bool}.items():
        if not isinstance(recorded.get(name), kind | None):
            raise InputError(f"{folder}: arguments.{name}: is damaged: {shown(recorded[name])}")
    model = cascade or (Path(recorded["cascade"]) if recorded.get("cascade") else None)
    test = test or bool(recorded.get("test"))
    if model is None:
        if test:
            raise InputError("--test needs --cascade, the model whose networks look first")
        return {"cascade": None, "cascade_weights": None, "test": None}, {}
    scorer = InCascade(model=model.resolve(), data=data, split="validation", device=device)
    scorer.before()  # what does not fit is told before anything is trained
    weights = scorer.fingerprint()
    if recorded.get("cascade_weights") not in (None, weights):
        raise InputError(
            f"{folder}: --cascade was {recorded['cascade']}, with other weights than {model} has; "
            "a resumed comparison must not change them"
        )
    more = {"cascade": scorer}
    if test:
        more["test"] = InCascade(model=scorer.model, data=data, split="test", device=device)
    told = {"cascade": str(scorer.model), "cascade_weights": weights, "test": test or None}
    return told, more


def _show(
    folders: Sequence[Path],
    baseline: str | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    from groupnas.comparison import read_comparison

    joined = any(map(os.path.isfile, folders))
    groups = [folders] if joined else [[folder] for folder in folders]
    found = [read_comparison(group, baseline) for group in groups]
    if as_json:
        told = [comparison.to_dict() for comparison in found]
        print(json.dumps(told[0] if len(told) == 1 else told, indent=2))
    else:
        for comparison in found:
            _print(comparison)
    if figure is not None and found[0].rows:
        from groupnas.report.comparison import plot_comparison

        path = plot_comparison(found[0], figure)
        if not as_json:
            print(f"figure: {path}")


def _export(folders: Sequence[Path], file: Path, quiet: bool) -> None:
    """Write the numbers of one comparison, or of several that belong together."""
    from groupnas.comparison.summary import read_evidence

    first, *others = map(read_evidence, folders)
    for other in others:
        first = first.joined(other)
    first.save(file)
    if not quiet:
        print(f"numbers: {file}")


def _print(comparison: Comparison) -> None:
    from groupnas.cli.tables import print_table
    from groupnas.comparison.tables import NOTE, sections

    for title, tables, remarks in sections(comparison):
        print(f"\n{title}")
        for number, table in enumerate(tables):
            print(end="\n" if number else "")
            print_table(table, numbers=True)
        for remark in remarks:
            print(remark)
    if comparison.rows:
        print(f"\n{NOTE}")
    if comparison.missing:
        listed = ", ".join(str(piece) for piece in comparison.missing[:5])
        more = len(comparison.missing) - 5
        print(f"not finished: {listed}{f' and {more} more' if more > 0 else ''}")
