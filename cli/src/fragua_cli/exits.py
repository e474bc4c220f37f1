"""Exit codes that scripts can rely on; `fragua --help` lists them."""

from __future__ import annotations

from enum import IntEnum

from fragua_platform.errors import (
    AlreadyExists,
    FailedPrecondition,
    FraguaError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Superseded,
    Unavailable,
)


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    """The job failed, the demo's model was not better, or the suite has a defect."""
    REFUSED = 2
    """The request or the data cannot work as they are; also wrong usage."""
    NOT_FOUND = 3
    UNAVAILABLE = 4
    """A service did not answer for as long as --patience says."""
    CANCELLED = 5
    """The followed job was cancelled."""
    INTERRUPTED = 130
    """Ctrl-C, by the shells' convention. The job that was followed goes on."""


HELP = (
    "Exit codes: 0 done · 1 the job failed or the suite has a defect · 2 bad request or invalid data · 3 not found · "
    "4 a service does not answer · 5 the job was cancelled · 130 Ctrl-C (the followed job goes on)."
)

_CODE_BY_FAMILY: dict[type[FraguaError], ExitCode] = {
    InvalidInput: ExitCode.REFUSED,
    FailedPrecondition: ExitCode.REFUSED,
    AlreadyExists: ExitCode.REFUSED,
    LimitExceeded: ExitCode.REFUSED,
    NotFound: ExitCode.NOT_FOUND,
    Unavailable: ExitCode.UNAVAILABLE,
    Superseded: ExitCode.UNAVAILABLE,
}


def exit_code_of(error: FraguaError) -> ExitCode:
    """By the nearest family; what is in no list is nobody's fault but ours."""
    families = (_CODE_BY_FAMILY[family] for family in type(error).__mro__ if family in _CODE_BY_FAMILY)
    return next(families, ExitCode.FAILED)
