"""Looks at a file as `python -m fragua_dataset.ingestion FILE` does: `validate_rows.py FILE PROFILE REPORT`.

Prints the distinct rows and what it took from when everything was imported.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from fragua_dataset.domain.version_report import VersionReport
from fragua_dataset.ingestion.local import VALID, validate_file

if __name__ == "__main__":
    source, profile, report = sys.argv[1:]
    began, cpu_began = time.perf_counter(), time.process_time()
    status = validate_file([source, "--profile", profile, "--validation-fraction", "0", "--report", report])
    taken = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu_began}
    if status != VALID:
        sys.exit("the rows are not valid")
    found = VersionReport.model_validate_json(Path(report).read_bytes())
    print(json.dumps({"distinct": found.train_rows} | taken))
