"""``groupnas strategies``: which ways to search there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from groupnas.cli.options import AsJson


def strategies(*, as_json: AsJson = False) -> None:
    """List the strategies and their presets: those in ./strategies, then the shipped ones."""
    from groupnas.cli.tables import print_table, readable
    from groupnas.engine.strategy import load_strategy
    from groupnas.files import shipped_names
    from groupnas.schema import preset_names

    def read(name: str) -> Iterator[dict[str, Any]]:
        for full in [name, *(f"{name}:{preset}" for preset in preset_names("strategies", name))]:
            yield {"name": full, **load_strategy(full).model_dump(mode="json")}

    rows = list(readable(shipped_names("strategies"), read))
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    header = ["strategy", "algorithm", "title"]
    body = [[row["name"], row["algorithm"], row["title"]] for row in rows]
    print_table([header, *body])
