"""An OpenAI-compatible endpoint as an arm: what it says is measured, and nothing that it does wrong becomes a score."""

from __future__ import annotations

import itertools
import logging
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from fragua_evaluator.domain.arm import Decoding, EndpointModel, Limits
from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.targets import remote, web
from fragua_evaluator.scoring.targets.openai import EndpointTarget
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, TextQuestion
from fragua_platform.errors import FraguaError, InvalidData, InvalidInput, Unavailable
from tests.servers.chat import (
    EVENTS,
    JSON,
    ChatHandler,
    ChatServer,
    Fault,
    Reply,
    breaks_off,
    drips,
    drips_headers,
    floods,
    refuses,
    resets,
    sends,
    stalls,
    stalls_midway,
    status,
)
from tests.servers.process import free_port
from tests.unit.fragua_evaluator.remote_arms import ask, ask_one, endpoint, question, questions

KEY_VARIABLE = "FRAGUA_ENGINE_KEY_TESTS"
PASSING = ("TIMEOUT", "UNAVAILABLE")
"""Reasons that are known only when all the time for an answer is over."""
SECRET = "sk-nobody-may-read-this"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer().running() as running:
        yield running


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0.02)
    monkeypatch.setattr(remote, "_GRACE_SECONDS", 0.2)


# --- what is asked, and what is told of the answer


# R92, R94
def test_every_arm_is_asked_with_the_messages_and_the_decoding_of_the_evaluation(server: ChatServer) -> None:
    answer = ask_one(endpoint(server, Decoding(temperature=0.5, top_p=0.9)), question("¿Y el año?", tokens=99))
    assert answer.text == "Respuesta a: ¿Y el año?"
    assert answer.ending is Ending.STOP
    [body] = server.requests
    assert [turn["role"] for turn in body["messages"]] == ["system", "user"]
    asked = {name: body[name] for name in ("temperature", "top_p", "seed", "max_tokens", "stream")}
    assert asked == {"temperature": 0.5, "top_p": 0.9, "seed": 7, "max_tokens": 99, "stream": True}


def test_tokens_are_those_that_the_endpoint_counts_and_times_are_measured(server: ChatServer) -> None:
    server.thinks = 0.2
    answer = ask_one(endpoint(server), question("Ana"))
    assert (answer.tokens, answer.prompt_tokens) == (7, server.prompt_tokens(server.requests[0]))
    assert answer.first_token_seconds is not None
    assert 0.2 <= answer.first_token_seconds <= answer.seconds < 5


def test_requests_side_by_side_share_the_time_that_passed(server: ChatServer) -> None:
    server.thinks = 0.4
    target, started = endpoint(server), time.monotonic()
    answers = ask(target, questions(8))
    passed = time.monotonic() - started
    assert server.at_once == 4
    assert "4 requests at a time" in target.identity.conditions["generation"]
    assert sum(answer.seconds for answer in answers.values()) == pytest.approx(passed, abs=0.5)
    assert all(answer.text.endswith(key.split("/")[1]) for key, answer in answers.items())


def test_an_answer_without_stream_is_read_as_well_and_has_no_first_token(server: ChatServer) -> None:
    server.streams = False
    answer = ask_one(endpoint(server))
    assert answer.text.startswith("Respuesta") and answer.first_token_seconds is None


def test_an_answer_that_was_cut_at_the_limit_is_told_from_one_that_ended(server: ChatServer) -> None:
    server.say = lambda _: Reply("abc", "length", tokens=10)
    assert ask_one(endpoint(server), question(tokens=10)).ending is Ending.LENGTH


def test_an_answer_that_was_cut_before_the_limit_is_none(server: ChatServer) -> None:
    server.say = lambda _: Reply("abc", "length", tokens=4)
    answer = ask_one(endpoint(server), question(tokens=10))
    assert answer.failure == f"CUT_EARLY: {server.url} cut the answer after 4 tokens, before max_new_tokens = 10"


def test_signs_that_come_in_halves_are_put_together_and_what_no_database_takes_is_replaced(server: ChatServer) -> None:
    server.say = lambda _: Reply("ñ \ud83d")  # A half of a sign, with nothing to go with it.
    server.faults = [
        sends(
            EVENTS,
            b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n'
            b'data: {"choices": [{"delta": {"content": "\\ude00 \\u0000"}, "finish_reason": "stop"}]}\n\n'
            b"data: [DONE]\n\n",
        )
    ]
    target = endpoint(server)
    answers = [answer.text for answer in ask(target, questions(2)).values()]
    assert sorted(answers) == ["ñ \ufffd", "😀 \ufffd"]


def test_an_endpoint_that_knows_the_length_by_its_new_name_alone_is_asked_by_that(server: ChatServer) -> None:
    error = {"code": "unsupported_parameter", "message": "'max_tokens' … Use 'max_completion_tokens' instead."}

    def picky(chat: ChatServer, handler: ChatHandler, body: dict[str, Any]) -> None:
        if "max_tokens" in body:
            handler.send(400, {"error": error})
        else:
            handler._complete(body)

    server.always = picky
    assert {answer.ending for answer in ask(endpoint(server), questions(3)).values()} == {Ending.STOP}
    assert server.requests[-1]["max_completion_tokens"] == 256


def test_what_cannot_be_verified_is_written_down(server: ChatServer) -> None:
    server.max_model_len = 4096
    target = endpoint(server)
    identity = target.identity
    target.close()
    assert identity.remote and not identity.cacheable
    assert identity.conditions["context_length"] == 4096
    assert any("template" in each for each in identity.conditions["not_verifiable"])
    assert target.prompt_digest(question()) is None


# --- faults that pass


@pytest.mark.parametrize(
    "fault",
    [status(500), status(502), status(429, Retry_After="0"), breaks_off(EVENTS), resets(EVENTS)],
    ids=["500", "502", "429", "breaks off", "resets"],
)
def test_what_may_pass_is_asked_again(server: ChatServer, fault: Fault) -> None:
    server.faults = [fault, fault]
    answer = ask_one(endpoint(server))
    assert answer.text.startswith("Respuesta")
    assert len(server.requests) == 3


def test_the_time_that_an_endpoint_asks_to_be_left_alone_is_heeded(server: ChatServer) -> None:
    server.faults = [status(429, Retry_After="1")]
    started = time.monotonic()
    assert ask_one(endpoint(server)).ending is Ending.STOP
    assert time.monotonic() - started >= 1


def test_an_endpoint_that_wants_to_be_left_alone_for_longer_than_there_is_time_fails_at_once(
    server: ChatServer,
) -> None:
    server.faults = [status(429, Retry_After="3600")]
    started = time.monotonic()
    answer = ask_one(endpoint(server, request_seconds=30))
    assert time.monotonic() - started < 5
    assert answer.failure == f"UNAVAILABLE: {server.url} answers with status 429; no answer within 30 s"


# --- faults that cost the item


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (status(500), "UNAVAILABLE"),
        (stalls, "TIMEOUT"),
        (stalls_midway(EVENTS), "TIMEOUT"),
        (drips(EVENTS), "TIMEOUT"),
        (drips_headers, "TIMEOUT"),
        (resets(EVENTS), "UNAVAILABLE"),
        (status(400), "REFUSED"),
        (sends(EVENTS, b"\x00\xff\xfe garbage\n\n"), "GARBAGE"),
        (sends(EVENTS, b"data: {not json\n\n"), "GARBAGE"),
        (sends(EVENTS, b'data: {"object": "else"}\n\n'), "GARBAGE"),
        (sends(EVENTS, b'data: {"choices": [{"delta": {"content": 3}}]}\n\n'), "GARBAGE"),
        (sends(EVENTS, b"data: " + b"[" * 100_000 + b"\n\n"), "GARBAGE"),
        (sends(EVENTS, b'data: {"choices": [{"delta": {}, "finish_reason": "tired"}]}\n\n'), "GARBAGE"),
        (sends(EVENTS, b'data: {"choices": [{"delta": {}, "finish_reason": "content_filter"}]}\n\n'), "FILTERED"),
        (sends(EVENTS, b"data: " + b"x" * 3_000_000), "OUTPUT_TOO_LARGE"),
        (sends(JSON, b'{"choices": ' + b" " * 3_000_000 + b"[]}"), "OUTPUT_TOO_LARGE"),
        (sends("text/html", b"<html>Sign in</html>"), "GARBAGE"),
        (floods(EVENTS, 2**20), "OUTPUT_TOO_LARGE"),
    ],
)
def test_a_fault_costs_the_item_and_names_its_reason(server: ChatServer, fault: Fault, reason: str) -> None:
    server.always = fault
    started = time.monotonic()
    answer = ask_one(endpoint(server, request_seconds=1.0 if reason in PASSING else 30))
    assert time.monotonic() - started < 10
    assert answer.ending is Ending.FAILED and answer.text == ""
    assert answer.failure.startswith(f"{reason}: ")
    assert "Sign in" not in answer.failure and "something is wrong" not in answer.failure


def test_one_bad_answer_among_many_leaves_the_others_alone(server: ChatServer) -> None:
    server.faults = [sends(EVENTS, b"data: garbage\n\n")]
    endings = [answer.ending for answer in ask(endpoint(server), questions(12)).values()]
    assert endings.count(Ending.FAILED) == 1 and endings.count(Ending.STOP) == 11


# --- faults that end the arm


def test_an_endpoint_that_is_away_may_be_back_later_so_the_job_is_tried_again_and_loses_nothing(
    server: ChatServer,
) -> None:
    asked, answers = questions(30), dict[str, Answer]()

    def goes_away(_: ChatServer, handler: ChatHandler, body: dict[str, Any]) -> None:
        if number_in(body) < 10:
            handler._complete(body)
        else:
            handler.send(503, {}, Retry_After="3600")

    server.always = goes_away
    with pytest.raises(Unavailable, match=f"tutor at {server.url} is away.*status 503") as away:
        answers.update(endpoint(server).generate(asked, lambda: False))
    assert away.value.reason == "ENDPOINT_UNAVAILABLE"
    assert answers.keys() == {each.key for each in asked[:10]}
    server.always = None
    answers |= ask(endpoint(server), [each for each in asked if each.key not in answers])
    assert len(answers) == len(asked)
    assert {answer.ending for answer in answers.values()} == {Ending.STOP}


def test_questions_without_an_answer_among_others_with_one_are_failed_items(server: ChatServer) -> None:
    def some(_: ChatServer, handler: ChatHandler, body: dict[str, Any]) -> None:
        if number_in(body) % 3:
            handler.send(503, {}, Retry_After="3600")
        else:
            handler._complete(body)

    server.always = some
    answers = ask(endpoint(server), questions(20))
    assert {key: answer.ending is Ending.FAILED for key, answer in answers.items()} == {
        f"s/{number}/0": number % 3 > 0 for number in range(20)
    }


def number_in(body: dict[str, Any]) -> int:
    return int(body["messages"][-1]["content"].split()[-1])


@pytest.mark.parametrize("code", [401, 403, 404, 405, 301, 307])
def test_what_no_question_can_change_ends_the_arm_at_once(server: ChatServer, code: int) -> None:
    server.faults = [status(code, Location="http://localhost:1/v1")]
    with pytest.raises(InvalidInput, match=f"status {code}") as broken:
        ask(endpoint(server), questions(3))
    assert broken.value.reason == "ENDPOINT_REFUSES"
    assert server.url in broken.value.message


def test_questions_and_key_never_follow_a_redirect_to_another_host(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    with ChatServer().running() as other:
        server.always = status(307, Location=f"{other.url}/chat/completions")
        with pytest.raises(InvalidInput, match="give the final address"):
            ask(endpoint(server, key=KEY_VARIABLE), questions(1))
        assert other.requests == []


def test_a_model_that_the_endpoint_does_not_have_is_refused_before_any_question(server: ChatServer) -> None:
    with pytest.raises(InvalidInput, match="it has tutor") as refused:
        EndpointTarget(EndpointModel(url=server.url, model="otro"), Decoding(), Limits())
    assert refused.value.reason == "MODEL_NOT_FOUND"
    assert server.requests == []


def test_an_endpoint_that_lists_no_models_is_asked_all_the_same(server: ChatServer) -> None:
    server.lists_models = False
    assert ask_one(endpoint(server)).ending is Ending.STOP


def test_an_endpoint_that_is_away_is_told_before_any_question() -> None:
    model = EndpointModel(url=f"http://127.0.0.1:{free_port()}/v1", model="tutor")
    with pytest.raises(Unavailable, match="does not answer"):
        EndpointTarget(model, Decoding(), Limits())


@pytest.mark.parametrize(
    "url", ["ftp://host/v1", "host/v1", "http://", "http://user:pass-word@host/v1", "http://host/v1?key=pass-word"]
)
def test_an_address_is_http_and_holds_no_secret(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        EndpointTarget(EndpointModel(url=url, model="tutor"), Decoding(), Limits())
    assert "pass-word" not in refused.value.message


# --- the key


def test_the_key_comes_from_the_environment(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    server.key = SECRET
    assert ask_one(endpoint(server, key=KEY_VARIABLE)).ending is Ending.STOP


@pytest.mark.parametrize("value", ["", "two words", "line\nbreak", "clé"])
def test_what_is_no_key_is_refused_by_the_name_of_its_variable(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, value)
    with pytest.raises(InvalidInput, match=KEY_VARIABLE) as refused:
        endpoint(server, key=KEY_VARIABLE)
    assert not value or value not in refused.value.message


@pytest.mark.parametrize(
    "fault", [None, status(500), status(401), stalls, resets(EVENTS), refuses(400, {"message": f"Bearer {SECRET}"})]
)
def test_no_error_no_answer_and_no_log_holds_the_key(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Fault | None
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    if fault is None:
        server.key = "another"
    server.always = fault
    told: list[Any] = []
    try:
        target = endpoint(server, key=KEY_VARIABLE, request_seconds=0.2)
        told += [target.identity, *ask(target, questions(8)).values()]
    except FraguaError as error:
        told += [error.message, error.violations, *traceback.format_exception(error), *map(vars, chain_of(error))]
    assert told
    assert SECRET not in repr(told) + caplog.text


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """The error, and whatever it or its causes hold on to."""
    waiting: list[BaseException | None] = [error]
    while waiting:
        if (each := waiting.pop()) is not None:
            assert not hasattr(each, "request"), "an error holds a request, whose headers hold the key"
            yield each
            waiting += [each.__cause__, each.__context__]


# --- cut prompts, stops, and what it cannot do


def test_prompts_that_an_endpoint_cuts_silently_end_the_arm(server: ChatServer) -> None:
    server.cuts_at = 512
    lengths = (200, 900, 1_500, 3_000, 6_000)
    asked = [question(words(length), number=length) for length in lengths]
    with pytest.raises(InvalidData) as refused:
        ask(endpoint(server), asked)
    assert refused.value.reason == "PROMPT_TRUNCATED"
    assert {"s/3000/0", "s/6000/0"} <= {violation.field for violation in refused.value.violations}


def test_prompts_of_all_lengths_and_languages_are_not_taken_for_cut_ones(server: ChatServer) -> None:
    texts = [words(length) for length in (10, 500, 4_000, 16_000)]
    texts += ["=" * 9_000, " \n" * 4_000 + "fin", "año nuevo " * 700, "数字" * 900]
    answers = ask(endpoint(server), [question(text, number=number) for number, text in enumerate(texts)])
    assert {answer.ending for answer in answers.values()} == {Ending.STOP}


def words(length: int) -> str:
    counted = itertools.accumulate((f"palabra{number} " for number in itertools.count()), str.__add__)
    return next(text for text in counted if len(text) >= length)


def test_a_stop_request_is_heeded_while_an_endpoint_stalls(server: ChatServer) -> None:
    server.always = stalls
    started = time.monotonic()
    assert ask(endpoint(server), questions(6), lambda: time.monotonic() - started > 0.3) == {}
    assert time.monotonic() - started < 2


def test_a_stop_request_is_heeded_between_two_tries(server: ChatServer) -> None:
    server.always = status(429, Retry_After="60")
    started = time.monotonic()
    assert ask(endpoint(server), questions(6), lambda: time.monotonic() - started > 0.3) == {}
    assert time.monotonic() - started < 2


def test_given_texts_cannot_be_weighed_and_the_way_out_is_told(server: ChatServer) -> None:
    target = endpoint(server)
    messages = question().messages
    with pytest.raises(InvalidInput, match="directory or GGUF") as refused:
        list(target.weigh_choices([ChoiceQuestion("k", messages, ("A) sí", "B) no"))], lambda: False))
    assert refused.value.reason == "UNSUPPORTED_BY_TARGET"
    with pytest.raises(InvalidInput, match="such as k"):
        target.refuse_unfit([question(), TextQuestion("k", messages, "sí")])
    with pytest.raises(InvalidInput):
        list(target.weigh_texts([TextQuestion("k", messages, "sí")], lambda: False))
    target.close()


def test_an_endpoint_that_never_ends_its_first_answer_does_not_hold_the_engine(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_OPENING_SECONDS", 0.2)
    monkeypatch.setattr(web, "_GRACE_SECONDS", 0.2)
    monkeypatch.setattr(ChatHandler, "do_GET", lambda handler: drips_headers(server, handler, {}))
    started = time.monotonic()
    with pytest.raises(Unavailable, match="no answer within"):
        endpoint(server)
    assert time.monotonic() - started < 2
