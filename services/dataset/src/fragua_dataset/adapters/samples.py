"""What versions hold of each exercise type, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fragua_dataset.adapters.tables import version_samples
from fragua_dataset.domain.samples import TypeSamples, VersionSamples

_KEY_DIGITS = 16


def write_samples(connection: Connection, version: str, samples: VersionSamples) -> None:
    connection.execute(version_samples.delete().where(version_samples.c.version == version))
    rows = [
        {"version": version, "exercise_type": name, "samples": found.samples, "keys": _packed(found.keys)}
        for name, found in samples.exercise_types.items()
    ]
    if rows:
        connection.execute(version_samples.insert(), rows)


def samples_of(connection: Connection, versions: Sequence[str]) -> Mapping[str, Mapping[str, TypeSamples]]:
    """By version and exercise type."""
    found: dict[str, dict[str, TypeSamples]] = {}
    for row in connection.execute(sa.select(version_samples).where(version_samples.c.version.in_(versions))):
        samples = TypeSamples(samples=row.samples, keys=_unpacked(row.keys))
        found.setdefault(row.version, {})[row.exercise_type] = samples
    return found


def _packed(keys: Sequence[str] | None) -> bytes | None:
    return None if keys is None else bytes.fromhex("".join(keys))


def _unpacked(keys: bytes | None) -> tuple[str, ...] | None:
    if keys is None:
        return None
    digits = keys.hex()
    return tuple(digits[start : start + _KEY_DIGITS] for start in range(0, len(digits), _KEY_DIGITS))
