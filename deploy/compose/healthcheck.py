"""Asks this container's process whether it is well; the image's HEALTHCHECK runs it.

`serve` answers gRPC's health protocol, which is what tells ready from merely alive. `work` listens to nobody; its
metrics answer as long as the process lives.
"""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path

TIMEOUT_SECONDS = 5


def main() -> None:
    # `docker-init -- python -m fragua_trainer serve`
    command = Path("/proc/1/cmdline").read_bytes().decode().rstrip("\0").split("\0")
    package, role = command[-2:]
    if role == "serve":
        ask_grpc(certificate_name=package.removeprefix("fragua_"))
    else:
        ask_metrics()


def ask_metrics() -> None:
    url = f"http://127.0.0.1:{os.environ['FRAGUA_METRICS_PORT']}/metrics"
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS):
        pass


def ask_grpc(certificate_name: str) -> None:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    target = f"127.0.0.1:{os.environ['FRAGUA_PORT']}"
    if authority := os.environ.get("FRAGUA_TLS_CA_FILE"):
        credentials = grpc.ssl_channel_credentials(
            Path(authority).read_bytes(),
            Path(os.environ["FRAGUA_TLS_KEY_FILE"]).read_bytes(),
            Path(os.environ["FRAGUA_TLS_CERT_FILE"]).read_bytes(),
        )
        # The certificate is made out to the name by which the other services call this one.
        options = [("grpc.ssl_target_name_override", certificate_name)]
        channel = grpc.secure_channel(target, credentials, options)
    else:
        channel = grpc.insecure_channel(target)
    with channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS, wait_for_ready=True
        )
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        sys.exit(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


if __name__ == "__main__":
    main()
