"""The search: strategies, the bilevel engine of Algorithm 1, the run folder and its checkpoints."""

from groupnas.engine.strategy import Strategy, load_strategy

__all__ = ["Strategy", "load_strategy"]
