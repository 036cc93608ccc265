"""Ask the C library to keep freed memory, for processes of our own that run torch on a CPU."""

from __future__ import annotations

import ctypes
import sys

# glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Stop glibc from returning every large tensor to the system and asking for it again.

    A step of a convolutional network allocates the same hundreds of megabytes as the step before;
    by default each is mapped, zeroed page by page and unmapped, which took half of the processor's
    time where we measured it. The setting holds for the whole process, so the library never calls
    this by itself: our command line and training script do.

    Returns
    -------
    Whether there was a glibc that took the settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library (musl)
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 256 * 2**20))
    return all(mallopt(name, value) == 1 for name, value in settings)
