"""How the C library deals with memory: pieces of a block's size are kept, larger ones go back as soon as they are free.

Left alone it hands every block to the system and gets it back page fault by page fault, a third of the time of reading
plain rows; and once it has seen a large array go, it keeps all the following ones, with holes between them.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Numbers of malloc.h."""
_LARGE: Final = 1 << 20
_KEPT_FREE: Final = 16 << 20


@cache
def return_large_pieces() -> None:
    """For the whole process; glibc only, others have ways of their own."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "gnu_get_libc_version"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE)
