"""Who may read user ids and right answers on PostgreSQL, with roles as deploy/postgres/create-roles.sh makes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from fragua_platform.database import Database
from tests.integration.feedback_site import BRANCH, Clock, FeedbackSite, attempt

PASSWORD = "fragua-tests"


@dataclass(frozen=True)
class Roles:
    """Of one test; roles belong to the whole server, so their names hold the database's."""

    admin_url: str
    dataset: str
    trainer: str
    reports: str

    def url(self, role: str) -> str:
        return make_url(self.admin_url).set(username=role, password=PASSWORD).render_as_string(hide_password=False)

    def query(self, role: str, text: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(role).replace("+psycopg", ""), autocommit=True) as connection:
            return connection.execute(text.encode()).fetchall()

    def grant(self, statement: str) -> None:
        with psycopg.connect(self.admin_url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(
                sql.SQL(statement).format(schema=sql.Identifier(self.dataset), role=sql.Identifier(self.reports))
            )


@pytest.fixture
def roles(postgres_url: str) -> Iterator[Roles]:
    database = postgres_url.rpartition("/")[2]
    roles = Roles(postgres_url, *(f"{role}_{database}" for role in ("dataset", "trainer", "reports")))
    names = (roles.dataset, roles.trainer, roles.reports)
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        for role in names:
            for statement in (
                "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {password}",
                "CREATE SCHEMA {role} AUTHORIZATION {role}",
                "ALTER ROLE {role} IN DATABASE {database} SET search_path = {role}",
            ):
                filled = sql.SQL(statement).format(
                    role=sql.Identifier(role), password=sql.Literal(PASSWORD), database=sql.Identifier(database)
                )
                connection.execute(filled)
        yield roles
        for role in names:
            connection.execute(sql.SQL("DROP OWNED BY {0} CASCADE").format(sql.Identifier(role)))
            connection.execute(sql.SQL("DROP ROLE {0}").format(sql.Identifier(role)))


# R31
async def test_only_the_services_own_role_sees_users_and_right_answers(roles: Roles, tmp_path: Path) -> None:
    database = Database(roles.url(roles.dataset))
    site = FeedbackSite(database, tmp_path, Clock())
    await site.begin()
    await site.feedback.take_in(BRANCH, [attempt(1), attempt(2)])
    [made] = await site.consolidations.on_request(BRANCH, "", "r1")
    await database.close()
    assert made.order.source is not None, "the service itself reads its samples"

    table = f"{roles.dataset}.user_branch_progress"
    assert roles.query(roles.dataset, f"SELECT count(*) FROM {table}") == [(2,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        roles.query(roles.trainer, f"SELECT user_id FROM {table}")

    # Somebody opens the whole schema to a role that writes reports.
    roles.grant("GRANT USAGE ON SCHEMA {schema} TO {role}")
    roles.grant("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
    assert roles.query(roles.reports, f"SELECT count(*) FROM {roles.dataset}.samples") == [(2,)]
    assert roles.query(roles.reports, f"SELECT user_id, dataset_snapshot FROM {table}") == []


async def test_no_other_table_holds_a_user_or_an_answer_of_an_attempt(roles: Roles, tmp_path: Path) -> None:
    database = Database(roles.url(roles.dataset))
    site = FeedbackSite(database, tmp_path, Clock())
    await site.begin()
    await site.feedback.take_in(BRANCH, [attempt(1, answer="El ornitorrinco.")])
    await site.consolidations.on_request(BRANCH, "", "r1")
    await database.close()
    tables = roles.query(
        roles.dataset, "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema"
    )
    assert len(tables) > 10
    for secret in ("ornitorrinco", "usuaria"):
        holding = {
            str(name)
            for (name,) in tables
            if roles.query(roles.dataset, f"SELECT 1 FROM {name} AS row WHERE row::text LIKE '%{secret}%'")
        }
        assert holding == {"user_branch_progress"}
