"""`python -m fragua_dataset serve | work | migrate`."""

from __future__ import annotations

from fragua_dataset.bootstrap import DEFINITION
from fragua_platform.runtime import service_main


def main() -> None:
    service_main(DEFINITION)


if __name__ == "__main__":
    main()
