"""``groupnas flops``: what a grouping costs, layer by group."""

from __future__ import annotations

import json
from pathlib import Path

from groupnas.cli.options import AsJson, Flag
from groupnas.errors import InputError


def flops(
    *,
    space: str,
    grouping: Path | None = None,
    convention: str = "mac",
    markdown: Flag = False,
    as_json: AsJson = False,
) -> None:
    """Count operations and parameters of every layer and group, per image.

    Args:
        space: A search space (`groupnas spaces`), its variant (picasso_local:98), or a file.
        grouping: A grouping.json; even groups where not given.
        convention: What counts: mac, torchstat, thop, fvcore or torch.
        markdown: Print a Markdown table.
    """
    if markdown and as_json:
        raise InputError("--json, --markdown: give one of them")
    from groupnas.accountant import flops as count
    from groupnas.cli.tables import print_table
    from groupnas.spaces import Allocation, load_space

    chosen = load_space(space)
    counted = Allocation.load(grouping, chosen) if grouping else Allocation.even(chosen)
    table = count(counted, convention)
    if as_json:
        print(json.dumps(table.to_dict(), indent=2))
    elif markdown:
        print(table.to_markdown(), end="")
    else:
        print_table(table.rows(), numbers=True)
        for published in chosen.published:
            figures = ", ".join(f"{g} {n / 1e6:.2f} M" for g, n in published.per_group.items())
            print(f"Published, {published.label}: {figures}")
