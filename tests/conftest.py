"""What all tests share: one thread per worker, pictures without a screen, examples that repeat."""

from __future__ import annotations

import os

# Before torch and matplotlib are imported; subprocesses inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import settings

# A test goes red because of a change, never because of luck or of a busy machine.
settings.register_profile("groupnas", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("groupnas")
