"""An MLflow tracking server on this machine: the few calls of its REST interface that showing runs takes."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.process import free_port


@dataclass
class MlflowServer:
    port: int = field(default_factory=free_port)
    experiments: list[str] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    broken: bool = False
    authorizations: set[str] = field(default_factory=set)

    def answer(self, call: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        match call:
            case "experiments/get-by-name":
                if (name := asked["experiment_name"]) not in self.experiments:
                    return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST"}
                return 200, {"experiment": {"experiment_id": str(self.experiments.index(name)), "name": name}}
            case "experiments/create":
                self.experiments.append(asked["name"])
                return 200, {"experiment_id": str(len(self.experiments) - 1)}
            case "runs/search":
                wanted = re.fullmatch(r"tags\.`fragua\.training_job` = '([^']+)'", asked["filter"])
                assert wanted is not None
                found = [run for run in self.runs if run["tags"]["fragua.training_job"] == wanted[1]]
                return 200, {"runs": [{"info": {"run_id": run["id"]}} for run in found]} if found else {}
            case "runs/create":
                run: dict[str, Any] = {
                    "id": f"run-{len(self.runs)}",
                    "experiment": self.experiments[int(asked["experiment_id"])],
                    "name": asked["run_name"],
                    "tags": {tag["key"]: tag["value"] for tag in asked["tags"]},
                    "params": {},
                    "series": [],
                }
                self.runs.append(run)
                return 200, {"run": {"info": {"run_id": run["id"]}}}
            case "runs/log-batch":
                run = self._run(asked)
                run["series"] += [(point["key"], point["step"], point["value"]) for point in asked.get("metrics", ())]
                for kind in ("params", "tags"):
                    run[kind] |= {pair["key"]: pair["value"] for pair in asked.get(kind, ())}
                return 200, {}
            case "runs/update":
                self._run(asked)["status"] = asked["status"]
                return 200, {}
        return 404, {}

    def _run(self, asked: dict[str, Any]) -> dict[str, Any]:
        return next(run for run in self.runs if run["id"] == asked["run_id"])


@contextmanager
def mlflow_server() -> Iterator[MlflowServer]:
    mlflow = MlflowServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, asked: dict[str, Any]) -> None:
            mlflow.authorizations.add(self.headers.get("Authorization", ""))
            call = urlsplit(self.path).path.removeprefix("/api/2.0/mlflow/")
            status, answer = (503, {}) if mlflow.broken else mlflow.answer(call, asked)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", mlflow.port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield mlflow
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
