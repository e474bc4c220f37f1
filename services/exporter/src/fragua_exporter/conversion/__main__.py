"""Runs the conversion engine by hand or under a worker: `python -m fragua_exporter.conversion JOB_DIR`."""

from __future__ import annotations

import os

from fragua_platform.jobs.engine import JobDirectory, Reporter, prepare_libraries, run_engine


def convert(job: JobDirectory, reporter: Reporter) -> None:
    threads = prepare_libraries()
    # Imported late: torch reads the environment while it is imported.
    import torch

    from fragua_exporter.conversion.checkout import find_converter
    from fragua_exporter.conversion.export import export
    from fragua_exporter.conversion.hand_over import carried_bytes

    torch.set_num_threads(threads)
    export(job, reporter, find_converter(os.environ), carried_bytes(os.environ))


if __name__ == "__main__":
    run_engine(convert)
