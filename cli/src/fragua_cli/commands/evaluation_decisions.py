"""`fragua eval decide|override|vote`: what people make of an evaluation."""

from __future__ import annotations

import getpass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from fragua.evaluator.v1 import decision_pb2, evaluator_pb2
from fragua.evaluator.v1 import evaluator_service_pb2 as calls
from fragua_cli.commands.job_verbs import NameArgument
from fragua_cli.keys import read_key, sign_override
from fragua_cli.names import resource_name
from fragua_cli.options import BranchOption
from fragua_cli.scores import outcome_text
from fragua_cli.session import Session, client_command
from fragua_cli.votes import Preference, parse_votes

app = typer.Typer()

_VOTES_PER_CALL = 5_000
_PREFERENCES = {
    Preference.LEFT: decision_pb2.PREFERENCE_LEFT,
    Preference.RIGHT: decision_pb2.PREFERENCE_RIGHT,
    Preference.TIE: decision_pb2.PREFERENCE_TIE,
}

ByOption = Annotated[
    str, typer.Option("--by", envvar="FRAGUA_REVIEWER", default_factory=getpass.getuser, help="Your name.")
]


class Outcome(StrEnum):
    GO = "go"
    NO_GO = "no-go"
    INCONCLUSIVE = "inconclusive"


@client_command(app, "decide")
async def decide(
    session: Session,
    name: NameArgument,
    by: ByOption,
    branch: BranchOption = "",
    reason: Annotated[str, typer.Option(help="For whoever reads it later.", show_default=False)] = "",
) -> None:
    """Let the gate policy decide, with the votes so far, and record it for ever."""
    request = calls.DecideGoNoGoRequest(
        name=await resource_name(session.suite, "evaluations", name, branch), decided_by=by, reason=reason
    )
    _tell(session, await session.suite.call(session.suite.evaluator.DecideGoNoGo, request))


@client_command(app, "override")
async def override(
    session: Session,
    name: NameArgument,
    outcome: Annotated[Outcome, typer.Option(help="What is to hold instead of the verdict.")],
    reason: Annotated[str, typer.Option(help="Why; it stays visible.")],
    key: Annotated[Path, typer.Option("--key", "-k", exists=True, dir_okay=False, help="Your private key.")],
    by: ByOption,
    branch: BranchOption = "",
) -> None:
    """Decide otherwise than the policy says; an operator allows it by FRAGUA_OVERRIDE_KEYS. The key is not sent."""
    full_name = await resource_name(session.suite, "evaluations", name, branch)
    request = calls.DecideGoNoGoRequest(
        name=full_name,
        decided_by=by,
        reason=reason,
        override_outcome=f"VERDICT_OUTCOME_{outcome.name}",
        override_signature=sign_override(read_key(key), full_name, outcome.name, by, reason),
    )
    _tell(session, await session.suite.call(session.suite.evaluator.DecideGoNoGo, request))


@client_command(app, "vote")
async def vote(
    session: Session,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Votes, as a report's page saves them.")],
    voter: Annotated[
        str, typer.Option("--by", envvar="FRAGUA_REVIEWER", default_factory=getpass.getuser, help="Your name.")
    ],
    name: Annotated[
        str, typer.Option("--evaluation", help="Its name, where the file does not tell.", show_default=False)
    ] = "",
    branch: BranchOption = "",
) -> None:
    """Send the votes that you cast on a report's page. Cast and sent again, the last ones count."""
    suite = session.suite
    content = parse_votes(file.read_bytes())
    full_name = await resource_name(suite, "evaluations", name or content.evaluation, branch)
    votes = [
        decision_pb2.Vote(
            suite=each.suite,
            item=each.item,
            left=each.left,
            right=each.right,
            preference=_PREFERENCES[each.preferred],
            blind=each.blind,
            note=each.note,
        )
        for each in content.votes
    ]
    count = 0
    for start in range(0, len(votes), _VOTES_PER_CALL):
        request = calls.SubmitVoteRequest(
            name=full_name,
            voter=voter,
            votes=votes[start : start + _VOTES_PER_CALL],
            report_digest=content.report,
        )
        count = (await suite.call(suite.evaluator.SubmitVote, request)).vote_count
    session.output.say(f"{len(votes)} votes of {escape(voter)} sent; {full_name} has {count}")
    if session.output.as_json:
        session.output.document({"evaluation": full_name, "voter": voter, "sent": len(votes), "voteCount": count})


def _tell(session: Session, evaluation: evaluator_pb2.Evaluation) -> None:
    if session.output.as_json:
        session.output.document(evaluation)
        return
    decision = evaluation.decisions[-1]
    how = "overridden" if decision.overridden else f"by {escape(decision.verdict.policy)}"
    status = decision_pb2.VerificationStatus.Name(evaluation.verification_status)
    session.output.say(
        f"{evaluation.name}: {outcome_text(decision.outcome)}, {how}, decided by {escape(decision.decided_by)}; "
        f"it is {status.removeprefix('VERIFICATION_STATUS_').lower()}"
    )
