from __future__ import annotations

import pytest

from fragua_cli.endpoints import find_endpoints, names_a_suite
from fragua_platform.errors import InvalidInput


def test_services_answer_on_four_neighbouring_ports() -> None:
    assert find_endpoints("forge.example:9000", {}) == {
        "dataset": "forge.example:9000",
        "trainer": "forge.example:9001",
        "evaluator": "forge.example:9002",
        "exporter": "forge.example:9003",
    }


def test_without_a_word_the_suite_is_on_this_machine() -> None:
    assert find_endpoints("", {})["dataset"] == "127.0.0.1:7440"
    assert not names_a_suite("", {})


def test_the_option_wins_over_the_environment() -> None:
    environment = {"FRAGUA_ENDPOINT": "forge:9000"}
    assert find_endpoints("", environment)["exporter"] == "forge:9003"
    assert find_endpoints("other", environment)["exporter"] == "other:7443"
    assert names_a_suite("", environment)


def test_a_service_may_have_an_address_of_its_own() -> None:
    endpoints = find_endpoints("forge:9000", {"FRAGUA_TRAINER_ENDPOINT": "gpu-1:7441"})
    assert endpoints["trainer"] == "gpu-1:7441"
    assert endpoints["evaluator"] == "forge:9002"


def test_an_address_of_ip_version_6_stands_in_brackets() -> None:
    assert find_endpoints("[::1]:9000", {})["trainer"] == "[::1]:9001"


@pytest.mark.parametrize("address", ["https://forge", "forge:", "forge:port", "forge:70000", "forge:65533", "a b"])
def test_what_is_no_address_is_refused_with_its_source(address: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        find_endpoints(address, {})
    assert refused.value.violations[0].field == "--endpoint"
