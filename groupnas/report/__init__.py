"""Pictures of groupings and of the searches that found them; matplotlib only, never torch."""

from groupnas.report.history import plot_history, read_history
from groupnas.report.tetris import plot_tetris

__all__ = ["plot_history", "plot_tetris", "read_history"]
