"""SQL for a service: one engine, short transactions in threads, and migrations.

Statements are SQLAlchemy Core and run unchanged on SQLite (the embedded default) and PostgreSQL. On PostgreSQL each
service has a schema and a role of its own; the role's `search_path` selects the schema, so tables stay unqualified.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import URL, Connection, make_url

from fragua_platform.errors import FailedPrecondition, FraguaError, InvalidInput, LimitExceeded, Unavailable

T = TypeVar("T")

_THREADS = 8
_SQLITE_BUSY_SECONDS = 30
_MIGRATION_LOCK = 0x667261677561
"""Key of the PostgreSQL advisory lock that keeps two `migrate` runs apart: "fragua" in ASCII."""


class Timestamp(sa.types.TypeDecorator[datetime]):
    """A UTC instant. SQLite keeps no time zone, so it is converted before and put back when a row is read."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """Runs functions of a connection, each in one transaction, off the event loop."""

    def __init__(self, url: str) -> None:
        self.engine = _create_engine(url)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sql")

    @property
    def embedded(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that commits when it returns and rolls back when it raises.

        Raises `Unavailable` when the database does not answer; then nothing is known about the outcome of the
        commit, so `work` must be safe to run again.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.transact, work)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """What `run` does, for callers that have a thread of their own."""
        try:
            with self.engine.begin() as connection:
                return work(connection)
        except sa.exc.DBAPIError as error:
            if (family := _family(error)) is None:
                raise
            raise family from error
        except sa.exc.TimeoutError as error:
            raise Unavailable("the database has no free connection") from error

    async def check(self) -> None:
        await self.run(lambda connection: connection.execute(sa.text("SELECT 1")))

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        self.engine.dispose()


def _create_engine(url: str) -> sa.Engine:
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _create_sqlite_engine(parsed)
    return sa.create_engine(
        parsed,
        hide_parameters=True,  # errors get into logs, and what is written is often somebody's data
        pool_size=_THREADS,
        max_overflow=0,
        pool_timeout=30,
        pool_pre_ping=True,  # a restarted server must cost a reconnect, not a failed call
        # A server whose machine vanished is noticed within half a minute, not after TCP's quarter of an hour.
        connect_args={
            "connect_timeout": 5,
            "application_name": "fragua",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 25_000,
        },
    )


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as broken:
        raise InvalidInput("FRAGUA_DATABASE_URL is not a database URL") from broken
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise InvalidInput(
            f"FRAGUA_DATABASE_URL begins with {parsed.drivername!r}; use sqlite:///… or postgresql+psycopg://…"
        )
    return parsed


def _create_sqlite_engine(url: URL) -> sa.Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        url, hide_parameters=True, connect_args={"timeout": _SQLITE_BUSY_SECONDS, "check_same_thread": False}
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver's own transaction handling begins deferred ones; see _begin.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A deferred transaction that reads first and writes later fails at once when another writer came between,
        # whatever the busy timeout; an immediate one waits for its turn.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _family(error: sa.exc.DBAPIError) -> FraguaError | None:
    """What a driver's error means for the caller; None for a defect such as a broken statement."""
    text = str(error.orig)
    if "disk is full" in text or "No space left" in text:
        return LimitExceeded("the database has no disk space left", reason="DISK_FULL")
    # SQLite's driver reports broken statements as OperationalError, too: code 1, "SQL error or missing database".
    if isinstance(error.orig, sqlite3.Error) and error.orig.sqlite_errorcode == sqlite3.SQLITE_ERROR:
        return None
    if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) or error.connection_invalidated:
        return Unavailable("the database does not answer")
    return None


def upgrade_schema(database: Database, migrations: Path) -> None:
    """Bring the schema to the newest revision. Safe to run from several processes at once."""
    script = _scripts(migrations)

    def revisions(current: Any, _context: MigrationContext) -> Any:
        return script._upgrade_revs("head", current)

    def upgrade(connection: Connection) -> None:
        if not database.embedded:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        with EnvironmentContext(Config(), script, fn=revisions) as environment:
            environment.configure(connection=connection)
            environment.run_migrations()

    database.transact(upgrade)


def require_current_schema(database: Database, migrations: Path) -> None:
    """Refuse to serve on an older or newer schema than the code was written for."""
    wanted = _scripts(migrations).get_current_head()
    found = database.transact(lambda connection: MigrationContext.configure(connection).get_current_revision())
    if found != wanted:
        raise FailedPrecondition(f"the database schema is at {found or 'nothing'}, expected {wanted}: run `migrate`")


def _scripts(migrations: Path) -> ScriptDirectory:
    return ScriptDirectory(str(migrations), version_locations=[str(migrations)])
