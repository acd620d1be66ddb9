"""Records of epochs, of any strategy or training, as charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groupnas.report.page.model import Chart
from groupnas.report.page.reading import called, is_number, mapping

Records = Sequence[Mapping[str, Any]]

# Title and keys whose values are numbers, drawn together.
_NUMBERS = (
    ("Loss", {"train_loss": "training", "mask_loss": "masks"}),
    ("Decisions of masks, shares", {"entropy": "entropy", "decided": "decided"}),
    ("Channels moved, shares", {"moved": "since the start", "changed": "in the epoch"}),
    ("Temperature", {"temperature": "temperature"}),
    ("Cost, relative to the budget's base", {"cost": "cost"}),
    ("Best mean error so far", {"best": "best"}),
)
# Title and key whose values are numbers by part (or by another name).
_TABLES = (
    ("Loss", "train_loss", False),
    ("Error of masks' batches", "error", True),
    ("Error of trials", "errors", True),
    ("Training error", "train_error", True),
    ("Validation error", "validation", True),
    ("MACs of each part", "macs", True),
    ("Channels of each part", "channels", True),
)


def charts(records: Records, unit: str, stage: str = "") -> tuple[Chart, ...]:
    """All that the records hold of what is known how to draw.

    Args:
        records: One an epoch.
        unit: Of errors.
        stage: Which of a run's stages it is, for the titles.
    """
    epochs = [record["epoch"] for record in records]
    made = []
    for title, names in _NUMBERS:
        lines = {
            name: [value if is_number(value := record.get(key)) else None for record in records]
            for key, name in names.items()
        }
        made.append((title, lines, False))
    for title, key, parts in _TABLES:
        tables = [mapping(record.get(key)) for record in records]
        found = dict.fromkeys(name for table in tables for name in table)
        rows = {
            name: [value if is_number(value := table.get(name)) else None for table in tables]
            for name in found
        }
        title = f"{title}, {unit}" if "rror" in title and unit else title
        made.append((title, rows, parts))
    prefix = f"{stage}: " if stage else ""
    return tuple(
        Chart(title=prefix + title, epochs=epochs, lines=kept, parts=parts, step=called(records))
        for title, lines, parts in made
        if (kept := {n: v for n, v in lines.items() if any(x is not None for x in v)})
    )


def health(records: Records, result: Mapping[str, Any]) -> tuple[tuple[str, str], ...] | None:
    """What a search said of itself, with the epoch or ``end``; what repeats, once.

    ``None`` where it does not watch itself.
    """
    if not any(isinstance(told.get("health"), list) for told in (*records, result)):
        return None
    said: dict[str, list[str]] = {}
    ends = [(str(record["epoch"]), record.get("health")) for record in records]
    for when, texts in [*ends, ("end", result.get("health"))]:
        for text in texts if isinstance(texts, list) else []:
            said.setdefault(str(text), []).append(when)
    return tuple(
        (whens[0] if len(whens) == 1 else f"{whens[0]} to {whens[-1]} ({len(whens)} times)", text)
        for text, whens in said.items()
    )
