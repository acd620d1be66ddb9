"""Search how much of a network each part of its task should get."""

import importlib
from typing import TYPE_CHECKING, Any

from groupnas._version import __version__ as __version__

if TYPE_CHECKING:
    from groupnas.accountant import flops as flops
    from groupnas.budget import Budget as Budget
    from groupnas.ceilings.ceiling import ceiling as ceiling
    from groupnas.comparison.compare import compare as compare
    from groupnas.deploy.export import export_onnx as export_onnx
    from groupnas.deploy.planner import LayoutPlanner as LayoutPlanner
    from groupnas.deploy.quantise import quantise_onnx as quantise_onnx
    from groupnas.engine.search import search as search
    from groupnas.engine.strategy import load_strategy as load_strategy
    from groupnas.engine.task_check import check_task as check_task
    from groupnas.engine.training import train as train
    from groupnas.engine.training_settings import Training as Training
    from groupnas.errors import InputError as InputError
    from groupnas.grouping import Grouping as Grouping
    from groupnas.spaces.allocation import Allocation as Allocation
    from groupnas.spaces.derive import derive as derive
    from groupnas.spaces.space import SearchSpace as SearchSpace
    from groupnas.spaces.space import load_space as load_space
    from groupnas.spaces.supernet import Supernet as Supernet

# Public name -> module. Imported on first use, since half of them need torch and half do not.
_HOMES = {
    "Allocation": "groupnas.spaces.allocation",
    "Budget": "groupnas.budget",
    "Grouping": "groupnas.grouping",
    "InputError": "groupnas.errors",
    "LayoutPlanner": "groupnas.deploy.planner",
    "SearchSpace": "groupnas.spaces.space",
    "Supernet": "groupnas.spaces.supernet",
    "Training": "groupnas.engine.training_settings",
    "ceiling": "groupnas.ceilings.ceiling",
    "check_task": "groupnas.engine.task_check",
    "compare": "groupnas.comparison.compare",
    "derive": "groupnas.spaces.derive",
    "export_onnx": "groupnas.deploy.export",
    "flops": "groupnas.accountant",
    "search": "groupnas.engine.search",
    "load_strategy": "groupnas.engine.strategy",
    "quantise_onnx": "groupnas.deploy.quantise",
    "load_space": "groupnas.spaces.space",
    "train": "groupnas.engine.training",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'groupnas' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
