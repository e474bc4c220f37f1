"""deploy/grafana against the metrics that the code has: every name, every label, every value of a label."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import prometheus_client
import pytest
import yaml

from fragua_platform import telemetry
from fragua_platform.jobs.job import JobState

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy/grafana"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "fragua.json").read_text("utf-8"))
ALERTS: dict[str, Any] = yaml.safe_load((GRAFANA / "alerts.yml").read_text("utf-8"))
SCRAPE: dict[str, Any] = yaml.safe_load((GRAFANA / "prometheus.yml").read_text("utf-8"))

OF_PROMETHEUS = {"up": {"job", "instance"}}
"""What Prometheus itself measures and adds."""
GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
WINDOW = re.compile(r"\[[^]]*\]")
METRIC = re.compile(r"\b([a-z_]+)(?:\{([^}]*)\})?(?![a-z_]|\s*\()")
"""What is left of a query: names with their matchers; a name before a parenthesis is a function."""
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
STATES = {state.value for state in JobState}
CODES = {code.name for code in grpc.StatusCode}


def metrics_of_ours() -> Iterator[tuple[prometheus_client.Metric, set[str]]]:
    """With the names of their labels."""
    for metric in vars(telemetry).values():
        if isinstance(metric, prometheus_client.metrics.MetricWrapperBase):
            yield next(iter(metric.describe())), set(metric._labelnames)


def known_metrics() -> dict[str, set[str]]:
    """Names as Prometheus stores them, with their labels."""
    known = dict(OF_PROMETHEUS)
    for family, own_labels in metrics_of_ours():
        labels = own_labels | OF_PROMETHEUS["up"]
        match family.type:
            case "counter":
                known[f"{family.name}_total"] = labels
            case "histogram":
                known |= {f"{family.name}_{part}": labels for part in ("count", "sum")}
                known[f"{family.name}_bucket"] = labels | {"le"}
            case _:
                known[family.name] = labels
    for family in prometheus_client.PROCESS_COLLECTOR.collect():
        known |= {sample.name: OF_PROMETHEUS["up"] for sample in family.samples}
    return known


class Query(NamedTuple):
    place: str
    text: str

    def selectors(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Each metric with the labels that it is chosen by."""
        for name, matchers in METRIC.findall(WINDOW.sub("", GROUPING.sub("", self.text))):
            yield name, dict(MATCHER.findall(matchers))

    def grouping(self) -> set[str]:
        return {label.strip() for labels in GROUPING.findall(self.text) for label in labels.split(",")}


def queries() -> list[Query]:
    panels = [
        Query(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])
    ]
    alerts = [Query(rule["alert"], rule["expr"]) for group in ALERTS["groups"] for rule in group["rules"]]
    return panels + alerts


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.place)
def test_every_query_asks_for_metrics_and_labels_that_exist(query: Query) -> None:
    known = known_metrics()
    selectors = list(query.selectors())
    assert selectors
    for metric, matchers in selectors:
        assert metric in known
        assert matchers.keys() | query.grouping() <= known[metric]


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.place)
def test_every_value_that_a_query_looks_for_can_occur(query: Query) -> None:
    handled = {"handled", "failed"}  # runtime.py
    for metric, matchers in query.selectors():
        outcomes = handled if metric.startswith("fragua_events") else STATES
        assert set(matchers.get("outcome", "").split("|")) - {""} <= outcomes
        assert set(matchers.get("code", "").split("|")) - {""} <= CODES


def test_the_dashboard_shows_every_metric_of_ours() -> None:
    shown = {metric for query in queries() for metric, _ in query.selectors()}
    ours = {family.name for family, _ in metrics_of_ours()}
    assert not {name for name in ours if not any(metric.startswith(name) for metric in shown)}


def test_operators_are_told_what_to_do_about_each_alert() -> None:
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    told = set(re.findall(r"^\| `(Fragua\w+)` \|", page, re.MULTILINE))
    assert told == {rule["alert"] for group in ALERTS["groups"] for rule in group["rules"]}


def test_panels_do_not_overlap_and_each_says_what_it_shows() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        assert panel["type"] == "row" or panel["description"], panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_prometheus_looks_at_every_process_of_the_compose_file_at_its_port() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    processes = {name for name, each in services.items() if each.get("command") in (["serve"], ["work"])}
    [job] = SCRAPE["scrape_configs"]
    [found] = job["dns_sd_configs"]
    assert job["job_name"] == "fragua"
    assert set(found["names"]) == processes
    for dockerfile in (ROOT / "services").glob("*/Dockerfile"):
        assert f"FRAGUA_METRICS_PORT={found['port']}\n" in dockerfile.read_text("utf-8")


def test_the_override_mounts_files_that_exist() -> None:
    override = yaml.safe_load((ROOT / "deploy/compose/monitoring.yml").read_text("utf-8"))
    mounted = [
        volume.partition(":")[0]
        for service in override["services"].values()
        for volume in service["volumes"]
        if volume.startswith("./")
    ]
    assert len(mounted) == 5
    assert all((ROOT / path).is_file() for path in mounted)
