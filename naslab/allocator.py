"""Memory that a step frees is kept for the next one (glibc on Linux).

A step allocates hundreds of tensors of 1 to 16 MB and frees them. By default glibc gives every one of them back to the
system and asks for it again in the next step, page by page: 14,000 page faults a step of the DARTS supernet, up to 12 %
of its time. With two larger thresholds it keeps the memory: the resident size of the process then stays at its peak.

`NASLAB_KEEP_MEMORY=0` in the environment turns this off; thresholds that the environment already sets are left alone.
Huge pages save up to another tenth, but can only be requested before Python starts:
`GLIBC_TUNABLES=glibc.malloc.hugetlb=1 jupyter lab`.
"""

from __future__ import annotations

import ctypes
import os
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Options of mallopt (malloc.h)."""
LARGEST = 1 << 30
"""Bytes of an allocation from which on it is given back at once all the same."""
LARGEST_OF_OLDER = 1 << 25
"""The same for versions of glibc that accept no more."""
MOST = (1 << 31) - 1
"""Largest number that mallopt takes: this many free bytes at the end of the heap are kept."""


def keep_freed_memory() -> bool:
    """Raise the thresholds. Returns True if they are raised, False without glibc or where the environment decides."""
    decided = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"} & set(os.environ)
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if os.environ.get("NASLAB_KEEP_MEMORY") == "0" or decided or "_threshold=" in tunables:
        return False
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mapped = mallopt(M_MMAP_THRESHOLD, LARGEST) or mallopt(M_MMAP_THRESHOLD, LARGEST_OF_OLDER)
    return bool(mapped and mallopt(M_TRIM_THRESHOLD, MOST))
