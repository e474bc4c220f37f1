"""`python -m fragua_evaluator serve | work | migrate`."""

from __future__ import annotations

from fragua_evaluator.bootstrap import DEFINITION
from fragua_platform.runtime import service_main


def main() -> None:
    service_main(DEFINITION)


if __name__ == "__main__":
    main()
