"""``groupnas data``: which data sets there are, what of them is here, what they look like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from groupnas.cli.options import AllowPartial, AsJson, DataRoot
from groupnas.cli.output import courtesy
from groupnas.errors import InputError
from groupnas.tasks import DATASETS, find_data_root, find_dataset, require_root

if TYPE_CHECKING:
    from groupnas.tasks import DataReport, DataSet

app = App(name="data", help="List, check and preview data sets.")

Data = Annotated[
    str,
    Parameter(name="--data", help="A data set, which `groupnas data list` names, or a data file."),
]
_DAMAGE_SHOWN = 10


@app.command(name="list")
def list_datasets(*, data_root: DataRoot = None, as_json: AsJson = False) -> None:
    """Name every data set, and say which of them are here."""
    from groupnas.cli.tables import readable

    root = find_data_root(data_root)
    entries = list(readable(DATASETS, lambda name: [find_dataset(name)]))
    if as_json:
        keys = ("name", "summary", "obtained", "folder")
        told = [
            {**{key: getattr(entry, key) for key in keys}, "status": _whereabouts(entry, root)}
            for entry in entries
        ]
        print(json.dumps({"data_root": None if root is None else str(root), "datasets": told}))
        return
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        about = "; ".join(filter(None, (entry.summary, entry.obtained)))
        print(f"{entry.name:{width}}  {_whereabouts(entry, root):9}  {about}")
    if root is None:
        print("No data root: set --data-root or GROUPNAS_DATA to say where data sets lie.")


@app.command
def check(
    *,
    data: Data,
    data_root: DataRoot = None,
    allow_partial: AllowPartial = False,
    as_json: AsJson = False,
) -> None:
    """Account for every file: found, missing, damaged, and where the data set is obtained.

    Of faces it decodes every image, and looks for those that could not be used: landmarks far
    outside the image, errors that have nothing to be divided by. Exits with 2 if the training
    samples are incomplete (unless that is allowed) or anything is damaged.
    """
    entry = find_dataset(data)
    root = require_root(entry, data_root)
    if entry.check is None:
        print(json.dumps({"name": data, "obtained": entry.obtained}) if as_json else entry.obtained)
        return
    report = entry.check(root or Path())  # a data file says itself where its files are
    if as_json:
        content = {"name": data, "obtained": entry.obtained, **report.to_dict()}
        print(json.dumps(content, indent=2))
    else:
        print("\n".join(_page(entry, report)))
    if report.damaged:
        raise InputError(f"{report.folder}: {len(report.damaged)} damaged; {report.damaged[0]}")
    if report.incomplete and not allow_partial:
        raise InputError(
            f"{report.folder}: {report.incomplete}; --allow-partial goes on with what is there"
        )


@app.command
def preview(
    *,
    data: Data,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    recipe: str | None = None,
    data_root: DataRoot = None,
    allow_partial: AllowPartial = False,
) -> None:
    """Draw a contact sheet; of faces with part boxes, and the crops as they are and augmented.

    Args:
        output: A .png, .pdf or .svg file.
        recipe: Crops and augmentation are those of its networks (300w, name:preset), or of a file.
    """
    from groupnas.report.figure import check_suffix, save

    check_suffix(output)
    entry = find_dataset(data)
    figure = entry.preview(
        root=require_root(entry, data_root), allow_partial=allow_partial, recipe=recipe
    )
    save(figure, output)
    with courtesy("the picture's name was not printed", output):
        print(output)


def _whereabouts(entry: DataSet, root: Path | None) -> str:
    if entry.folder is None:
        return "built in"
    return "found" if root is not None and (root / entry.folder).is_dir() else "not found"


def _page(entry: DataSet, report: DataReport) -> list[str]:
    lines = [f"{entry.name}: {entry.summary}", f"  folder    {report.folder}"]
    lines.append(f"  obtained  {entry.obtained}")
    width = max(len(subset.name) for subset in report.subsets)
    split = None
    for subset in report.subsets:
        if subset.split != split:
            split = subset.split
            lines.append(f"{split}:")
        state = "complete" if subset.found >= subset.expected else "incomplete"
        count = f"{subset.found:>6,} of {subset.expected:>6,}"
        lines.append("  " + "  ".join([f"{subset.name:{width}}", count, state, *subset.problems]))
    lines.append(f"damaged: {len(report.damaged) or 'none'}")
    lines += [f"  {line}" for line in report.damaged[:_DAMAGE_SHOWN]]
    if len(report.damaged) > _DAMAGE_SHOWN:
        lines.append(f"  and {len(report.damaged) - _DAMAGE_SHOWN} more; --json lists them all")
    return lines
