"""Calls by which people vote on answers and decide on models."""

from __future__ import annotations

from typing import Any

import grpc
from pydantic import ValidationError

from fragua.evaluator.v1 import evaluator_pb2, evaluator_service_pb2
from fragua_evaluator.api.messages import evaluation_to_message, vote_from_message
from fragua_evaluator.application.decisions import Decisions, Override
from fragua_evaluator.application.records import Records
from fragua_evaluator.application.votes import Votes
from fragua_evaluator.domain.votes import Vote
from fragua_evaluator.result_messages import OUTCOMES
from fragua_platform.errors import InvalidInput, Violation

Context = grpc.aio.ServicerContext[Any, Any]

_OUTCOMES = {message: outcome for outcome, message in OUTCOMES.items()}


class DecisionCalls:
    _decisions: Decisions
    _votes: Votes
    _records: Records

    async def DecideGoNoGo(
        self, request: evaluator_service_pb2.DecideGoNoGoRequest, context: Context
    ) -> evaluator_pb2.Evaluation:
        override = None
        if request.HasField("override_outcome"):
            override = Override(_OUTCOMES[request.override_outcome], request.override_signature)
        job = await self._decisions.decide(request.name, request.decided_by, request.reason, override)
        return evaluation_to_message(await self._records.of(job))

    async def SubmitVote(
        self, request: evaluator_service_pb2.SubmitVoteRequest, context: Context
    ) -> evaluator_service_pb2.SubmitVoteResponse:
        count = await self._votes.submit(request.name, request.voter, _votes(request), request.report_digest)
        return evaluator_service_pb2.SubmitVoteResponse(vote_count=count)


def _votes(request: evaluator_service_pb2.SubmitVoteRequest) -> list[Vote]:
    votes, problems = [], []
    for place, message in enumerate(request.votes):
        try:
            votes.append(vote_from_message(message))
        except ValidationError as invalid:
            problems += [Violation(f"votes[{place}]", error["msg"]) for error in invalid.errors(include_url=False)]
    if problems:
        raise InvalidInput(f"{problems[0].field}: {problems[0].description}", violations=problems)
    return votes
