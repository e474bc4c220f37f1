"""Holds our converter against llama.cpp's own on a tiny model of every architecture: the same tensors to the byte, the
same entries. `python bench/converters.py` prints what differs and ends with 1 when that is more than we know of.
"""

from __future__ import annotations

import shutil
import sys

from children import CACHE, OUR_PROGRAMS, OUR_PYTHON, peer_python, run_child
from export import CONVERTER, llama_cpp


def main() -> int:
    peer, converter = peer_python(), llama_cpp() / CONVERTER
    folder = CACHE / "converters"
    shutil.rmtree(folder, ignore_errors=True)
    run_child(OUR_PYTHON, OUR_PROGRAMS / "convert_families.py", folder)
    unexpected = 0.0
    for ours in sorted(folder.glob("*.gguf")):
        theirs = ours.with_suffix(".theirs")
        run_child(peer, converter, "--outtype", "f32", "--outfile", theirs, folder / ours.stem)
        for program in ("compare_tensors.py", "compare_entries.py"):
            compared = run_child(OUR_PYTHON, OUR_PROGRAMS / program, ours, theirs)
            unexpected += compared.number
            sys.stdout.write(f"{ours.stem} {program}: {compared.output}")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
