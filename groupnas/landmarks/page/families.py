"""A family of cascades: what each member takes, and its errors."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

from groupnas.landmarks.page.evaluations import card_scores, embedded
from groupnas.report.page.model import Cost, PageRun, Picture
from groupnas.report.page.reading import Reader, mapping
from groupnas.runs.fields import numbers
from groupnas.runs.kinds import FAMILY

FRONT = "front.png"


def collect_family(reader: Reader, name: str) -> PageRun:
    """The folder that ``groupnas train --budget`` writes."""
    resume = shlex.join(["groupnas", "train", "--resume", "--out", str(reader.path)])
    told = reader.json(FAMILY.last, f"the training has not ended; to go on: {resume}").get(
        "members"
    )
    members = [mapping(one) for one in told] if isinstance(told, list) else []
    titles = [str(one.get("budget") or "whole") for one in members]
    scores = tuple(
        replace(score, network=title)
        for title, one in zip(titles, members, strict=True)
        for score in card_scores(mapping(one.get("scores")))
        if score.network == "cascade"
    )
    picture = reader.read(FRONT, embedded) if members else None
    groups = dict.fromkeys(group for score in scores for group in score.errors if group != "mean")
    run = reader.run(
        name,
        "family",
        None,
        state=f"{len(members)} cascades." if members else "Its list is not written yet.",
        finished=bool(members),
        costs=tuple(_cost(title, one) for title, one in zip(titles, members, strict=True)),
        scores=scores,
    )
    return replace(
        run,
        groups=run.groups or tuple(groups),
        pictures=(Picture(title="Error against cost", uri=picture),) if picture else (),
        notes=tuple(reader.notes),
    )


def _cost(title: str, member: dict[str, Any]) -> Cost:
    return Cost(network=title, macs=numbers(mapping(member.get("macs"))))
