"""The commands, put together."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError

from groupnas._version import __version__
from groupnas.cli.bench import bench
from groupnas.cli.ceiling import ceiling
from groupnas.cli.compare import compare
from groupnas.cli.data import app as data_app
from groupnas.cli.eval import evaluate
from groupnas.cli.export import export
from groupnas.cli.flops import flops
from groupnas.cli.plot import plot
from groupnas.cli.predict import predict
from groupnas.cli.report import report
from groupnas.cli.search import search
from groupnas.cli.spaces import spaces
from groupnas.cli.strategies import strategies
from groupnas.cli.train import train
from groupnas.errors import InputError
from groupnas.runs.begin import command

app = App(
    name="groupnas",
    version=__version__,
    # That a flag is not set need not be said.
    default_parameter=Parameter(show_default=lambda value: None if value is False else value),
    help=(
        "Search how much of a network each part of its task should get.\n\n"
        "Start with: groupnas search --space picasso_local --data synthetic "
        "--strategy saliency:demo"
    ),
)
for each in (
    search,
    compare,
    ceiling,
    train,
    predict,
    export,
    bench,
    flops,
    plot,
    report,
    spaces,
    strategies,
):
    app.command(each)
app.command(evaluate, name="eval")
app.command(data_app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Parse and run one command line; the exit code, 0 where nothing went wrong.

    Raises:
        InputError: the line cannot be parsed, the command found its input wrong, or the system
            refused a file.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    before = command.set(("groupnas", *words))
    try:
        app(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        chain = " ".join(["groupnas", *(error.command_chain or ())])
        raise InputError(f"{_message(error)} See {chain} --help.") from error
    except OSError as error:  # a name too long, a disk that fails: nothing that a program can mend
        if error.filename is None:
            raise
        raise InputError(f"{os.fsdecode(error.filename)}: {error.strerror or error}") from error
    finally:
        command.reset(before)
    return 0


def _message(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"Unexpected argument: {shlex.join(error.unused_tokens)}."
    if isinstance(error, MissingArgumentError) and error.keyword is None and error.argument:
        given = error.unused_tokens and f"; unexpected: {shlex.join(error.unused_tokens)}"
        return f"{error.argument.name} is missing{given or ''}."
    return " ".join(str(error).split())
