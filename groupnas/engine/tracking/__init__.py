"""Copies of a run's numbers for those who look at many runs."""

from collections.abc import Sequence

from groupnas.engine.tracking.mlflow import MLflow
from groupnas.engine.tracking.tensorboard import TensorBoard
from groupnas.engine.tracking.tracker import Tracker
from groupnas.errors import InputError
from groupnas.files import nearest

__all__ = ["TRACKERS", "MLflow", "TensorBoard", "Tracker", "trackers"]

TRACKERS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "mlflow": MLflow}


def trackers(names: Sequence[str]) -> list[Tracker]:
    """Return a new tracker of each name.

    Raises:
        InputError: an unknown name; a tracker that is not installed or cannot be reached.
    """
    unknown = [name for name in names if name not in TRACKERS]
    if unknown:
        raise InputError(f"unknown tracker {unknown[0]!r}; {nearest(unknown[0], TRACKERS)}")
    return [TRACKERS[name]() for name in dict.fromkeys(names)]
