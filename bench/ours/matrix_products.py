"""The rate at which this processor multiplies the matrices of a model, by the faster of the two libraries.

`matrix_products.py fp32|bf16 VOCABULARY HIDDEN FEED_FORWARD` prints GFLOP per CPU-second.
"""

from __future__ import annotations

import sys
import time

import torch

from fragua_trainer.domain.training_spec import Precision
from fragua_trainer.training.cross_entropy import ROWS_AT_ONCE
from fragua_trainer.training.hardware import weights_type
from fragua_trainer.training.packing import PACK_TOKENS
from fragua_trainer.training.products import Library, Products

ROUNDS = 10

if __name__ == "__main__":
    torch.set_num_threads(1)
    dtype, (vocabulary, hidden, feed_forward) = weights_type(Precision(sys.argv[1])), map(int, sys.argv[2:])
    shapes = [(PACK_TOKENS, hidden, 2 * feed_forward), (PACK_TOKENS, feed_forward, hidden)]
    shapes += [(PACK_TOKENS, hidden, hidden), (ROWS_AT_ONCE, hidden, vocabulary)]
    operations = seconds = 0.0
    for rows, inputs, outputs in shapes:
        left, right = torch.randn(rows, inputs, dtype=dtype), torch.randn(outputs, inputs, dtype=dtype)
        times: dict[Library, list[float]] = {library: [] for library in Library}
        for _ in range(ROUNDS):
            for library in Library:
                started = time.process_time()
                Products(library).linear(left, right)
                times[library].append(time.process_time() - started)
        operations += 2 * rows * inputs * outputs
        seconds += min(sorted(taken)[ROUNDS // 2] for taken in times.values())
    print(operations / seconds / 1e9)
