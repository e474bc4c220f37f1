"""The trainer's own tables: base models, the line of adapters, metrics. Kept in step with the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from fragua.common.v1 import artifact_pb2
from fragua.trainer.v1 import trainer_events_pb2
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.errors import FailureClass, NotFound
from fragua_platform.events.cloudevents import CloudEvent, new_event
from fragua_platform.jobs.job import Job, JobState
from fragua_platform.messages import bundle_to_message
from fragua_platform.paging import Page, PageRequest
from fragua_trainer.adapters.tables import (
    adapter_counters,
    adapter_scores,
    base_models,
    model_registry,
    model_training_metrics,
    training_sessions,
)
from fragua_trainer.domain.registry import Adapter, AdapterScore, AdapterState, BaseModel, Metric
from fragua_trainer.domain.training_order import ResolvedOrder

_STATE_OF_JOB = {
    JobState.QUEUED: AdapterState.PENDING_TRAINING,
    JobState.PAUSED: AdapterState.PENDING_TRAINING,
    JobState.RUNNING: AdapterState.TRAINING,
    JobState.SUCCEEDED: AdapterState.READY,
    JobState.FAILED: AdapterState.FAILED,
    JobState.CANCELLED: AdapterState.FAILED,
}

_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class Registry:
    """Implements `ModelRegistry` and `MetricsJournal`; `follow` is the job store's `on_change`."""

    # --- adapters follow their jobs

    def follow(self, connection: Connection, job: Job) -> Sequence[CloudEvent]:
        """Bring the adapter's row in step with its job; an adapter that becomes READY tells so."""
        if job.state is JobState.QUEUED and job.attempt == 0:
            self._begin_adapter(connection, job)
        values: dict[str, Any] = {"status": _STATE_OF_JOB[job.state].value}
        if job.state is JobState.SUCCEEDED:
            values |= {name: value for name, value in job.result.items() if name in model_registry.c}
            values["ready"] = job.ended
        if job.state is JobState.FAILED and job.failure is not None:
            values["failure_class"] = job.failure.failure_class.value
        query = model_registry.update().where(model_registry.c.training_job == job.name)
        connection.execute(query.values(**values))
        self._end_session(connection, job)
        if job.state is JobState.RUNNING:
            session = {"training_job": job.name, "attempt": job.attempt, "worker": job.owner, "started": job.updated}
            connection.execute(training_sessions.insert().values(**session))
        return [self._published(connection, job)] if job.state is JobState.SUCCEEDED else []

    def _end_session(self, connection: Connection, job: Job) -> None:
        """Write down how the attempt before this change ended, and where an engine told what it ran on."""
        told = job.result.get("session", {})
        # A job that is claimed while a session is open has lost its worker without a word.
        outcome = "VANISHED" if job.state is JobState.RUNNING else job.state.value
        columns = training_sessions.c
        query = training_sessions.update().where(columns.training_job == job.name, columns.ended.is_(None))
        connection.execute(
            query.values(
                ended=job.updated,
                outcome=outcome,
                reason=job.failure.reason if job.failure else None,
                hardware=told.get("hardware"),
                repository_commit=told.get("repository_commit"),
            )
        )

    def was_killed(self, connection: Connection, training_job: str) -> bool:
        """Whether a former attempt's engine was killed, which on a CPU is how memory runs out."""
        columns = training_sessions.c
        query = training_sessions.select().where(
            columns.training_job == training_job, columns.reason == "ENGINE_KILLED"
        )
        return connection.execute(query).first() is not None

    def _begin_adapter(self, connection: Connection, job: Job) -> None:
        known = model_registry.select().where(model_registry.c.training_job == job.name)
        if connection.execute(known).first():
            return
        order = ResolvedOrder.model_validate(job.spec).order
        connection.execute(
            model_registry.insert().values(
                branch=job.branch,
                number=_next_number(connection, job.branch),
                status=AdapterState.PENDING_TRAINING.value,
                training_job=job.name,
                dataset_version=order.dataset_version,
                base_model=order.base_model,
                trainable_parameters=0,
                created=job.created,
            )
        )

    def _published(self, connection: Connection, job: Job) -> CloudEvent:
        adapter = self.adapter_of(connection, job.name)
        message = trainer_events_pb2.AdapterPublished(
            adapter=adapter.name,
            branch=job.branch,
            training_job=job.name,
            dataset_version=adapter.dataset_version,
            base_model=adapter.base_model,
            bundle=bundle_to_message(adapter.bundle) if adapter.bundle else artifact_pb2.Bundle(),
            evaluate=ResolvedOrder.model_validate(job.spec).order.evaluate_after,
        )
        return new_event(job.branch, "trainer", "adapter", "published", message, traceparent=job.traceparent)

    def adapter_of(self, connection: Connection, training_job: str) -> Adapter:
        row = connection.execute(model_registry.select().where(model_registry.c.training_job == training_job)).first()
        if row is None:
            raise NotFound(f"{training_job} has no adapter")
        return self._adapter(connection, row)

    def adapter(self, connection: Connection, branch: str, number: int) -> Adapter:
        query = model_registry.select().where(model_registry.c.branch == branch, model_registry.c.number == number)
        row = connection.execute(query).first()
        if row is None:
            raise NotFound(f"branches/{branch}/adapters/{number} does not exist")
        return self._adapter(connection, row)

    def adapters(self, connection: Connection, branch: str, page: PageRequest) -> Page[Adapter]:
        """Newest first."""
        query = model_registry.select().where(model_registry.c.branch == branch)
        if page.after:
            query = query.where(model_registry.c.number < page.number(0))
        rows = connection.execute(query.order_by(model_registry.c.number.desc()).limit(page.size + 1)).all()
        return page.cut([self._adapter(connection, row) for row in rows], lambda adapter: [str(adapter.number)])

    def _adapter(self, connection: Connection, row: sa.Row[Any]) -> Adapter:
        scores = adapter_scores.select().where(
            adapter_scores.c.branch == row.branch, adapter_scores.c.number == row.number
        )
        return Adapter(
            branch=row.branch,
            number=row.number,
            state=AdapterState(row.status),
            training_job=row.training_job,
            dataset_version=row.dataset_version,
            base_model=row.base_model,
            created=row.created,
            ready=row.ready,
            bundle=Bundle.model_validate(row.bundle) if row.bundle else None,
            trainable_parameters=row.trainable_parameters,
            final_loss=row.final_loss,
            validation_loss=row.validation_loss,
            failure_class=FailureClass(row.failure_class) if row.failure_class else None,
            scores=tuple(
                AdapterScore(
                    evaluation=score.evaluation,
                    suite=score.suite,
                    metric=score.metric,
                    base_score=score.base_score,
                    tuned_score=score.tuned_score,
                    item_count=score.item_count,
                    verdict=score.verdict,
                    reasons=tuple(score.reasons),
                    verification_status=score.verification_status,
                )
                for score in connection.execute(scores.order_by(adapter_scores.c.reported.desc()))
            ),
        )

    def add_score(self, connection: Connection, adapter: Adapter, score: AdapterScore) -> None:
        connection.execute(
            adapter_scores.insert().values(
                evaluation=score.evaluation,
                branch=adapter.branch,
                number=adapter.number,
                metric=score.metric,
                base_score=score.base_score,
                tuned_score=score.tuned_score,
                item_count=score.item_count,
                reported=datetime.now(UTC),
                suite=score.suite,
                verdict=score.verdict,
                reasons=list(score.reasons),
                verification_status=score.verification_status,
            )
        )

    def set_verification(self, connection: Connection, evaluation: str, status: str) -> None:
        query = adapter_scores.update().where(adapter_scores.c.evaluation == evaluation)
        connection.execute(query.values(verification_status=status))

    # --- base models

    def add_base_model(self, connection: Connection, model: BaseModel) -> BaseModel:
        values = {
            "name": model.name,
            "architecture": model.architecture,
            "bundle": model.bundle.model_dump(mode="json"),
            "created": model.created,
            "source": model.source,
            "warnings": list(model.warnings),
        }
        # Two imports of one model at once are one import, so the second one is no error.
        insert = _INSERTS[connection.dialect.name](base_models).values(**values)
        connection.execute(insert.on_conflict_do_nothing())
        return self.base_model(connection, model.name)

    def base_model(self, connection: Connection, name: str) -> BaseModel:
        row = connection.execute(base_models.select().where(base_models.c.name == name)).first()
        if row is None:
            raise NotFound(f"{name} does not exist")
        return _base_model(row)

    def find_base_model(self, connection: Connection, model_id: str, source: str) -> BaseModel | None:
        """The newest revision of the model that came from `source`."""
        column = base_models.c
        of_model = column.name.startswith(f"baseModels/{model_id}/revisions/", autoescape=True)
        query = base_models.select().where(of_model, column.source == source).order_by(column.created.desc())
        row = connection.execute(query).first()
        return _base_model(row) if row else None

    def base_models(self, connection: Connection, page: PageRequest) -> Page[BaseModel]:
        query = base_models.select()
        if page.after:
            query = query.where(base_models.c.name > page.after[0])
        rows = connection.execute(query.order_by(base_models.c.name).limit(page.size + 1)).all()
        return page.cut([_base_model(row) for row in rows], lambda model: [model.name])

    # --- metrics

    def add_metrics(self, connection: Connection, training_job: str, metrics: list[Metric]) -> None:
        """The last value counts when a step is measured twice, as after a resume within one attempt."""
        for metric in metrics:
            key = {
                "training_job": training_job,
                "attempt": metric.attempt,
                "step": metric.step,
                "name": metric.name,
            }
            same = sa.and_(*(model_training_metrics.c[column] == value for column, value in key.items()))
            connection.execute(model_training_metrics.delete().where(same))
            values = key | {"value": metric.value, "recorded": metric.recorded}
            connection.execute(model_training_metrics.insert().values(**values))

    def metrics(self, connection: Connection, training_job: str, page: PageRequest) -> Page[Metric]:
        """By step; a step that a later attempt repeated appears once for each."""
        table = model_training_metrics.c
        query = model_training_metrics.select().where(table.training_job == training_job)
        if page.after:
            last = (page.number(0), page.number(1), page.after[2])
            query = query.where(sa.tuple_(table.step, table.attempt, table.name) > last)
        rows = connection.execute(query.order_by(table.step, table.attempt, table.name).limit(page.size + 1)).all()
        metrics = [Metric(row.attempt, row.step, row.name, row.value, row.recorded) for row in rows]
        return page.cut(metrics, lambda metric: [str(metric.step), str(metric.attempt), metric.name])


def _next_number(connection: Connection, branch: str) -> int:
    """Count up in one statement, so that two creations at once get two numbers."""
    insert = _INSERTS[connection.dialect.name](adapter_counters).values(branch=branch, last=1)
    upsert = insert.on_conflict_do_update(
        index_elements=[adapter_counters.c.branch], set_={"last": adapter_counters.c.last + 1}
    )
    return int(connection.execute(upsert.returning(adapter_counters.c.last)).scalar_one())


def _base_model(row: sa.Row[Any]) -> BaseModel:
    return BaseModel(
        name=row.name,
        architecture=row.architecture,
        bundle=Bundle.model_validate(row.bundle),
        created=row.created,
        source=row.source,
        warnings=tuple(row.warnings),
    )
