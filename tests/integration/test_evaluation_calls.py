"""Ordering, voting and deciding, over gRPC on the evaluator as its bootstrap wires it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fragua.common.v1 import artifact_pb2
from fragua.evaluator.v1 import arm_pb2, decision_pb2, evaluator_pb2, result_pb2, suite_pb2
from fragua.evaluator.v1 import evaluator_service_pb2 as calls
from fragua.trainer.v1 import trainer_pb2
from fragua_cli.keys import sign_override
from fragua_evaluator.bootstrap import DEFINITION
from fragua_evaluator.domain.gate import judge
from fragua_evaluator.domain.gate_catalog import packaged_policies
from fragua_platform.errors import Corrupted, FailedPrecondition, InvalidData, InvalidInput
from tests.evaluation_samples import make_evaluation
from tests.integration.evaluation_site import ADAPTER, BASE, BRANCH, EXPORT, GGUF, EvaluationSite, evaluation_site

KEY = Ed25519PrivateKey.generate()
PUBLIC = b64encode(KEY.public_key().public_bytes_raw()).decode()
GO, NO_GO = result_pb2.VERDICT_OUTCOME_GO, result_pb2.VERDICT_OUTCOME_NO_GO


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[EvaluationSite]:
    settings = {"evaluation_endpoints": "http://127.0.0.1:11434", "override_keys": f"Íñigo={PUBLIC}"}
    async with evaluation_site(tmp_path, **settings) as site:
        yield site


ARMS = ("baseline", "fine-tuned")
ASKED = [record.id for record in make_evaluation(arms=ARMS)[1]]


async def finished(site: EvaluationSite, **fields: Any) -> evaluator_pb2.Evaluation:
    """With the report of a real comparison of two arms, judged by the packaged policy."""
    report, _ = make_evaluation(arms=ARMS)
    report = report.model_copy(update={"verdict": judge(packaged_policies()["adopt"], report)})
    ordered = await site.order(adapter=ADAPTER, **fields)
    return await site.finish(ordered, {"report.json": report.model_dump_json().encode(), "report.html": b"<html>"})


async def decide(site: EvaluationSite, name: str, **fields: Any) -> evaluator_pb2.Evaluation:
    request = calls.DecideGoNoGoRequest(name=name, **fields)
    decided: evaluator_pb2.Evaluation = await site.stub.DecideGoNoGo(request)
    return decided


async def refusal(site: EvaluationSite, **fields: Any) -> dict[str, str]:
    """The problems of an order that is refused, by field."""
    with pytest.raises(InvalidInput) as refused:
        await site.order(**fields)
    return {violation.field: violation.description for violation in refused.value.violations}


async def test_an_adapter_alone_is_compared_with_its_base_on_its_own_dataset(site: EvaluationSite) -> None:
    spec = await site.prepare(await site.order(adapter=ADAPTER))
    assert [arm["name"] for arm in spec["arms"]] == ["base", "tuned"]
    assert [suite["name"] for suite in spec["suites"]] == ["validation"]
    assert spec["policy"]["name"] == "adopt"
    assert spec["repeats"] == 3
    assert spec["models"] == {"base": BASE, "tuned": ADAPTER}


async def test_every_kind_of_arm_becomes_a_target_with_its_inputs_fetched(site: EvaluationSite) -> None:
    answers = b'{"id": "r1", "output": "S\xc3\xad."}\n'
    outputs = await upload(site, answers)
    arms = [
        arm_pb2.Arm(name="base", base_model=BASE),
        arm_pb2.Arm(name="prompt", base_model=BASE, prompting=arm_pb2.Prompting(system="Sé breve.")),
        arm_pb2.Arm(name="merged", adapter=arm_pb2.AdapterModel(adapter=ADAPTER, merged=True)),
        arm_pb2.Arm(name="gguf", exported=arm_pb2.ExportedModel(export=EXPORT, file=GGUF)),
        arm_pb2.Arm(name="ollama", ollama=arm_pb2.EndpointModel(url="http://127.0.0.1:11434", model="ba:v1")),
        arm_pb2.Arm(name="ready", outputs=outputs),
    ]
    ordered = await site.order(adapter=ADAPTER, arms=arms)
    spec = await site.prepare(ordered)
    targets = {arm["name"]: arm["target"] for arm in spec["arms"]}
    inputs = site.job_of(ordered).inputs
    assert (inputs / targets["base"]["base"] / "config.json").is_file()
    assert (inputs / targets["merged"]["adapter"] / "adapter_model.safetensors").is_file()
    assert (inputs / targets["gguf"]["file"]).read_bytes() == b"GGUF"
    assert not (inputs / targets["gguf"]["file"]).with_name("Modelfile").exists(), "only what is needed is fetched"
    assert (inputs / targets["ready"]["file"]).read_bytes() == answers
    assert not list(inputs.rglob("train.jsonl")), "training rows are not needed"
    families = {arm["name"]: arm["family"] for arm in spec["arms"]}
    assert families["base"] == families["merged"] == families["gguf"] != ""
    assert families["ollama"] == families["ready"] == ""
    assert [arm.name for arm in ordered.arms] == [arm.name for arm in arms]
    assert ordered.arms[1].prompting.system == "Sé breve."


async def test_all_problems_of_an_order_are_told_at_once(site: EvaluationSite) -> None:
    problems = await refusal(
        site,
        arms=[
            arm_pb2.Arm(name="a", base_model="baseModels/tiny/revisions/bb"),
            arm_pb2.Arm(name="b", endpoint=arm_pb2.EndpointModel(url="https://evil.example/v1", model="m")),
            arm_pb2.Arm(name="c", exported=arm_pb2.ExportedModel(export=EXPORT, file="other.gguf")),
        ],
        suites=[
            suite_pb2.Suite(name="vibes"),
            suite_pb2.Suite(name="validation", metrics=[suite_pb2.Metric(name="exact_mach")]),
            suite_pb2.Suite(yaml="name: mine\nmetrics: [{name: regex}]\nrows: required\n"),
        ],
        policy=evaluator_pb2.GatePolicyChoice(name="lax"),
    )
    assert "does not exist" in problems["evaluation.arms[0]"]
    assert "FRAGUA_EVALUATION_ENDPOINTS" in problems["evaluation.arms[1]"]
    assert GGUF in problems["evaluation.arms[2]"]
    assert "there are" in problems["evaluation.suites[0]"]
    assert "exact_match" in problems["evaluation.suites[1].metrics[0].name"]
    assert "the regular expression" in problems["evaluation.suites[2].yaml.metrics.0.options.pattern"]
    assert "adopt" in problems["evaluation.policy"]


async def test_an_adapter_that_is_not_ready_is_refused_once(site: EvaluationSite) -> None:
    site.trainer.adapter.state = trainer_pb2.ADAPTER_STATE_TRAINING
    assert list(await refusal(site, adapter=ADAPTER)) == ["evaluation.adapter"]


async def test_a_function_that_the_operator_does_not_allow_cannot_score(site: EvaluationSite) -> None:
    suite = suite_pb2.Suite(name="validation", metrics=[suite_pb2.Metric(name="os:system")])
    problems = await refusal(site, adapter=ADAPTER, suites=[suite])
    assert "FRAGUA_ENGINE_ALLOWED_METRICS" in problems["evaluation.suites[0].metrics[0].name"]


async def test_an_answer_to_a_known_request_needs_no_other_service(site: EvaluationSite) -> None:
    first = await site.order(adapter=ADAPTER)
    assert (await site.get(first.name)).name == first.name
    assert (await site.order(adapter=ADAPTER, validate_only=True)).name != first.name


# R30
async def test_only_a_decision_makes_an_evaluation_verified(site: EvaluationSite) -> None:
    evaluation = await finished(site)
    assert evaluation.result.verdict.outcome == GO
    assert evaluation.verification_status == decision_pb2.VERIFICATION_STATUS_PENDING
    decided = await decide(site, evaluation.name, decided_by="Begoña")
    assert decided.verification_status == decision_pb2.VERIFICATION_STATUS_VERIFIED
    [decision] = decided.decisions
    assert (decision.outcome, decision.overridden, decision.decided_by) == (GO, False, "Begoña")
    assert decision.verdict.reasons
    assert await rows(site, "SELECT verification_status FROM evaluations") == [("verified",)]
    assert len((await decide(site, evaluation.name, decided_by="Begoña")).decisions) == 1, "the same again is no other"


async def test_an_override_needs_a_right_a_reason_and_stays_visible(site: EvaluationSite) -> None:
    name = (await finished(site)).name
    by = {"decided_by": "Íñigo", "reason": "El cliente aún no está listo."}
    wanted = {"override_outcome": NO_GO, **by}
    with pytest.raises(InvalidInput, match="override_signature") as refused:
        await decide(site, name, **wanted, override_signature=b"x" * 64)
    assert refused.value.reason == "OVERRIDE_REFUSED"
    with pytest.raises(InvalidInput, match="FRAGUA_OVERRIDE_KEYS"):
        await decide(site, name, **(wanted | {"decided_by": "Nadie"}))
    with pytest.raises(InvalidInput, match="needs a reason"):
        await decide(site, name, **(wanted | {"reason": ""}), override_signature=b"")
    signature = sign_override(KEY, name, "NO_GO", by["decided_by"], by["reason"])
    decided = await decide(site, name, **wanted, override_signature=signature)
    assert decided.verification_status == decision_pb2.VERIFICATION_STATUS_REJECTED
    again = await decide(site, name, decided_by="Begoña")
    assert [(each.outcome, each.overridden) for each in again.decisions] == [(NO_GO, True), (GO, False)]
    assert again.verification_status == decision_pb2.VERIFICATION_STATUS_VERIFIED


async def test_a_signature_for_one_evaluation_overrides_no_other(site: EvaluationSite) -> None:
    first, second = (await finished(site)).name, (await finished(site, seed=1)).name
    signature = sign_override(KEY, first, "NO_GO", "Íñigo", "Porque sí.")
    with pytest.raises(InvalidInput, match="override_signature"):
        await decide(
            site,
            second,
            decided_by="Íñigo",
            reason="Porque sí.",
            override_outcome=NO_GO,
            override_signature=signature,
        )


async def test_an_unfinished_evaluation_cannot_be_decided_or_voted_on(site: EvaluationSite) -> None:
    name = (await site.order(adapter=ADAPTER)).name
    with pytest.raises(FailedPrecondition, match="QUEUED"):
        await decide(site, name, decided_by="Begoña")
    with pytest.raises(FailedPrecondition, match="QUEUED"):
        await vote(site, name, "Begoña", [cast("a")])


async def test_a_decision_is_told_without_names_or_reasons(site: EvaluationSite) -> None:
    name = (await finished(site)).name
    await decide(site, name, decided_by="Begoña", reason="Secreto.")
    [body] = [
        payload for (payload,) in await rows(site, "SELECT payload FROM outbox") if "evaluation.decided" in payload
    ]
    assert name in body
    assert "Begoña" not in body
    assert "Secreto" not in body


def cast(item: str, preference: Any = decision_pb2.PREFERENCE_RIGHT, **changes: Any) -> decision_pb2.Vote:
    fields: dict[str, Any] = {
        "suite": "validation",
        "item": item,
        "left": "baseline",
        "right": "fine-tuned",
        "blind": True,
    }
    return decision_pb2.Vote(**(fields | {"preference": preference} | changes))


async def vote(site: EvaluationSite, name: str, voter: str, votes: list[decision_pb2.Vote]) -> int:
    answer = await site.stub.SubmitVote(calls.SubmitVoteRequest(name=name, voter=voter, votes=votes))
    return int(answer.vote_count)


async def test_votes_are_counted_once_a_person_and_judged_with_the_decision(site: EvaluationSite) -> None:
    evaluation = await finished(site)
    suite = evaluation.result.arms[0].suites[0].suite
    votes = [cast(item, suite=suite) for item in ASKED[:12]]
    assert await vote(site, evaluation.name, "Begoña", votes) == 12
    assert await vote(site, evaluation.name, "Begoña", votes) == 12, "sent twice, counted once"
    swapped = [cast(ASKED[0], decision_pb2.PREFERENCE_RIGHT, suite=suite, left="fine-tuned", right="baseline")]
    assert await vote(site, evaluation.name, "Begoña", swapped) == 12, "the same two arms, the other way round"
    assert await vote(site, evaluation.name, "Íñigo", votes[:3]) == 15
    decided = await decide(site, evaluation.name, decided_by="Begoña")
    [reason] = [reason for reason in decided.decisions[0].verdict.reasons if reason.criterion == "votes"]
    assert reason.state == "met"
    assert reason.measured == pytest.approx(14 / 15)


async def test_votes_that_do_not_fit_are_all_named_and_none_is_kept(site: EvaluationSite) -> None:
    evaluation = await finished(site)
    suite = evaluation.result.arms[0].suites[0].suite
    unfit = [
        cast(ASKED[1], suite=suite),
        cast("2", suite="otra"),
        cast(ASKED[3], suite=suite, right="nadie"),
        cast("nobody-asked-this", suite=suite),
    ]
    with pytest.raises(InvalidInput) as refused:
        await vote(site, evaluation.name, "Begoña", unfit)
    assert [violation.field for violation in refused.value.violations] == [
        "votes[1].suite",
        "votes[2]",
        "votes[3].item",
    ]
    with pytest.raises(InvalidInput, match="same arm"):
        await vote(site, evaluation.name, "Begoña", [cast(ASKED[1], suite=suite, right="baseline")])
    assert await rows(site, "SELECT COUNT(*) FROM evaluation_votes") == [(0,)]


async def test_votes_on_another_report_are_refused(site: EvaluationSite) -> None:
    evaluation = await finished(site)
    suite = evaluation.result.arms[0].suites[0].suite
    request = calls.SubmitVoteRequest(
        name=evaluation.name, voter="Begoña", votes=[cast(ASKED[1], suite=suite)], report_digest="0" * 64
    )
    with pytest.raises(FailedPrecondition, match="another report"):
        await site.stub.SubmitVote(request)


async def upload(site: EvaluationSite, content: bytes, sha256: str = "") -> artifact_pb2.Artifact:
    header = calls.UploadOutputsHeader(parent=BRANCH, sha256=sha256 or hashlib.sha256(content).hexdigest())

    async def messages() -> AsyncIterator[calls.UploadOutputsRequest]:
        yield calls.UploadOutputsRequest(header=header)
        for start in range(0, len(content), 10):
            yield calls.UploadOutputsRequest(chunk=content[start : start + 10])

    outputs: artifact_pb2.Artifact = (await site.stub.UploadOutputs(messages())).outputs
    return outputs


async def test_outputs_arrive_whole_or_not_at_all(site: EvaluationSite) -> None:
    stored = await upload(site, b'{"id": "r1", "output": "x"}\n')
    assert stored == await upload(site, b'{"id": "r1", "output": "x"}\n')
    with pytest.raises((InvalidData, Corrupted, InvalidInput), match="arrived with the sha256"):
        await upload(site, b"other bytes", sha256=stored.sha256)
    assert not list((site.folder / "uploads").iterdir()), "nothing is left behind"


async def test_outputs_of_another_branch_are_not_for_us(site: EvaluationSite) -> None:
    foreign = artifact_pb2.Artifact(key=f"uploads/tutor/outputs/{'0' * 64}", size_bytes=1, sha256="0" * 64)
    problems = await refusal(site, arms=[arm_pb2.Arm(name="ready", outputs=foreign)], adapter=ADAPTER)
    assert "UploadOutputs" in problems["evaluation.arms[0]"]


async def test_a_report_is_downloaded_from_any_byte_on(site: EvaluationSite) -> None:
    name = (await finished(site)).name
    request = calls.DownloadEvaluationFileRequest(name=name, file="report.html", offset=2)
    assert b"".join([part.chunk async for part in site.stub.DownloadEvaluationFile(request)]) == b"tml>"


async def test_there_is_something_to_ask_with_to_score_by_and_to_decide_by(site: EvaluationSite) -> None:
    suites = (await site.stub.ListSuites(calls.ListSuitesRequest())).suites
    metrics = (await site.stub.ListMetrics(calls.ListMetricsRequest())).metrics
    policies = (await site.stub.ListGatePolicies(calls.ListGatePoliciesRequest())).policies
    assert {"validation", "generalisation", "stress", "multiple-choice"} <= {suite.name for suite in suites}
    assert {"exact_match", "business_requirements", "code_tests"} <= {metric.name for metric in metrics}
    assert {"adopt", "base-model"} <= {policy.name for policy in policies}
    # What is shown can be sent back under another name.
    mine = {policy.name: policy.yaml for policy in policies}["adopt"].replace("name: adopt", "name: mine", 1)
    ordered = await site.order(adapter=ADAPTER, policy=evaluator_pb2.GatePolicyChoice(yaml=mine), validate_only=True)
    assert ordered.policy.yaml == mine
    stress = {suite.name: suite.yaml for suite in suites}["stress"].replace("name: stress", "name: mine", 1)
    await site.order(adapter=ADAPTER, suites=[suite_pb2.Suite(yaml=stress)], validate_only=True)


async def rows(site: EvaluationSite, query: str) -> list[tuple[Any, ...]]:
    assert DEFINITION.metadata.tables
    return await site.resources.database.run(
        lambda connection: [tuple(row) for row in connection.execute(sa.text(query))]
    )
