"""PartBench's space for any number of parts; ``search_spaces/partbench.yaml`` has four."""

from __future__ import annotations

from collections.abc import Mapping

from groupnas.schema import validate
from groupnas.spaces.schema import SpaceFile
from groupnas.spaces.space import SearchSpace, load_space


def space_of(outputs: Mapping[str, int]) -> SearchSpace:
    """Return PartBench's space with other parts, as wide for each of them.

    Args:
        outputs: Of every part.
    """
    shipped = load_space("partbench")
    if dict(shipped.outputs) == dict(outputs):
        return shipped
    data = shipped.file.to_dict()
    data |= {
        "groups": list(outputs),
        "inputs": dict.fromkeys(outputs, 1),
        "outputs": dict(outputs),
        "layers": [
            {**row, "c": row["c"] // len(shipped.groups) * len(outputs)} if "c" in row else row
            for row in data["layers"]
        ],
    }
    return SearchSpace.from_file(validate(SpaceFile, data, shipped.name), shipped.name)
