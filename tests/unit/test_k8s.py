"""deploy/k8s as Kubernetes would see it, against the code, the images and the compose file that it must not drift from."""

from __future__ import annotations

import base64
import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes_validate
import pytest
import yaml

from fragua_platform.events.bus import JOBS_STREAM
from fragua_platform.settings import PlatformSettings
from tests.servers.process import fetched_servers

ROOT = Path(__file__).parents[2]
SERVICES = ("dataset", "trainer", "evaluator", "exporter")
OVERLAYS = ("dev", "production")
KUBERNETES = ("1.30", "1.37")
"""The oldest version that README.md promises, and the newest that there are schemas of."""
NOT_OF_KUBERNETES = {"ScaledObject"}

Manifest = dict[str, Any]


def renderer() -> list[str] | None:
    if kubectl := shutil.which("kubectl") or shutil.which("kubectl", path=str(fetched_servers() / "kubectl/usr/bin")):
        return [kubectl, "kustomize"]
    if kustomize := shutil.which("kustomize"):
        return [kustomize, "build"]
    return None


def build(folder: str) -> list[Manifest]:
    """What `kubectl apply -k` would send."""
    command = renderer()
    if command is None:
        missing = "no kubectl 1.27 or newer: run scripts/fetch_servers.sh, or put kubectl or kustomize on PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    built = subprocess.run([*command, str(ROOT / folder)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return list(yaml.safe_load_all(built.stdout))


@cache
def overlay(name: str) -> list[Manifest]:
    return build(f"deploy/k8s/overlays/{name}")


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return overlay(request.param)


@pytest.fixture
def dev() -> list[Manifest]:
    return overlay("dev")


@pytest.fixture
def production() -> list[Manifest]:
    return overlay("production")


class Workload(NamedTuple):
    """One container of a pod of ours or of a server."""

    name: str
    pod: Manifest
    container: Manifest

    @property
    def service(self) -> str:
        return self.name.partition("-")[0]

    @property
    def command(self) -> str:
        return self.name.partition("-")[2]


def workloads(manifests: list[Manifest]) -> Iterator[Workload]:
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "StatefulSet", "Job"):
            pod = manifest["spec"]["template"]["spec"]
            [container] = pod["containers"]
            yield Workload(manifest["metadata"]["name"], pod, container)


def ours(manifests: list[Manifest]) -> list[Workload]:
    return [each for each in workloads(manifests) if each.container["name"] == "fragua"]


def named(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def variables(workload: Workload, manifests: list[Manifest]) -> dict[str, str]:
    """The environment of a container, as far as the manifests give it; what `env` says wins."""
    configuration = named(manifests, "ConfigMap")
    found: dict[str, str] = {}
    for source in workload.container.get("envFrom", []):
        found |= configuration[source["configMapRef"]["name"]].get("data", {})
    for variable in workload.container.get("env", []):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        elif "resourceFieldRef" in variable["valueFrom"]:
            assert variable["valueFrom"]["resourceFieldRef"] == {"resource": "limits.cpu"}
            found[variable["name"]] = workload.container["resources"]["limits"]["cpu"]
    return found


def settings_of(service: str) -> type[PlatformSettings]:
    module = importlib.import_module(f"fragua_{service}.settings")
    found: type[PlatformSettings] = getattr(module, f"{service.capitalize()}Settings")
    return found


def compose() -> dict[str, Any]:
    """The compose file with the defaults of its variables."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    while (filled := re.sub(r"\$\{\w+(?::-|:\?)([^${}]*)\}", r"\1", text)) != text:
        text = filled
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


def dockerfile_variables(service: str) -> dict[str, str]:
    text = (ROOT / f"services/{service}/Dockerfile").read_text("utf-8")
    return dict(re.findall(r"\b(FRAGUA_\w+)=(\S+)", text))


# --- what Kubernetes asks


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_manifest_follows_the_schema_of_its_kind(manifests: list[Manifest], version: str) -> None:
    for manifest in manifests:
        if manifest["kind"] not in NOT_OF_KUBERNETES:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("component", ["gpu", "keda", "tls"])
def test_the_production_example_uses_every_component(component: str) -> None:
    example = yaml.safe_load((ROOT / "deploy/k8s/overlays/production/kustomization.yaml").read_text("utf-8"))
    assert f"../../components/{component}" in example["components"]


def test_every_pod_runs_without_root_without_rights_and_on_a_read_only_file_system(manifests: list[Manifest]) -> None:
    for name, pod, container in workloads(manifests):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys(), name
    accounts = named(manifests, "ServiceAccount").values()
    assert len(accounts) == len(SERVICES)
    assert all(account["automountServiceAccountToken"] is False for account in accounts)


def test_every_selector_finds_its_pods_and_no_other(manifests: list[Manifest]) -> None:
    pods = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"].items()
        for each in manifests
        if each["kind"] == "Deployment"
    }
    selectors = {name: each["spec"]["selector"].items() for name, each in named(manifests, "Service").items()}
    budgets = {
        name: each["spec"]["selector"]["matchLabels"].items()
        for name, each in named(manifests, "PodDisruptionBudget").items()
    }
    for service in SERVICES:
        api = f"{service}-serve"
        assert [name for name, labels in pods.items() if selectors[service] <= labels] == [api]
        assert [name for name, labels in pods.items() if budgets[api] <= labels] == [api]


# --- what the code asks


def test_each_service_has_its_api_its_workers_and_its_migration(manifests: list[Manifest]) -> None:
    found = ours(manifests)
    assert {each.name for each in found} == {f"{s}-{c}" for s in SERVICES for c in ("serve", "work", "migrate")}
    assert all(each.container["args"] == [each.command] for each in found)


def test_every_variable_is_a_setting_of_its_service(manifests: list[Manifest]) -> None:
    of_engines = {"FRAGUA_ENGINE_THREADS"}
    optional = {"FRAGUA_ARTIFACTS_URL_FILE", "FRAGUA_MLFLOW_TRACKING_URI_FILE"}
    for workload in ours(manifests):
        fields = settings_of(workload.service).model_fields
        known = {f"FRAGUA_{name.upper()}" for name in fields} | of_engines
        secret = {f"FRAGUA_{name.upper()}_FILE" for name, field in fields.items() if is_secret(field)}
        given = {name for name in variables(workload, manifests) if name.startswith("FRAGUA_")}
        assert given <= known | secret, workload.name
        assert given >= secret - optional, workload.name


def is_secret(field: Any) -> bool:
    return not field.repr or "SecretStr" in str(field.annotation)


def test_the_services_accept_what_the_dev_overlay_gives_them(
    dev: list[Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for workload in ours(dev):
        settings = settings_as_mounted(workload, dev, tmp_path / workload.name, monkeypatch)
        assert settings.environment == "dev"
        assert settings.database_url == (
            f"postgresql+psycopg://{workload.service}:change-me-{workload.service}@postgres/fragua"
        )
        assert settings.events_url == "nats://fragua:change-me-nats@nats:4222"
        assert settings.artifacts_secret_key.get_secret_value() == "change-me-s3-store"


def settings_as_mounted(
    workload: Workload, manifests: list[Manifest], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> PlatformSettings:
    """The settings that the process would see, with its volume of secrets laid out in `folder`."""
    secrets = named(manifests, "Secret")
    [mount] = [each for each in workload.container["volumeMounts"] if each["name"] == "secrets"]
    [volume] = [each for each in workload.pod["volumes"] if each["name"] == "secrets"]
    folder.mkdir()
    for source in volume["projected"]["sources"]:
        data = secrets[source["secret"]["name"]]["data"]
        for item in source["secret"]["items"]:
            (folder / item["path"]).write_bytes(base64.b64decode(data[item["key"]]))
    with monkeypatch.context() as process:
        for name, value in variables(workload, manifests).items():
            process.setenv(name, value.replace(mount["mountPath"], str(folder)))
        return settings_of(workload.service).load()


def test_clients_find_each_service_at_its_usual_port(manifests: list[Manifest]) -> None:
    services = named(manifests, "Service")
    apis = {each.service: each for each in ours(manifests) if each.command == "serve"}
    for service in SERVICES:
        [port] = services[service]["spec"]["ports"]
        assert port["port"] == settings_of(service).model_fields["port"].default
        listens = {each["name"]: each["containerPort"] for each in apis[service].container["ports"]}
        assert str(listens[port["targetPort"]]) == variables(apis[service], manifests)["FRAGUA_PORT"]


def test_services_find_each_other(manifests: list[Manifest]) -> None:
    ports = {
        name: each["spec"]["ports"][0]["port"] for name, each in named(manifests, "Service").items() if name in SERVICES
    }
    for workload in ours(manifests):
        given = variables(workload, manifests)
        settings = settings_of(workload.service).model_fields
        for name in [f"{service}_endpoint" for service in SERVICES if f"{service}_endpoint" in settings]:
            service = name.removesuffix("_endpoint")
            assert given[f"FRAGUA_{name.upper()}"] == f"{service}:{ports[service]}", workload.name


def test_probes_ask_where_the_process_listens(dev: list[Manifest], production: list[Manifest]) -> None:
    for workload in ours(dev):
        listens = {each["name"]: each["containerPort"] for each in workload.container.get("ports", [])}
        match workload.command:
            case "serve":
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    assert workload.container[probe]["grpc"] == {"port": listens["grpc"]}
            case "work":
                assert workload.container["livenessProbe"]["httpGet"] == {"path": "/metrics", "port": "metrics"}
        if "metrics" in listens:
            assert str(listens["metrics"]) == dockerfile_variables(workload.service)["FRAGUA_METRICS_PORT"]
    # With TLS Kubernetes cannot ask over gRPC.
    for workload in ours(production):
        if workload.command == "serve":
            check = {"command": ["python", "/opt/fragua/healthcheck.py"]}
            assert all(workload.container[f"{when}Probe"]["exec"] == check for when in ("startup", "readiness"))
            assert "grpc" not in str({key: value for key, value in workload.container.items() if "Probe" in key})


def test_a_pod_may_take_longer_to_stop_than_its_process(manifests: list[Manifest]) -> None:
    for workload in ours(manifests):
        if workload.command == "migrate":
            continue
        drain = float(variables(workload, manifests)["FRAGUA_DRAIN_SECONDS"])
        before = workload.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert workload.pod["terminationGracePeriodSeconds"] >= before + drain + 5, workload.name


def test_processes_write_where_a_volume_is(manifests: list[Manifest]) -> None:
    for workload in ours(manifests):
        mounts = {mount["mountPath"] for mount in workload.container["volumeMounts"]}
        assert mounts >= {"/tmp"}
        if workload.command != "migrate":
            assert dockerfile_variables(workload.service)["FRAGUA_DATA_DIR"] in mounts


def test_certificates_are_mounted_where_the_settings_look(production: list[Manifest]) -> None:
    for workload in ours(production):
        if workload.command == "migrate":
            continue
        [mount] = [each for each in workload.container["volumeMounts"] if each["name"] == "tls"]
        [volume] = [each for each in workload.pod["volumes"] if each["name"] == "tls"]
        assert volume["secret"]["secretName"] == f"{workload.service}-tls"
        files = {name: value for name, value in variables(workload, production).items() if "_TLS_" in name}
        assert files.keys() == {f"FRAGUA_TLS_{each}_FILE" for each in ("CERT", "KEY", "CA", "CLIENT_CA")}
        assert all(value.startswith(f"{mount['mountPath']}/") for value in files.values())


# --- what the compose file says


def test_images_are_those_of_the_compose_file(dev: list[Manifest]) -> None:
    built = {each.name: each.container["image"] for each in workloads(dev)}
    for service in SERVICES:
        for command in ("serve", "work", "migrate"):
            assert built[f"{service}-{command}"] == compose()[service]["image"]
    for server in ("postgres", "postgres-roles", "nats", "minio"):
        assert built[server] == compose()[server]["image"]


def test_limits_are_those_of_the_compose_file(dev: list[Manifest]) -> None:
    for workload in ours(dev):
        name = workload.service if workload.command == "serve" else workload.name
        expected = compose()[name]["deploy"]["resources"]["limits"]
        limits = workload.container["resources"]["limits"]
        assert (limits["cpu"], limits["memory"]) == (expected["cpus"], f"{expected['memory']}i"), workload.name


def test_pods_run_as_the_user_of_their_image(manifests: list[Manifest]) -> None:
    for workload in ours(manifests):
        dockerfile = (ROOT / f"services/{workload.service}/Dockerfile").read_text("utf-8")
        context = workload.pod["securityContext"]
        assert f"\nUSER {context['runAsUser']}:{context['runAsGroup']}\n" in dockerfile


# --- secrets, network, scale


def test_no_secret_is_committed_but_those_of_the_dev_overlay(production: list[Manifest]) -> None:
    assert not named(production, "Secret")
    assert not any("change-me" in str(manifest) for manifest in production)
    settings = next(each for name, each in named(production, "ConfigMap").items() if name.startswith("fragua-settings"))
    assert settings["data"]["FRAGUA_ENVIRONMENT"] == "production"


def test_a_pod_sees_the_database_url_of_its_own_service_alone(manifests: list[Manifest]) -> None:
    for workload in ours(manifests):
        [volume] = [each for each in workload.pod["volumes"] if each["name"] == "secrets"]
        seen = {source["secret"]["name"] for source in volume["projected"]["sources"]}
        assert len(seen) == 2
        assert all(name.startswith((f"{workload.service}-database", "fragua-servers")) for name in seen)


def test_the_way_to_each_server_is_open(dev: list[Manifest]) -> None:
    rules = [rule for each in named(dev, "NetworkPolicy").values() for rule in each["spec"].get("egress", [])]
    open_ports = {port["port"] for rule in rules for port in rule["ports"]}
    services = named(dev, "Service")
    for server, port in (("postgres", "postgres"), ("nats", "client"), ("minio", "s3")):
        [number] = [each["port"] for each in services[server]["spec"]["ports"] if each["name"] == port]
        assert number in open_ports
    assert "grpc" in open_ports and 53 in open_ports


def test_nobody_speaks_to_a_pod_unless_a_policy_says_so(manifests: list[Manifest]) -> None:
    policy = named(manifests, "NetworkPolicy")["nobody"]["spec"]
    assert policy.keys() == {"podSelector", "policyTypes"} and policy["policyTypes"] == ["Ingress", "Egress"]
    chosen = policy["podSelector"]["matchLabels"].items()
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "Job") and manifest["metadata"]["name"] != "postgres-roles":
            assert chosen <= manifest["spec"]["template"]["metadata"]["labels"].items()


def test_training_workers_get_a_gpu_and_nobody_else(production: list[Manifest]) -> None:
    with_gpu = [each for each in workloads(production) if "nvidia.com/gpu" in each.container["resources"]["limits"]]
    assert [each.name for each in with_gpu] == ["trainer-work"]
    assert with_gpu[0].pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert with_gpu[0].pod["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_workers_are_scaled_by_the_queue_that_they_read(production: list[Manifest]) -> None:
    deployments = named(production, "Deployment")
    scaled = named(production, "ScaledObject")
    assert scaled.keys() == {"trainer-work", "evaluator-work"}
    for name, manifest in scaled.items():
        assert manifest["spec"]["scaleTargetRef"]["name"] in deployments
        # Otherwise each `kubectl apply` would undo what KEDA did.
        assert "replicas" not in deployments[name]["spec"]
        [trigger] = manifest["spec"]["triggers"]
        asked = trigger["metadata"]
        service = settings_of(name.partition("-")[0]).service_name
        assert (asked["stream"], asked["consumer"], asked["lagThreshold"]) == (JOBS_STREAM, service, "1")
