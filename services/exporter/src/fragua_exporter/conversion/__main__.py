"""Runs the conversion engine by hand or under a worker: `python -m fragua_exporter.conversion JOB_DIR`."""

from fragua_exporter.conversion.export import export
from fragua_platform.jobs.engine import run_engine

run_engine(export)
