"""Finds the near-duplicates among the lines of a text file and writes their pairs as JSON. Prints how many there are.

As in the ingestion engine, texts are not kept: those of a proposed pair are read again.
"""

from __future__ import annotations

import json
import sys
import tempfile
from array import array
from itertools import accumulate, islice
from pathlib import Path

from fragua_dataset.ingestion.near_duplicates import NearDuplicates

THRESHOLD = 0.8
LINES_AT_ONCE = 1000


def main(source: Path, output: Path) -> None:
    with (
        tempfile.TemporaryDirectory(dir=output.parent) as spool,
        NearDuplicates(Path(spool), jaccard=THRESHOLD) as near_duplicates,
        source.open("rb") as file,
    ):
        starts = array("Q", [0])
        while lines := list(islice(file, LINES_AT_ONCE)):
            near_duplicates.add([line.decode() for line in lines])
            starts.extend(islice(accumulate(map(len, lines), initial=starts[-1]), 1, None))

        def text_of(row: int) -> str:
            file.seek(starts[row])
            return file.readline().decode()

        pairs = [(pair.first, pair.second) for pair in near_duplicates.pairs(text_of)]
    output.write_text(json.dumps(pairs), "utf-8")
    print(len(pairs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
