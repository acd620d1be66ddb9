"""Search spaces: the file, the layers and channel units it means, the networks built of them."""

from groupnas.spaces import operations  # registers what space files may name
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.layer import Block, Layer
from groupnas.spaces.space import SearchSpace, load_space

__all__ = ["Allocation", "Block", "Layer", "SearchSpace", "load_space", "operations"]
