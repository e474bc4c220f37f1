"""Between the protos about branch policies and the service's own data."""

from __future__ import annotations

from typing import Any

from fragua.dataset.v1 import branch_policy_pb2
from fragua_dataset.domain.policy import KeptPolicy

_PERSONAL_DATA: dict[branch_policy_pb2.PersonalDataRule, Any] = {
    branch_policy_pb2.PERSONAL_DATA_RULE_ALLOW: "allow",
    branch_policy_pb2.PERSONAL_DATA_RULE_WARN: "warn",
    branch_policy_pb2.PERSONAL_DATA_RULE_REFUSE: "refuse",
}
_ALIKE = (
    "min_attempt_accuracy",
    "min_rating",
    "requires_approval",
    "sample_size",
    "profile",
    "consolidation_schedule",
)


def policy_to_message(kept: KeptPolicy) -> branch_policy_pb2.BranchPolicy:
    policy = kept.policy
    return branch_policy_pb2.BranchPolicy(
        name=kept.name,
        etag=kept.etag,
        personal_data=next(rule for rule, name in _PERSONAL_DATA.items() if name == policy.personal_data),
        trusted_keys=policy.trusted_keys,
        update_time=kept.updated,
        **{name: getattr(policy, name) for name in _ALIKE},
    )


def fields_of_policy(message: branch_policy_pb2.BranchPolicy) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(message, name) for name in _ALIKE}
    # What is not in the table is no rule, and told as such with everything else.
    fields["personal_data"] = _PERSONAL_DATA.get(message.personal_data, "")
    return fields | {"trusted_keys": dict(message.trusted_keys)}
