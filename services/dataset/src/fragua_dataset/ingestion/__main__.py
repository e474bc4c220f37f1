"""`python -m fragua_dataset.ingestion JOB_DIR`"""

from fragua_dataset.ingestion.ingest import ingest
from fragua_platform.jobs.engine import run_engine

if __name__ == "__main__":
    run_engine(ingest)
