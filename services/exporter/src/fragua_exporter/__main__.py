"""`python -m fragua_exporter serve | work | migrate`."""

from __future__ import annotations

from fragua_exporter.bootstrap import DEFINITION
from fragua_platform.runtime import service_main


def main() -> None:
    service_main(DEFINITION)


if __name__ == "__main__":
    main()
