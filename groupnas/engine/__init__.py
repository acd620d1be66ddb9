"""Jobs that survive being killed: searches by any strategy, trainings, and their run folder."""

from groupnas.engine.strategy import Strategy, load_strategy

__all__ = ["Strategy", "load_strategy"]
