"""The command line: thin commands over the library, one file each.

Heavy imports (torch, matplotlib) stand inside the commands, so that help is instant.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence

from groupnas.cli.output import OutputLost, standard_streams, tell
from groupnas.errors import InputError

Code = int | str | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``groupnas``; exits with 2 on wrong input and 130 when stopped by Ctrl-C."""
    with standard_streams():
        code = _told(arguments)
        try:
            sys.stdout.flush()
        except OutputLost as lost:
            code = code or _lost(lost)
    sys.exit(code)


def _told(arguments: Sequence[str] | None) -> Code:
    """The exit code of a command line; what went wrong is told."""
    try:
        from groupnas.cli.app import run

        return run(arguments)
    except SystemExit as exit_:  # of a command with an exit code of its own
        return exit_.code
    except InputError as error:
        tell(str(error))
        return 2
    except KeyboardInterrupt:
        tell("stopped")
        return 130
    except OutputLost as lost:
        return _lost(lost)
    except Exception:
        reason = _surroundings()
        if reason is None:
            raise
        tell(reason)
        return 2


def _lost(lost: OutputLost) -> int:
    if lost.unread:
        return 0
    tell(str(lost))
    return 2


def _surroundings() -> str | None:
    """Return what torch and others need and lack; ``None`` where the error is a bug of ours."""
    try:
        os.getcwd()
    except OSError:
        return "the working directory is not there any more; change to another"
    try:
        tempfile.gettempdir()
    except OSError:
        return "no folder for temporary files can be written; set TMPDIR to one"
    return None
