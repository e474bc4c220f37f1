"""The specification of an import: defaults that work, and every problem at once."""

import pytest

from fragua_dataset.domain.version_spec import VersionSpec, parse_version_spec
from fragua_platform.errors import InvalidInput


def test_an_empty_specification_is_a_good_one() -> None:
    assert parse_version_spec({}) == VersionSpec()


def test_every_problem_of_a_specification_is_named() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_version_spec({"validation_fraction": 1.5, "max_rows": 0, "shape": "haiku", "colour": "red"})
    assert {violation.field for violation in refusal.value.violations} == {
        "validation_fraction",
        "max_rows",
        "shape",
        "colour",
    }
