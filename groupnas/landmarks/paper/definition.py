"""The definitions of a paper's tables and figures: the files of ``reports/``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from groupnas.errors import InputError
from groupnas.files import find_shipped, nearest, shipped_names
from groupnas.schema import Settings, read_yaml, validate

KIND, PUBLISHED = "reports", "reports/published"


class PublishedRow(Settings):
    """A row as printed.

    Attributes:
        key: What a definition calls the row; peers, which nobody measures here, have none.
        label: What the row is of, a text for each column of labels.
        values: Figures as printed, separated by ``|``.
        notes: By column, what the publication says of a figure.
    """

    key: str = ""
    label: tuple[str, ...] = ()
    values: Annotated[str, BeforeValidator(str)]
    notes: dict[str, str] = {}

    @property
    def texts(self) -> list[str]:
        """The figures."""
        return [text.strip() for text in self.values.split("|")]


class PublishedTable(Settings):
    """A table as printed: where it stands, its columns and its rows."""

    where: str
    columns: tuple[str, ...]
    rows: tuple[PublishedRow, ...]

    @model_validator(mode="after")
    def _complete(self) -> PublishedTable:
        for index, row in enumerate(self.rows):
            if len(row.texts) != len(self.columns):
                raise ValueError(
                    f"rows.{index}.values: expected {len(self.columns)}, got {len(row.texts)}"
                )
            if unknown := sorted(set(row.notes) - set(self.columns)):
                raise ValueError(f"rows.{index}.notes: {nearest(unknown[0], self.columns)}")
        return self


class PublishedLoss(Settings):
    """The loss of a training; D-Loss with ``alpha`` 1 is the plain loss (section III-D)."""

    name: str
    alpha: float


class Protocol(Settings):
    """The publication's way to measure on a data set.

    Attributes:
        points: Of the markup.
        spaces: Of the cascade's first network: the paper's own, and smaller ones like it.
        faces: In training (``train``), in all of the test set (``full``) and in its subsets.
        normaliser: What errors are divided by.
        loss: Of both stages.
        epochs: Of each stage, in the last step that trains it.
        search_epochs: Of the search, where there was one.
        balance_poses: Whether training draws all poses equally often.
    """

    points: int
    spaces: tuple[str, ...]
    faces: dict[str, int]
    normaliser: str
    loss: PublishedLoss
    epochs: tuple[int, ...]
    search_epochs: int | None = None
    balance_poses: bool


class Publication(Settings):
    """All figures of a publication.

    Attributes:
        format: 1.
        source: The publication.
        strategies: Which settings make a strategy which row: by row, patterns (``*`` is anything)
            by dotted key; ``None`` where there must be nothing.
        protocols: How it measured, by data set.
        tables: As printed.
    """

    format: Literal[1]
    source: str
    strategies: dict[str, dict[str, str | None]] = {}
    protocols: dict[str, Protocol] = {}
    tables: dict[str, PublishedTable]


class Measured(Settings):
    """A source of a table's figures.

    Attributes:
        source: A name in :data:`groupnas.landmarks.paper.build.SOURCES`.
        rows: What the rows' keys are, as the source takes it.
        columns: What the columns are, likewise.
        stage: Of a cascade, where the rows do not say it.
        space: The search space whose layers are shown.
        spaces: By row, the search spaces whose costs add up to it.
        convention: What is counted, as of :func:`groupnas.flops`.
        note: What is said of each figure of ``operations``.
        models: Row to the name of a timed model.
        names: Rows of a space that are called otherwise.
        others: Whether what the paper has no row for gets a row of its own.
    """

    source: str
    rows: str = ""
    columns: str = ""
    stage: Literal["global", "cascade"] = "cascade"
    space: str = ""
    spaces: dict[str, tuple[str, ...]] = {}
    convention: str = "torchstat"
    note: str = ""
    models: dict[str, str] = {}
    names: dict[str, str] = {}
    others: bool = False


class TableDefinition(Settings):
    """A table: the published rows, and where our own come from.

    Attributes:
        paper: Whose: the name of a data file of published figures.
        table: Its number in the paper.
        title: One line.
        caption: What the columns mean, and their unit.
        published: Its name in that file.
        data: The data set of its protocol, where it has one.
        labels: Headers of the rows' labels.
        columns: Column to header.
        changes: Whether figures say how they differ from the first row's.
        measured: Where our own figures come from; the first that has a figure gives it.
        needs: The runs that it takes, for people.
        limits: What cannot be measured, and why.
    """

    paper: str = "picassonet"
    table: str
    title: str
    caption: str
    published: str
    data: str | None = None
    labels: tuple[str, ...] = ()
    columns: dict[str, str]
    changes: bool = False
    measured: tuple[Measured, ...]
    needs: str = ""
    limits: str = ""


class Wanted(Settings):
    """A search that a figure shows, and how to start it."""

    space: str
    data: str
    strategy: str
    seed: int = 0


class FigurePanel(Settings):
    """A panel: its title, the run of ``runs``, and the file of its folder."""

    title: str
    run: str
    file: Literal["initial_grouping.json", "grouping.json"]


class FigureDefinition(Settings):
    """A figure.

    Attributes:
        figure: Its number in the paper.
        title: One line.
        caption: What stands below it.
        plot: What draws it.
        data: The data set that the paper's figure is of.
        runs: Searches that it shows.
        panels: From top to bottom.
        published: Its name in the data file of published figures.
        needs: The runs that it takes, for people.
        limits: What cannot be shown, and why.
    """

    figure: int
    title: str
    caption: str
    plot: Literal["plot_tetris", "plot_curves", "plot_typical", "plot_worst", "plot_speed"]
    data: str | None = None
    runs: dict[str, Wanted] = {}
    panels: tuple[FigurePanel, ...] = ()
    published: str | None = None
    needs: str = ""
    limits: str = ""

    @model_validator(mode="after")
    def _panels_have_runs(self) -> FigureDefinition:
        for index, panel in enumerate(self.panels):
            if panel.run not in self.runs:
                raise ValueError(f"panels.{index}.run: {nearest(panel.run, self.runs)}")
        return self


Definition = TableDefinition | FigureDefinition


def definition_names() -> list[str]:
    """Tables and figures that are defined, in ``./reports`` first and then in groupnas."""
    return sorted(shipped_names(KIND), key=_natural)


def load_definition(name: str) -> Definition:
    """The definition of a table or figure: ``table9``, ``figure7``, or a file.

    Raises:
        InputError: no such table or figure, or a file that is wrong (names the keys at fault).
    """
    if not name.endswith((".yaml", ".yml")) and name not in shipped_names(KIND):
        known = definition_names()
        hint = nearest(name, known).split("choose from")[0]
        raise InputError(f"{name!r} is no table or figure; {hint}choose from: {', '.join(known)}")
    path = find_shipped(KIND, name)
    data = read_yaml(path)
    model: Any = FigureDefinition if isinstance(data, dict) and "figure" in data else None
    found: Definition = validate(model or TableDefinition, data, str(path))
    return found


def load_published(name: str = "picassonet") -> Publication:
    """The published figures of a paper; raises :class:`InputError` where the file is wrong."""
    path = find_shipped(PUBLISHED, name)
    return validate(Publication, read_yaml(path), str(path))


def _natural(name: str) -> tuple[str, int]:
    """table9 before table10."""
    word = name.rstrip("0123456789")
    return word, int(name[len(word) :] or 0)
