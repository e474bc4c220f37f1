"""Between the small protos of `fragua.dataset.v1` and the service's own data."""

from __future__ import annotations

from fragua.dataset.v1 import dataset_pb2
from fragua_dataset.domain.dataset import Branch
from fragua_dataset.domain.problems import Problem


def branch_to_message(branch: Branch) -> dataset_pb2.Branch:
    return dataset_pb2.Branch(name=branch.name, display_name=branch.display_name, create_time=branch.created)


def problem_to_message(problem: Problem) -> dataset_pb2.DatasetProblem:
    return dataset_pb2.DatasetProblem(
        line=problem.line or 0,
        pointer=problem.pointer,
        code=problem.code.value,
        message=problem.message,
        hint=problem.hint,
        severity=f"PROBLEM_SEVERITY_{problem.severity.value}",
    )
