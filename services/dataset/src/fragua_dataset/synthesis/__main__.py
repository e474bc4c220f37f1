"""`python -m fragua_dataset.synthesis JOB_DIR`."""

from fragua_dataset.synthesis.synthesize import synthesize
from fragua_platform.jobs.engine import run_engine

if __name__ == "__main__":
    run_engine(synthesize)
