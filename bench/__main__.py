"""`python bench`: every stage of every benchmark, with one table per stage and one file of results."""

import dataset
import export
import harness
import training

if __name__ == "__main__":
    harness.main([*dataset.STAGES, *export.STAGES, *training.STAGES])
