"""A check, before any of it is done, that a comparison's work reaches other processes."""

from __future__ import annotations

import pickle
import sys
from dataclasses import fields

from groupnas.comparison.cell import Work
from groupnas.errors import InputError

_NAMES = {"plan": "strategies"}  # what the argument is called
_ALONE = "or do all in this process: jobs=1"


def check_sendable(work: Work) -> None:
    """Raise :class:`InputError` unless all of the work can be pickled, and made again elsewhere."""
    for field in fields(work):
        name, value = _NAMES.get(field.name, field.name), getattr(work, field.name)
        try:
            sent = pickle.dumps(value)
        except (pickle.PicklingError, AttributeError, TypeError, RecursionError) as error:
            raise InputError(
                f"{name}: cannot be sent to other processes: "
                f"{str(error).splitlines()[0]}; use a function or a class of a module, {_ALONE}"
            ) from error
        # What a session typed in defines is known to its own process only.
        if b"__main__" in sent and not hasattr(sys.modules["__main__"], "__file__"):
            raise InputError(
                f"{name}: is defined in this session, which other processes do not know; put it "
                f"into a module, {_ALONE}"
            )
