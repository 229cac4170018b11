"""How the C library deals with memory."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Keys of glibc's ``mallopt`` (malloc.h)."""


def keep_freed_memory() -> None:
    """For the rest of this process, let glibc reuse large blocks instead of giving them back to the kernel.

    The kernel would clear them anew in every step of training. Other C libraries are left alone.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
