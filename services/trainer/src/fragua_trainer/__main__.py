"""`python -m fragua_trainer serve | work | migrate`."""

from __future__ import annotations

from fragua_platform.runtime import service_main
from fragua_trainer.bootstrap import DEFINITION


def main() -> None:
    service_main(DEFINITION)


if __name__ == "__main__":
    main()
