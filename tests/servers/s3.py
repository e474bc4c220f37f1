"""An S3 server that checks signatures: ministack behind `signed_s3.py`."""

from __future__ import annotations

import itertools
import sys
from importlib.util import find_spec
from pathlib import Path

from minio import Minio
from minio.error import MinioException
from urllib3 import PoolManager, Retry
from urllib3.exceptions import HTTPError

from tests.servers.process import Server, ServerMissing


class S3Server(Server):
    name = "s3"
    region = "us-east-1"
    access_key = "fragua-tests"
    secret_key = "a-secret-that-only-tests-know"
    bucket = "fragua"
    """There from the start."""

    def __init__(self) -> None:
        if find_spec("ministack") is None:
            raise ServerMissing("no S3 server: make setup installs ministack")
        super().__init__()
        self._bucket_numbers = itertools.count(1)

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    @property
    def url(self) -> str:
        return self.url_of(self.bucket)

    def url_of(self, bucket: str) -> str:
        """Without credentials: these go by settings."""
        return f"s3://{bucket}?endpoint={self.endpoint}&region={self.region}"

    def client(self, access_key: str = access_key, secret_key: str = secret_key) -> Minio:
        return Minio(
            self.address,
            access_key,
            secret_key,
            secure=False,
            region=self.region,
            http_client=PoolManager(retries=Retry(0)),
        )

    def create_bucket(self) -> str:
        """The name of a new, empty bucket."""
        bucket = f"test-{next(self._bucket_numbers)}"
        self.client().make_bucket(bucket)
        return bucket

    def command(self) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("signed_s3.py"))]

    def environment(self) -> dict[str, str]:
        return {
            "AUTH": "true",
            "SERVICES": "s3,iam,sts",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": self.region,
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.home / "objects"),
            "STATE_DIR": str(self.home / "state"),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "S3_ACCESS_KEY": self.access_key,
            "S3_SECRET_KEY": self.secret_key,
        }

    def answers(self) -> bool:
        try:
            if not self.client().bucket_exists(self.bucket):
                self.client().make_bucket(self.bucket)
            return True
        except (HTTPError, MinioException):
            return False
