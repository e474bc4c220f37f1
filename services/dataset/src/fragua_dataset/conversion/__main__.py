"""`python -m fragua_dataset.conversion JOB_DIR`"""

from fragua_dataset.conversion.convert import convert
from fragua_platform.jobs.engine import run_engine

if __name__ == "__main__":
    run_engine(convert)
