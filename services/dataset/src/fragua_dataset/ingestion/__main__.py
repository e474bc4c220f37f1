"""`python -m fragua_dataset.ingestion JOB_DIR`"""

from fragua_platform.jobs.engine import run_engine

from fragua_dataset.ingestion.ingest import ingest

if __name__ == "__main__":
    run_engine(ingest)
