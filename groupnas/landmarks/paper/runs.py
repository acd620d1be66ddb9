"""The runs that a paper's tables ask: comparisons, evaluations, timings, searches."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from groupnas.comparison import Comparison, read_comparison
from groupnas.engine.recorded import recorded_by
from groupnas.errors import InputError
from groupnas.landmarks.paper.definition import load_published
from groupnas.landmarks.saved import SCORES, CardFile, EvaluationFile, RunConfig, TimingFile
from groupnas.landmarks.upgrade import upgraded_recipe
from groupnas.runs.folder import CONFIG, FOUND, INITIAL, RunFolder
from groupnas.runs.kinds import CASCADE, COMPARISON, SEARCH, expect, refusal
from groupnas.saved import Saved, read_saved
from groupnas.schema import validate

SEARCHED, FLGC, OTHER = "searched", "flgc", "other"  # roles, as the published strategies are called
_DRAWS = 10  # of the bootstrap, whose intervals no paper's table shows


@dataclass(frozen=True)
class ComparedStrategy:
    """A strategy of a comparison.

    Attributes:
        label: Its name there.
        role: What it is to the paper: one of its strategies, or :data:`OTHER`.
        settings: Of its file.
        alike: Whether its algorithm is that of the paper's search, as far as is known.
    """

    label: str
    role: str
    settings: Mapping[str, Any]
    alike: bool = False

    @property
    def epochs(self) -> int | None:
        """Epochs of a search like the paper's, warm-up included; others' are no measure of it."""
        return recorded_by({"strategy": self.settings}, self.label).planned if self.alike else None


@dataclass(frozen=True)
class Compared:
    """A comparison, and the settings it was run with."""

    path: Path
    comparison: Comparison
    config: Mapping[str, Any]

    def strategies(self, searched: str | None = None) -> list[ComparedStrategy]:
        """Return those with finished networks; ``searched`` names the one in the paper's role.

        Left out, that is the Gumbel search, or the only search that there is.
        """
        settings = self.config.get("strategies") or {}
        found = [(label, settings.get(label) or {}) for label in self.comparison.strategies]
        published = load_published().strategies
        roles = {label: role_of(label, given, published) for label, given in found}
        ours = (
            searched
            if searched in roles
            else next(
                (label for label, role in roles.items() if role == SEARCHED),
                _only([label for label, role in roles.items() if role == OTHER]),
            )
        )
        for label, role in roles.items():
            if role == SEARCHED or label == ours:
                roles[label] = SEARCHED if label == ours else OTHER
        algorithms = (None, published.get(SEARCHED, {}).get("algorithm"))
        return [
            ComparedStrategy(label, roles[label], given, given.get("algorithm") in algorithms)
            for label, given in found
        ]


@dataclass(frozen=True)
class Evaluated:
    """The scores of a cascade on one split, as ``groupnas eval`` writes them.

    Attributes:
        path: Where they were read.
        told: ``data``, ``split``, ``faces``, ``box``, ``normaliser``, ``scores``, ``by_pose``.
        trained: What the model's card says of its training; empty where the card is gone.
        model: The model, where it still is.
    """

    path: Path
    told: Mapping[str, Any]
    trained: Mapping[str, Any]
    model: Path | None

    @property
    def data(self) -> str:
        """The data set."""
        return str(self.told["data"])

    @property
    def split(self) -> str:
        """The split of the data set."""
        return str(self.told["split"])


@dataclass(frozen=True)
class Timed:
    """A timing that ``groupnas bench --json`` wrote, or one run of several in a file."""

    path: Path
    told: Mapping[str, Any]


@dataclass(frozen=True)
class Runs:
    """All that was given, by kind."""

    comparisons: tuple[Compared, ...] = ()
    evaluations: tuple[Evaluated, ...] = ()
    benches: tuple[Timed, ...] = ()
    searches: tuple[Path, ...] = ()

    def all_searches(self) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        """Folder and settings of every search, those inside comparisons too."""
        for path in self.searches:
            yield path, _config(path).get("strategy") or {}
        for one in self.comparisons:
            settings = one.config.get("strategies") or {}
            for path in sorted((one.path / "search").glob("*")):
                if (path / INITIAL).is_file() and (path / FOUND).is_file():
                    label = path.name.rpartition("-s")[0]
                    yield path, settings.get(label) or {}


def role_of(
    label: str, settings: Mapping[str, Any], published: Mapping[str, Mapping[str, str | None]]
) -> str:
    """Return a strategy's role in the paper, by its settings; by its label where those are unknown.

    Args:
        label: Its name in a comparison.
        settings: Of its file.
        published: The paper's strategies, see :class:`Published`.
    """
    if settings.get("algorithm") is None:
        return next((r for r in published if r != SEARCHED and label.startswith(r)), SEARCHED)
    fits = (role for role, patterns in published.items() if _fits(settings, patterns))
    return next(fits, OTHER)


def _fits(settings: Mapping[str, Any], patterns: Mapping[str, str | None]) -> bool:
    for key, pattern in patterns.items():
        value: Any = settings
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        known = value is not None
        if known if pattern is None else not (known and fnmatchcase(str(value), pattern)):
            return False
    return True


def read_runs(paths: Sequence[str | os.PathLike[str]]) -> Runs:
    """Read comparisons, evaluations, trained cascades, timings and searches.

    A trained cascade counts as an evaluation on the faces held out of its training; evaluations
    on other faces come before it.

    Raises:
        InputError: something else, or a damaged file.
    """
    comparisons: list[Compared] = []
    evaluations: list[Evaluated] = []
    models: list[Evaluated] = []
    benches: list[Timed] = []
    searches: list[Path] = []
    for path in map(Path, paths):
        if path.is_file():
            data = read_saved(path, Saved, said=_EXPECTED)
            if "scores" in data and "data" in data:
                evaluations.append(_evaluated(path, data))
            elif "rows" in data or "runs" in data:
                benches += _timed(path, data)
            else:
                raise InputError(f"{path}: {_EXPECTED}")
        elif (kind := expect("report --paper", path)) is COMPARISON:
            comparison = read_comparison(path, draws=_DRAWS)
            comparisons.append(Compared(path, comparison, _config(path)))
        elif kind is SEARCH:
            _config(path)  # what is damaged is told now
            searches.append(path)
        elif (path / SCORES).is_file():  # of a cascade, where its own folder was given for them
            evaluations.append(_evaluated(path / SCORES, read_saved(path / SCORES, Saved)))
        elif (path / CASCADE.last).is_file():
            models += _held_out(path / CASCADE.last)
        else:
            raise refusal(path, [kind])
    return Runs(tuple(comparisons), (*evaluations, *models), tuple(benches), tuple(searches))


_EXPECTED = (
    "expected a comparison, a search, a trained cascade (model.json), an output of `groupnas eval` "
    "(scores.json) or of `groupnas bench --json`"
)


def _timed(path: Path, data: dict[str, Any]) -> Iterator[Timed]:
    every = data.get("runs") or [data]
    for told in every if isinstance(every, list) else [every]:
        _check(TimingFile, told, path, "time again")
        yield Timed(path, told)


def _check(model: type[Saved], told: Any, path: Path, remedy: str) -> None:
    try:
        validate(model, told, f"{path}: is damaged")
    except InputError as error:
        raise InputError(f"{error}; {remedy}") from error


def _config(path: Path) -> dict[str, Any]:
    folder = RunFolder(path)
    config = folder.read_config()
    validate(RunConfig, config, f"{folder / CONFIG}: is damaged")
    return config


def _evaluated(path: Path, told: dict[str, Any]) -> Evaluated:
    _check(EvaluationFile, told, path, "evaluate again")
    model = Path(told.get("model", ""))
    card = model / CASCADE.last if os.path.isdir(model) else model
    if not os.path.isfile(card):
        return Evaluated(path, told, {}, None)
    return Evaluated(path, told, _trained(read_saved(card, CardFile)), model)


def _held_out(card: Path) -> Iterator[Evaluated]:
    data = read_saved(card, CardFile)
    for told in (data.get("scores") or {}).values():
        yield Evaluated(card, told, _trained(data), card.parent)


def _trained(card: Mapping[str, Any]) -> Mapping[str, Any]:
    told = card.get("trained") or {}
    return {**told, "recipe": upgraded_recipe(told["recipe"])} if told.get("recipe") else told


def _only(labels: Sequence[str]) -> str | None:
    return labels[0] if len(labels) == 1 else None
