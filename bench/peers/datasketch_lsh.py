"""The usual way to near-duplicates: a MinHash of the word triples of each line, asked of an index, then put into it.

Writes the pairs as JSON and prints how many there are. `MinHash.generator` is the fastest way that datasketch offers.
"""

import json
import sys
from collections.abc import Iterator

from datasketch import MinHash, MinHashLSH  # type: ignore[import-not-found]  # only the peers' environment has it

THRESHOLD = 0.8
PERMUTATIONS = 128


def shingles_of_each_line(path: str) -> Iterator[list[bytes]]:
    with open(path, encoding="utf-8") as lines:  # noqa: PTH123
        for line in lines:
            words = line.casefold().split()
            yield [triple.encode() for triple in set(map(" ".join, zip(words, words[1:], words[2:])))]  # noqa: B905


index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
pairs: list[tuple[int, int]] = []
for row, sketch in enumerate(MinHash.generator(shingles_of_each_line(sys.argv[1]), num_perm=PERMUTATIONS)):
    pairs.extend((first, row) for first in index.query(sketch))
    index.insert(row, sketch)
with open(sys.argv[2], "w", encoding="utf-8") as output:  # noqa: PTH123
    json.dump(pairs, output)
print(len(pairs))
