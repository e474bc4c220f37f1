"""The straightforward check: parse each line, hold it against a model, remember its digest.

Prints the distinct rows and what it took from when everything was imported.
"""

import hashlib
import json
import sys
import time

from pydantic import BaseModel, ConfigDict, Field


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    instruction: str = Field(min_length=1)
    input: str = ""
    output: str = Field(min_length=1)


began, cpu_began = time.perf_counter(), time.process_time()
digests: set[str] = set()
with open(sys.argv[1], encoding="utf-8") as lines:  # noqa: PTH123
    for line in lines:
        row = Row.model_validate(json.loads(line))
        content = json.dumps(row.model_dump(), sort_keys=True)
        digests.add(hashlib.sha256(content.encode()).hexdigest())
taken = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu_began}
print(json.dumps({"distinct": len(digests)} | taken))
