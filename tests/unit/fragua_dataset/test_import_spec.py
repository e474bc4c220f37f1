"""The specification of an import: defaults that work, and every problem at once."""

import pytest

from fragua_dataset.domain.import_spec import ImportSpec, parse_import_spec
from fragua_platform.errors import InvalidInput


def test_an_empty_specification_is_a_good_one() -> None:
    assert parse_import_spec({}) == ImportSpec()


def test_every_problem_of_a_specification_is_named() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_import_spec({"validation_fraction": 1.5, "max_rows": 0, "shape": "haiku", "colour": "red"})
    assert {violation.field for violation in refusal.value.violations} == {
        "validation_fraction",
        "max_rows",
        "shape",
        "colour",
    }
