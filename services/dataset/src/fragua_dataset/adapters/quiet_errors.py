"""Errors of statements whose parameters are nobody's business: users, answers, what people wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa


@contextmanager
def parameters_hidden() -> Iterator[None]:
    """SQLAlchemy's errors quote what was to be written, and errors get into logs."""
    try:
        yield
    except sa.exc.StatementError as error:
        error.hide_parameters = True
        raise
