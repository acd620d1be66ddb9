"""Options that several commands share, with their help; that of others is in the docstrings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from groupnas.errors import InputError
from groupnas.files import split_text
from groupnas.machine import cores
from groupnas.registry import MEASURE_GROUP, offered

if TYPE_CHECKING:
    from groupnas.engine.strategy import Strategy


def whole_number(least: int, below: int | None = None) -> Parameter:
    """An option that takes a whole number from ``least`` on."""
    return Parameter(converter=_whole, validator=Number(gte=least, lt=below))


def measure_option(otherwise: str) -> Parameter:
    """An option that takes what budgets count; ``otherwise`` says what holds without it."""
    return Parameter(
        help=f"What budgets count: {', '.join(offered(MEASURE_GROUP))}, or the .json file of a "
        f"latency table (`groupnas bench --table`); {otherwise}."
    )


def refuse_given(unused: Mapping[str, object], why: str) -> None:
    """Raise :class:`InputError` for the first of some options that was given; none is of use."""
    for name, value in unused.items():
        if value:
            raise InputError(f"{name}: {why}; leave it out")


def _whole(_: Any, tokens: Any) -> int:
    try:
        return int(tokens[0].value)  # cyclopts itself would round 1.5
    except ValueError as error:
        raise ValueError(f"expected a whole number, got {tokens[0].value!r}.") from error


Flag = Annotated[bool, Parameter(negative="")]
CountOption = Annotated[int | None, whole_number(1)]
SeveralOption = Annotated[list[str] | None, Parameter(consume_multiple=1, negative="")]
DataRoot = Annotated[
    Path | None, Parameter(help="The folder that holds the data sets' folders; else GROUPNAS_DATA.")
]
AllowPartial = Annotated[bool, Parameter(negative="", help="Accept an incomplete copy.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead.")]
RunOut = Annotated[Path | None, Parameter(help="The run folder; runs/... by default.")]
Seed = Annotated[
    int | None, whole_number(0, 2**63), Parameter(help="Of everything random; 0 by default.")
]
Device = Annotated[str | None, Parameter(help="A torch device; cpu by default.")]
Threads = Annotated[
    int | None, whole_number(1, 1025), Parameter(help="CPU threads; torch's choice by default.")
]
Resume = Annotated[
    bool, Parameter(negative="", help="Go on with the run in --out, with its settings.")
]
Track = Annotated[
    list[Literal["tensorboard", "mlflow"]] | None,
    Parameter(
        consume_multiple=1,
        negative="",
        help="Send each epoch's numbers there too: files in the run folder, or MLflow as its "
        "MLFLOW_TRACKING_URI says.",
    ),
]


def use_threads(asked: int | None) -> int:
    """Have torch compute with so many threads; by default with as many as it likes and may use."""
    import torch

    torch.set_num_threads(asked or min(torch.get_num_threads(), cores()))
    return torch.get_num_threads()


def resolved(name: str) -> str:
    """A path, with its ``:variant``, that means the same wherever a run resumes.

    Names of what is shipped stay as they are.
    """
    path, colon, variant = name, "", ""
    if not os.path.exists(name):
        path, colon, variant = name.rpartition(":") if ":" in name else (name, "", "")
    is_path = os.sep in path or path.lower().endswith((".yaml", ".yml", ".json"))
    return os.path.abspath(path) + colon + variant if is_path else name


def resolved_strategy(name: str) -> str:
    """Do as :func:`resolved`, also with what stands behind ``=``: ``manual=grouping.json``."""
    stem, text = split_text("strategies", name)
    return resolved(stem) if text is None else f"{resolved(stem)}={resolved(text)}"


def anchored(strategy: Strategy) -> Strategy:
    """The same files wherever a run goes on: a latency table, a study's journal, a grouping."""
    if strategy.budget is not None:
        measured = {"measure": resolved(strategy.budget.measure)}
        strategy = strategy.with_budget(strategy.budget.model_copy(update=measured))
    files = {name: getattr(strategy, name, None) for name in ("storage", "file", "pretrained")}
    paths = {name: os.path.abspath(f) for name, f in files.items() if f and "://" not in f}
    return strategy.model_copy(update=paths)
