"""Runs a converter that is not ours: `python -m fragua_exporter.conversion.foreign_converter SCRIPT ARGUMENTS…`.

It ends when its standard input does, so that it does not outlive the engine.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
from pathlib import Path


def _end_with_standard_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    del sys.argv[0]
    # As `python SCRIPT` would: its neighbours can be imported.
    sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
