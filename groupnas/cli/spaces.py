"""``groupnas spaces``: which search spaces there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from groupnas.cli.options import AsJson


def spaces(*, as_json: AsJson = False) -> None:
    """List the search spaces: those in ./search_spaces, then those that groupnas ships."""
    from groupnas.accountant import flops
    from groupnas.cli.tables import print_table, readable
    from groupnas.files import shipped_names
    from groupnas.spaces import Allocation
    from groupnas.spaces.space import load_space, variant_names

    def read(name: str) -> Iterator[dict[str, Any]]:
        for full in [f"{name}:{variant}" for variant in variant_names(name)] or [name]:
            space = load_space(full)
            yield {
                "name": space.name,
                "title": space.title,
                "groups": list(space.groups),
                "free_units": len(space.free_units),
                "outputs": sum(space.outputs.values()),
                "macs_even": flops(Allocation.even(space)).total,
            }

    rows = list(readable(shipped_names("search_spaces"), read))
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    header = ["space", "groups", "units", "outputs", "MACs (even)", "title"]
    body = [
        [
            str(row["name"]),
            str(len(row["groups"])),
            str(row["free_units"]),
            str(row["outputs"]),
            f"{row['macs_even'] / 1e6:.2f} M",
            str(row["title"]),
        ]
        for row in rows
    ]
    print_table([header, *body])
