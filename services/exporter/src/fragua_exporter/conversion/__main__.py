"""Runs the conversion engine by hand or under a worker: `python -m fragua_exporter.conversion JOB_DIR`."""

from fragua_platform.jobs.engine import run_engine

from fragua_exporter.conversion.export import export

run_engine(export)
