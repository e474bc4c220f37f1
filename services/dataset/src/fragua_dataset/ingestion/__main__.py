"""`python -m fragua_dataset.ingestion JOB_DIR`, or `… FILE --profile instruct` to look at a file without a server."""

import sys
from pathlib import Path

from fragua_dataset.ingestion.ingest import ingest
from fragua_dataset.ingestion.local import validate_file
from fragua_platform.jobs.engine import run_engine

if __name__ == "__main__":
    if len(sys.argv) == 2 and Path(sys.argv[1]).is_dir():
        run_engine(ingest)
    sys.exit(validate_file(sys.argv[1:]))
