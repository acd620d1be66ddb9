"""Pictures of groupings, of searches and of trainings; matplotlib only, never torch."""

import groupnas.matplotlib_tools  # noqa: F401 - before anything of matplotlib
from groupnas.report.curves import plot_curves, read_curves
from groupnas.report.history import plot_history, read_history, read_recorded
from groupnas.report.tetris import plot_tetris
from groupnas.report.training import plot_training, read_training
from groupnas.report.trajectory import plot_trajectory, read_trajectory

__all__ = [
    "plot_curves",
    "plot_history",
    "plot_tetris",
    "plot_training",
    "plot_trajectory",
    "read_curves",
    "read_history",
    "read_recorded",
    "read_training",
    "read_trajectory",
]
