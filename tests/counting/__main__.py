"""`python -m tests.counting serve | work | migrate`."""

from __future__ import annotations

from fragua_platform.runtime import service_main
from tests.counting.service import DEFINITION

if __name__ == "__main__":
    service_main(DEFINITION)
