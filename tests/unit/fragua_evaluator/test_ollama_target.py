"""A model of an Ollama server as an arm: asked so that Ollama cannot cut, and told where it did."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fragua_evaluator.domain.arm import Decoding, Limits, Message, OllamaModel, Role
from fragua_evaluator.domain.report import Ending
from fragua_evaluator.scoring.targets import remote
from fragua_evaluator.scoring.targets.ollama import OllamaTarget
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Question
from fragua_platform.errors import InvalidData, InvalidInput, Unavailable
from tests.servers.chat import (
    LINES,
    ChatServer,
    Fault,
    Reply,
    breaks_off,
    drips,
    floods,
    refuses,
    resets,
    sends,
    stalls,
    stalls_midway,
    status,
)
from tests.servers.process import free_port
from tests.unit.fragua_evaluator.remote_arms import ask, ask_one, ollama, question, questions


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer().running() as running:
        yield running


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0.02)
    monkeypatch.setattr(remote, "_GRACE_SECONDS", 0.2)


# R92, R94
def test_a_model_answers_with_what_ollama_counts(server: ChatServer) -> None:
    server.thinks = 0.1
    answer = ask_one(ollama(server), question("¿Y el año?"))
    assert answer.text == "Respuesta a: ¿Y el año?" and answer.ending is Ending.STOP
    assert (answer.tokens, answer.prompt_tokens) == (9, server.prompt_tokens(server.requests[0]))
    assert answer.first_token_seconds is not None
    assert 0.09 <= answer.first_token_seconds <= answer.seconds < 5


def test_nothing_of_a_modelfile_changes_the_sampling(server: ChatServer) -> None:
    ask_one(ollama(server, Decoding(temperature=0.5, top_p=0.9)), question(tokens=99))
    options = server.requests[0]["options"]
    assert (options["temperature"], options["top_p"], options["seed"], options["num_predict"]) == (0.5, 0.9, 7, 99)
    assert (options["repeat_penalty"], options["top_k"], options["min_p"]) == (1.0, 0, 0.0)


def test_requests_come_one_after_the_other_so_that_none_is_measured_waiting(server: ChatServer) -> None:
    server.thinks = 0.05
    ask(ollama(server), questions(4))
    assert server.at_once == 1


# --- the context


def test_the_context_holds_the_longest_question_whatever_its_tokenizer(server: ChatServer) -> None:
    server.context_length = 1_000_000
    long = "数字" * 5_000
    ask(ollama(server), [question("corta"), question(long, number=1)])
    contexts = {request["options"]["num_ctx"] for request in server.requests}
    assert len(contexts) == 1, "another size makes Ollama load the model anew"
    assert len(long.encode()) + 256 <= contexts.pop() < 3 * len(long.encode())


def test_a_short_question_still_gets_room_and_never_more_than_the_model_has(server: ChatServer) -> None:
    ask_one(ollama(server))
    ask_one(ollama(server), question("ñ" * 5_000, tokens=16))
    assert [request["options"]["num_ctx"] for request in server.requests] == [2_048, 4_096]


@pytest.mark.parametrize("knows_truncate", [True, False])
def test_a_prompt_beyond_the_context_ends_the_arm_whatever_the_version(
    server: ChatServer, knows_truncate: bool
) -> None:
    server.knows_truncate = knows_truncate
    asked = [question("corta"), question("año " * 5_000, number=1)]
    with pytest.raises(InvalidData, match="cuts a prompt") as refused:
        ask(ollama(server), asked)
    assert refused.value.reason == "PROMPT_TRUNCATED"
    assert [violation.field for violation in refused.value.violations] == ["s/1/0"]


def test_a_prompt_that_leaves_no_room_for_its_answer_ends_the_arm(server: ChatServer) -> None:
    with pytest.raises(InvalidData) as refused:
        ask(ollama(server), [question("año " * 3_000, tokens=600)])
    assert refused.value.reason == "PROMPT_TRUNCATED"


def test_a_server_that_takes_a_smaller_context_than_it_was_asked_for_is_found_out(server: ChatServer) -> None:
    server.grants = 1_024
    with pytest.raises(InvalidInput, match="asked for a context of 2048 tokens and took 1024") as refused:
        ask(ollama(server), [question()])
    assert refused.value.reason == "CONTEXT_TOO_SMALL"


def test_prompts_that_are_cut_although_they_fit_are_found_by_their_count(server: ChatServer) -> None:
    server.cuts_at = 300
    asked = [question(f"palabra{n} " * 100 * (n + 1), number=n) for n in range(5)]
    with pytest.raises(InvalidData) as refused:
        ask(ollama(server), asked)
    assert refused.value.reason == "PROMPT_TRUNCATED"


def test_a_version_that_leaves_out_what_it_remembers_is_not_taken_for_one_that_cuts(server: ChatServer) -> None:
    server.counts_what_is_new = True
    asked = [question(f"palabra{n} " * 200, number=n) for n in range(4)]
    again = [replace(each, key=f"{each.key}/again", repeat=1) for each in asked]
    answers = ask(ollama(server), [*asked, *again])
    assert len(answers) == 8 and {answer.ending for answer in answers.values()} == {Ending.STOP}


def test_an_answer_longer_than_the_context_is_refused_before_any_question(server: ChatServer) -> None:
    target = ollama(server)
    with pytest.raises(InvalidData) as refused:
        target.refuse_unfit([question(), question(number=1, tokens=5_000)])
    target.close()
    assert [violation.field for violation in refused.value.violations] == ["s/1/0"]
    assert server.requests == []


# --- what it must not hide


def test_a_system_prompt_of_the_modelfile_is_refused_where_a_question_has_none(server: ChatServer) -> None:
    server.shown = {"system": "Eres un pirata."}
    target = ollama(server)
    bare = Question("s/bare/0", "s", "bare", 0, (Message(role=Role.USER, content="¿Qué?"),), 16, 0)
    target.refuse_unfit([question()])
    with pytest.raises(InvalidInput) as refused:
        target.refuse_unfit([question(), bare])
    assert refused.value.reason == "HIDDEN_PROMPT"
    assert [violation.field for violation in refused.value.violations] == ["s/bare/0"]
    with pytest.raises(InvalidInput):
        ask(target, [bare])
    assert server.requests == []


def test_messages_of_the_modelfile_are_refused(server: ChatServer) -> None:
    server.shown = {"messages": [{"role": "user", "content": "Hola"}]}
    with pytest.raises(InvalidInput, match="demonstrations") as refused:
        ollama(server)
    assert refused.value.reason == "HIDDEN_PROMPT"


def test_the_digest_is_that_of_the_weights_and_the_server_that_runs_them(server: ChatServer) -> None:
    target = ollama(server)
    first = target.identity
    target.close()
    server.version = "0.18.0"
    target = ollama(server)
    assert target.identity.digest != first.digest
    target.close()
    assert first.conditions["manifest"] == "ab" * 32
    assert first.conditions["stop_texts"] == ["<|im_end|>"]
    assert first.conditions["weights_type"] == "Q8_0"
    assert first.remote and first.cacheable


def test_a_model_that_is_not_there_is_refused_by_name(server: ChatServer) -> None:
    with pytest.raises(InvalidInput, match="no model 'otro:latest'; it has tutor:latest") as refused:
        OllamaTarget(OllamaModel(url=server.origin, model="otro"), Decoding(), Limits())
    assert refused.value.reason == "MODEL_NOT_FOUND"


def test_what_is_no_ollama_is_refused(server: ChatServer) -> None:
    with pytest.raises(InvalidInput, match="no Ollama server"):
        OllamaTarget(OllamaModel(url=server.url, model="tutor"), Decoding(), Limits())


def test_a_server_that_is_away_is_told_before_any_question() -> None:
    model = OllamaModel(url=f"http://127.0.0.1:{free_port()}", model="tutor")
    with pytest.raises(Unavailable, match="does not answer"):
        OllamaTarget(model, Decoding(), Limits())


# --- faults


@pytest.mark.parametrize("fault", [status(500), status(503), breaks_off(LINES), resets(LINES)])
def test_what_may_pass_is_asked_again(server: ChatServer, fault: Fault) -> None:
    server.faults = [fault]
    assert ask_one(ollama(server)).text.startswith("Respuesta")
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (status(500), "UNAVAILABLE"),
        (stalls, "TIMEOUT"),
        (stalls_midway(LINES), "TIMEOUT"),
        (drips(LINES), "TIMEOUT"),
        (resets(LINES), "UNAVAILABLE"),
        (refuses(400, {"message": "no"}), "REFUSED"),
        (sends(LINES, b'{"error": "out of memory"}\n'), "REFUSED"),
        (sends(LINES, b"\xff\x00 garbage\n"), "GARBAGE"),
        (sends(LINES, b'{"message": {"content": 3}}\n'), "GARBAGE"),
        (sends(LINES, b'{"message": {"content": ""}, "done": true, "done_reason": "load"}\n'), "GARBAGE"),
        (sends(LINES, b"x" * 3_000_000), "OUTPUT_TOO_LARGE"),
        (floods(LINES, 2**20), "OUTPUT_TOO_LARGE"),
    ],
)
def test_a_fault_costs_the_item_and_names_its_reason(server: ChatServer, fault: Fault, reason: str) -> None:
    server.always = fault
    started = time.monotonic()
    answer = ask_one(ollama(server, request_seconds=1.0 if reason in ("TIMEOUT", "UNAVAILABLE") else 30))
    assert time.monotonic() - started < 10
    assert answer.ending is Ending.FAILED
    assert answer.failure.startswith(f"{reason}: ")


def test_an_answer_that_was_cut_before_the_limit_is_none(server: ChatServer) -> None:
    server.say = lambda _: Reply("abc", "length", tokens=4)
    assert ask_one(ollama(server), question(tokens=10)).failure.startswith("CUT_EARLY")
    server.say = lambda _: Reply("abc", "length", tokens=10)
    assert ask_one(ollama(server), question(tokens=10)).ending is Ending.LENGTH


def test_a_stop_request_is_heeded_while_ollama_stalls(server: ChatServer) -> None:
    server.always = stalls
    started = time.monotonic()
    assert ask(ollama(server), questions(3), lambda: time.monotonic() - started > 0.3) == {}
    assert time.monotonic() - started < 2


def test_given_texts_cannot_be_weighed_and_the_way_out_is_told(server: ChatServer) -> None:
    target: Any = ollama(server)
    with pytest.raises(InvalidInput, match="directory or GGUF") as refused:
        list(target.weigh_choices([ChoiceQuestion("k", question().messages, ("A) sí", "B) no"))], lambda: False))
    target.close()
    assert refused.value.reason == "UNSUPPORTED_BY_TARGET"
