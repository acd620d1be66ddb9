"""The command line: thin commands over the library, one file each.

Heavy imports (torch, matplotlib) stand inside the commands, so that help is instant.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from groupnas.errors import InputError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``groupnas``; exits with 2 on wrong input and 130 when stopped by Ctrl-C."""
    from groupnas.cli.app import run

    if isinstance(sys.stdout, io.TextIOWrapper):  # what it cannot say, such as odd file names
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(run(arguments))
    except InputError as error:
        print(f"groupnas: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of a pipe, e.g. head, has seen enough
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        print("groupnas: stopped", file=sys.stderr)
        sys.exit(130)
