"""Memory that one step frees and the next takes again."""

import platform
import subprocess
import sys

import pytest

CHILD = """
import resource, sys
from fragua_trainer.training.freed_memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
block = bytearray(64 << 20)
del block
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
block = bytearray(64 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    child = subprocess.run([sys.executable, "-c", CHILD, how], capture_output=True, text=True, check=True)
    return int(child.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have rules of their own")
def test_a_large_block_is_not_asked_of_the_system_a_second_time() -> None:
    # A page has 4 KiB or, on some systems, 64.
    assert page_faults("kept") < 100
    assert page_faults("given back") > 900
