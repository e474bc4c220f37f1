"""A PostgreSQL server with password authentication over TCP, and a fresh database for whoever asks."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql

from tests.servers.process import Server, ServerMissing, fetched_servers, group_of

USER = "fragua"
PASSWORD = "fragua-tests"


class PostgresServer(Server):
    name = "postgres"
    stop_signal = signal.SIGINT  # the fast shutdown; on SIGTERM it waits for its clients to leave

    def __init__(self) -> None:
        self._programs = postgres_programs()
        self.user = unprivileged_user()
        super().__init__()
        self._database_numbers = itertools.count(1)
        self._initialise()

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}:{PASSWORD}@{self.address}/{database}"

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        database = f"test_{next(self._database_numbers)}"
        with self._connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return self.url_of(database)

    def drop_database(self, url: str) -> None:
        """Drops what `create_database` made, also from under open connections."""
        database = url.rpartition("/")[2]
        with self._connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            # A killed process loses nothing by this, only a machine that loses power would.
            "fsync": "off",
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return [str(self._programs / "postgres"), "-D", str(self.home / "data"), *options]

    def answers(self) -> bool:
        try:
            with self._connect():
                return True
        except psycopg.OperationalError:
            return False

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True, connect_timeout=5)

    def _initialise(self) -> None:
        password_file = self.home / "password"
        password_file.write_text(PASSWORD)
        done = subprocess.run(
            [
                self._programs / "initdb",
                *("--pgdata", self.home / "data", "--username", USER, "--pwfile", password_file),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync"),
            ],
            capture_output=True,
            text=True,
            cwd=self.home,
            user=self.user,
            group=None if self.user is None else group_of(self.user),
            extra_groups=None if self.user is None else [],
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr}")


def unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root, so there another user runs it."""
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@cache
def postgres_programs() -> Path:
    """The folder that holds postgres and initdb."""
    on_path = shutil.which("postgres")
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    fetched = sorted((fetched_servers() / "postgres").glob("*/pginstall*/bin"), reverse=True)
    for folder in [*([Path(on_path).parent] if on_path else []), *packaged, *fetched]:
        if os.access(folder / "postgres", os.X_OK) and os.access(folder / "initdb", os.X_OK):
            return folder
    raise ServerMissing("no PostgreSQL: run scripts/fetch_servers.sh, or install the package postgresql")


def _version(folder: Path) -> int:
    number = re.search(r"\d+", folder.parent.name)
    return int(number[0]) if number else 0
