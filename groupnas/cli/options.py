"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Space = Annotated[
    str,
    Parameter(
        name="--space",
        help="A search space (`groupnas spaces`), its variant (picasso_local:98), or a file.",
    ),
]
DataRoot = Annotated[
    Path | None,
    Parameter(
        name="--data-root",
        help="The folder that holds the data sets' folders; else GROUPNAS_DATA.",
    ),
]
AllowPartial = Annotated[
    bool, Parameter(name="--allow-partial", negative="", help="Accept an incomplete copy.")
]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead.")]
