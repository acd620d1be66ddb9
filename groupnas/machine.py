"""The machine that this runs on: what of it this process may use, and what it is."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

from groupnas.errors import InputError
from groupnas.files import read_text

_QUOTAS = Path("/sys/fs/cgroup")


def cores() -> int:
    """CPU cores that this process may use: by its affinity, and by its container's quota."""
    usable = getattr(os, "sched_getaffinity", None)
    count = len(usable(0)) if usable else os.cpu_count() or 1
    return max(1, min(count, _quota(_QUOTAS) or count))


def machine() -> str:
    """The system and its processor, whose name is in ``/proc`` where there is one."""
    name = _cpuinfo("model name") or platform.processor()
    return f"{platform.system()} {platform.machine()} {name}".strip()


def lacks_avx512() -> bool:
    """Return whether the processor says what it can do, and AVX-512 is not among it."""
    flags = _cpuinfo("flags").split()
    return bool(flags) and "avx512f" not in flags


def _quota(folder: Path) -> int | None:
    """Whole cores' time that a control group gets, of both of Linux's versions; ``None``: all."""
    try:
        whole = (folder / "cpu.max").read_text()
    except OSError:
        try:
            files = [folder / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period")]
            whole = " ".join(file.read_text() for file in files)
        except OSError:
            return None
    try:
        quota, period = map(int, whole.split())
    except ValueError:  # "max", or what a later version says
        return None
    return -(-quota // period) if quota > 0 and period > 0 else None


@cache
def _cpuinfo(key: str) -> str:
    """Return what ``/proc/cpuinfo`` says of the first processor; empty where it says nothing."""
    try:
        lines = read_text("/proc/cpuinfo").splitlines()
    except InputError:
        return ""
    found = (line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == key)
    return next(found, "")
