"""The kinds of long-running work behind one shape, so that following one is written once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic

from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as dataset_calls
from fragua.evaluator.v1 import evaluator_pb2
from fragua.evaluator.v1 import evaluator_service_pb2 as evaluator_calls
from fragua.exporter.v1 import exporter_pb2
from fragua.exporter.v1 import exporter_service_pb2 as exporter_calls
from fragua.trainer.v1 import trainer_pb2
from fragua.trainer.v1 import trainer_service_pb2 as trainer_calls
from fragua_cli.suite import J, Suite, all_pages


@dataclass(frozen=True)
class Jobs(Generic[J]):
    """What can be done with one kind of job, by resource name."""

    noun: str
    command: str
    """The noun of the command line, as in `fragua train`."""
    collection: str
    """The segment of resource names, as in `branches/tutor/trainingJobs/…`."""
    get: Callable[[str], Awaitable[J]]
    list: Callable[[str], AsyncIterator[J]]
    """By the name of the branch, newest first."""
    watch: Callable[[str], AsyncIterator[J]]
    cancel: Callable[[str], Awaitable[J]]


@dataclass(frozen=True)
class PausableJobs(Jobs[J]):
    pause: Callable[[str], Awaitable[J]]
    resume: Callable[[str], Awaitable[J]]


def dataset_versions(suite: Suite) -> Jobs[dataset_pb2.DatasetVersion]:
    stub, calls = suite.dataset, dataset_calls
    return Jobs(
        noun="dataset version",
        command="dataset",
        collection="datasets",
        get=lambda name: suite.call(stub.GetDatasetVersion, calls.GetDatasetVersionRequest(name=name)),
        list=lambda parent: all_pages(
            lambda token: suite.call(
                stub.ListDatasetVersions, calls.ListDatasetVersionsRequest(parent=parent, page_token=token)
            ),
            "dataset_versions",
        ),
        watch=lambda name: suite.watch(stub.WatchDatasetVersion, calls.WatchDatasetVersionRequest(name=name)),
        cancel=lambda name: suite.call(stub.CancelDatasetImport, calls.CancelDatasetImportRequest(name=name)),
    )


def dataset_conversions(suite: Suite) -> Jobs[dataset_pb2.DatasetConversion]:
    stub, calls = suite.dataset, dataset_calls
    return Jobs(
        noun="conversion",
        command="dataset",
        collection="datasets",
        get=lambda name: suite.call(stub.GetDatasetConversion, calls.GetDatasetConversionRequest(name=name)),
        list=lambda parent: all_pages(
            lambda token: suite.call(
                stub.ListDatasetConversions, calls.ListDatasetConversionsRequest(parent=parent, page_token=token)
            ),
            "dataset_conversions",
        ),
        watch=lambda name: suite.watch(stub.WatchDatasetConversion, calls.WatchDatasetConversionRequest(name=name)),
        cancel=lambda name: suite.call(stub.CancelDatasetConversion, calls.CancelDatasetConversionRequest(name=name)),
    )


def training_jobs(suite: Suite) -> PausableJobs[trainer_pb2.TrainingJob]:
    stub, calls = suite.trainer, trainer_calls
    return PausableJobs(
        noun="training job",
        command="train",
        collection="trainingJobs",
        get=lambda name: suite.call(stub.GetTrainingJob, calls.GetTrainingJobRequest(name=name)),
        list=lambda parent: all_pages(
            lambda token: suite.call(
                stub.ListTrainingJobs, calls.ListTrainingJobsRequest(parent=parent, page_token=token)
            ),
            "training_jobs",
        ),
        watch=lambda name: suite.watch(stub.WatchTrainingJob, calls.WatchTrainingJobRequest(name=name)),
        cancel=lambda name: suite.call(stub.CancelTrainingJob, calls.CancelTrainingJobRequest(name=name)),
        pause=lambda name: suite.call(stub.PauseTrainingJob, calls.PauseTrainingJobRequest(name=name)),
        resume=lambda name: suite.call(stub.ResumeTrainingJob, calls.ResumeTrainingJobRequest(name=name)),
    )


def evaluations(suite: Suite) -> PausableJobs[evaluator_pb2.Evaluation]:
    stub, calls = suite.evaluator, evaluator_calls
    return PausableJobs(
        noun="evaluation",
        command="eval",
        collection="evaluations",
        get=lambda name: suite.call(stub.GetEvaluation, calls.GetEvaluationRequest(name=name)),
        list=lambda parent: all_pages(
            lambda token: suite.call(
                stub.ListEvaluations, calls.ListEvaluationsRequest(parent=parent, page_token=token)
            ),
            "evaluations",
        ),
        watch=lambda name: suite.watch(stub.WatchEvaluation, calls.WatchEvaluationRequest(name=name)),
        cancel=lambda name: suite.call(stub.CancelEvaluation, calls.CancelEvaluationRequest(name=name)),
        pause=lambda name: suite.call(stub.PauseEvaluation, calls.PauseEvaluationRequest(name=name)),
        resume=lambda name: suite.call(stub.ResumeEvaluation, calls.ResumeEvaluationRequest(name=name)),
    )


def exports(suite: Suite) -> PausableJobs[exporter_pb2.Export]:
    stub, calls = suite.exporter, exporter_calls
    return PausableJobs(
        noun="export",
        command="export",
        collection="exports",
        get=lambda name: suite.call(stub.GetExport, calls.GetExportRequest(name=name)),
        list=lambda parent: all_pages(
            lambda token: suite.call(stub.ListExports, calls.ListExportsRequest(parent=parent, page_token=token)),
            "exports",
        ),
        watch=lambda name: suite.watch(stub.WatchExport, calls.WatchExportRequest(name=name)),
        cancel=lambda name: suite.call(stub.CancelExport, calls.CancelExportRequest(name=name)),
        pause=lambda name: suite.call(stub.PauseExport, calls.PauseExportRequest(name=name)),
        resume=lambda name: suite.call(stub.ResumeExport, calls.ResumeExportRequest(name=name)),
    )
