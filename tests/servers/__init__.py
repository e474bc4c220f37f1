"""Real NATS, PostgreSQL and S3 servers for tests: own port, own data, killable, and gone with the test session."""

from tests.servers.nats import NatsServer
from tests.servers.postgres import PostgresServer
from tests.servers.process import Server, ServerMissing
from tests.servers.s3 import S3Server

__all__ = ["NatsServer", "PostgresServer", "S3Server", "Server", "ServerMissing"]
