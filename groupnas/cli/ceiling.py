"""``groupnas ceiling``: what a search can gain, before hours are spent on one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from groupnas.cli.options import (
    AllowPartial,
    AsJson,
    CountOption,
    DataRoot,
    Device,
    RunOut,
    Seed,
    Threads,
    refuse_given,
    resolved,
    whole_number,
)
from groupnas.cli.output import working
from groupnas.errors import InputError

if TYPE_CHECKING:
    from groupnas.ceilings import Ceiling

_TRIALS, _EPOCHS = 8, 6
_LEVERS = {"split": "split between groups", "depth": "profile over depth", "both": "both"}


def ceiling(
    folder: Path | None = None,
    /,
    *,
    space: str | None = None,
    data: str | None = None,
    trials: Annotated[int | None, whole_number(4)] = None,
    epochs: CountOption = None,
    budget: Annotated[float, Parameter(validator=Number(gt=0))] = 1.0,
    deviation: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    out: RunOut = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    data_root: DataRoot = None,
    allow_partial: AllowPartial = False,
    limit: Annotated[int | None, whole_number(2)] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a search can gain over even groups, at equal cost and at equal error.

    By the errors of the groups at several costs: those of a finished run, or of a few short
    trainings, each of which measures every group at a size of its own. What was trained is a
    knapsack search in the run folder, which `groupnas search --resume` goes on with where it was
    stopped.

    Args:
        folder: A knapsack or saliency search that has ended, or a comparison with even groups at
            two budgets or more.
        space: Train networks of this search space (`groupnas spaces`), or file.
        data: On this data set; `groupnas data list` names them.
        trials: So many networks; 8 by default.
        epochs: Of each training; 6 by default.
        budget: Of the network, relative to even groups.
        deviation: Of the error between seeds, in per cent of it; by default as measured.
        limit: Use this many samples only.
    """
    if folder is not None:
        unused = {
            "--space": space,
            "--data": data,
            "--trials": trials,
            "--epochs": epochs,
            "--out": out,
            "--device": device,
            "--threads": threads,
            "--data-root": data_root,
            "--allow-partial": allow_partial,
            "--limit": limit,
        }
        refuse_given(unused, "a run that has ended is only read")
    else:
        for name, value in {"--space": space, "--data": data}.items():
            if value is None:
                raise InputError(f"ceiling needs {name}, or the folder of a run that has ended")
        from groupnas.cli.search import default_folder, run_search
        from groupnas.engine.strategy import load_strategy

        arguments = {
            "space": resolved(str(space)),
            "data": data,
            "data_root": None if data_root is None else str(data_root.resolve()),
            "allow_partial": allow_partial or None,
            "limit": limit,
            "seed": seed or 0,
            "threads": threads,
            "device": device or "cpu",
        }
        settings = load_strategy("knapsack").with_settings(
            trials=trials or _TRIALS, epochs=epochs or _EPOCHS
        )
        folder = out or default_folder(arguments, "ceiling")
        run_search(arguments, folder, settings)
    from groupnas.ceilings import ceiling as estimate

    with working("fitting curves"):
        relative = None if deviation is None else deviation / 100
        found = estimate(folder, budget, deviation=relative, seed=seed or 0)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
        return
    _print(found)


def _print(found: Ceiling) -> None:
    from groupnas.cli.tables import print_table

    rows = [["by", "less error, %", f"fewer {found.unit} at equal error, %", "seeds to show it"]]
    for name, lever in found.levers.items():
        seeds = "-" if lever.seeds is None else f"{lever.seeds:,}"
        rows.append([_LEVERS[name], lever.error.percent(), lever.cost.percent(0), seeds])
    print_table(rows, numbers=True)
    print()
    rows = [["group", "exponent", "best cost, of its even cost"]]
    for group, exponent in found.exponents.items():
        cost = found.costs[group]
        told = f"{exponent.value:.3f} [{exponent.low:.3f}, {exponent.high:.3f}]"
        rows.append([group, told, f"{cost.value:.2f} [{cost.low:.2f}, {cost.high:.2f}]"])
    print_table(rows, numbers=True)
    seeds = "not known: give --deviation"
    if found.deviation is not None:
        seeds = f"{100 * found.deviation:.1f} % of the error"
    print(
        f"\nAt {found.budget:g} of even groups' {found.unit}; medians with 90 % intervals, from "
        f"{found.measurements} errors in {found.trainings} trainings. Deviation between seeds: "
        f"{seeds}."
    )
    for caution in found.cautions:
        print(f"caution: {caution}")
    print(found.advice)
