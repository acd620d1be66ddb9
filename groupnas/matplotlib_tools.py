"""matplotlib, imported and used the same whatever the user's surroundings say of it.

Import this module before anything of matplotlib. Figures are made without pyplot, so that no
window's library is ever looked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from groupnas.errors import InputError


def _import() -> Any:
    """matplotlib, also where MPLBACKEND names what is not installed.

    A backend that there is holds, for the rest of a user's program.
    """
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    except UnicodeDecodeError as error:
        raise InputError("matplotlib: its file matplotlibrc is no text; remove it") from error
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    with suppress(ValueError):
        if backend:
            matplotlib.rcParams["backend"] = backend
    return matplotlib


mpl = _import()


@contextmanager
def style(settings: Mapping[str, Any]) -> Iterator[None]:
    """Draw by matplotlib's defaults and these; what the user set is restored at the end."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        yield
