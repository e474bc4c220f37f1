"""`python bench`: every stage of every benchmark, with one table per stage and one file of results."""

import dataset
import evaluation
import export
import harness
import training

if __name__ == "__main__":
    harness.main([*dataset.STAGES, *evaluation.STAGES, *export.STAGES, *training.STAGES])
