"""A synthesis against a language model's server that answers, and one that does everything wrong that can be done."""

import json
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from fragua_dataset.domain.profile_catalog import packaged_profile
from fragua_dataset.domain.prompt_catalog import own_prompt
from fragua_dataset.domain.synthesis_order import SynthesisPermissions
from fragua_dataset.domain.synthesis_spec import Budget
from fragua_platform.errors import InvalidInput, Unavailable
from fragua_platform.jobs.engine import Interrupted
from tests.language_model_server import (
    LanguageModelServer,
    Reply,
    chat_completion,
    cut,
    drip,
    lesson,
    raw,
    record,
    redirect,
    says,
    stall,
    status,
)
from tests.unit.fragua_dataset.synthesizing import Synthesis, generator, synthesis


@pytest.fixture
def server() -> Iterator[LanguageModelServer]:
    with LanguageModelServer().running() as server:
        yield server


def on(server: LanguageModelServer, *, generator_options: dict[str, Any] | None = None, **fields: Any) -> Any:
    options = generator_options or {}
    path = "" if options.get("kind") == "ollama" else "/v1"
    return synthesis(generator=generator(f"{server.origin}{path}", **options), **fields)


# --- what is asked and kept


def test_openai_is_asked_as_its_reference_says(server: LanguageModelServer, tmp_path: Path) -> None:
    options = {"temperature": 0.8, "max_tokens": 512}
    report = Synthesis(tmp_path, on(server, generator_options=options, seed=100)).run()

    assert server.requests[0] == {
        "model": "maestro",
        "messages": server.requests[0]["messages"],
        "temperature": 0.8,
        "max_tokens": 512,
        "seed": 100,
        "stream": False,
    }
    assert [message["role"] for message in server.requests[0]["messages"]] == ["system", "user"]
    assert (report.asked, report.answered, report.kept, report.tokens) == (8, 8, 8, 8 * 150)
    assert "Authorization" not in server.headers[0]


def test_ollama_is_asked_as_its_reference_says(server: LanguageModelServer, tmp_path: Path) -> None:
    options = {"kind": "ollama", "temperature": 0.5, "max_tokens": 64}
    report = Synthesis(tmp_path, on(server, generator_options=options)).run()

    assert server.requests[0] | {"messages": []} == {
        "model": "maestro",
        "messages": [],
        "stream": False,
        "options": {"temperature": 0.5, "num_predict": 64, "seed": 0},
    }
    assert (report.kept, report.tokens) == (8, 8 * 150)


def test_the_key_is_sent_and_is_in_no_file_afterwards(server: LanguageModelServer, tmp_path: Path) -> None:
    work = Synthesis(tmp_path, on(server))
    (work.job.inputs / "key").write_text("clave-secreta\n")

    work.run()

    assert server.headers[0]["Authorization"] == "Bearer clave-secreta"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"clave-secreta" in path.read_bytes()]
    assert "clave-secreta" not in work.records.getvalue()


# R136
def test_rows_keep_their_score_and_what_they_were_asked_with(server: LanguageModelServer, tmp_path: Path) -> None:
    server.write = record
    work = Synthesis(tmp_path, on(server, profile="business-requirements"))
    work.run()
    facts = work.rows[0]["metadata"]
    assert facts["score"] == 1 and facts["metric"] == "requirements" and facts["model"] == "maestro"
    assert work.rows[0]["record"]["concept"] == (
        f"{facts['concept']} ({facts['domain']}, para {facts['audience']}, complejidad {facts['complexity']})"
    )


# R74, R136, R137
def test_examples_below_the_score_are_counted_and_left_out(server: LanguageModelServer, tmp_path: Path) -> None:
    short = json.dumps({"instruction": "¿Qué es el año bisiesto?", "output": "366 días"}, ensure_ascii=False)
    server.faults = [says(short)] * 2
    work = Synthesis(tmp_path, on(server, min_score=0.72))

    report = work.run()

    assert (report.below_score, report.kept) == (2, 6)
    assert report.mean_score == pytest.approx((2 * (1 + 8 / 20) / 2 + 6) / 8)
    assert min(row["metadata"]["score"] for row in work.rows) >= 0.72


def test_what_the_profile_refuses_is_left_out_instead_of_spoiling_the_version(
    server: LanguageModelServer, tmp_path: Path
) -> None:
    bare = json.dumps({"instruction": "¿Es bisiesto este año?", "output": "Sí."}, ensure_ascii=False)
    server.faults = [says(bare)]
    work = Synthesis(tmp_path, on(server))
    report = work.run()
    assert (report.left_out, report.kept) == ({"BARE_ANSWER": 1}, 7)
    assert len(work.rows) == 7


def test_the_same_example_twice_is_one(server: LanguageModelServer, tmp_path: Path) -> None:
    server.faults = [says(lesson("el ñandú", 1))] * 3
    report = Synthesis(tmp_path, on(server, budget=Budget(max_examples=4))).run()
    assert (report.repeated, report.kept, report.asked) == (2, 4, 6)


def test_the_same_answers_make_the_same_version(server: LanguageModelServer, tmp_path: Path) -> None:
    server.write = lambda question, _: lesson(question, sum(question.encode()) % 1000)
    files = []
    for folder in ("a", "b"):
        work = Synthesis(tmp_path / folder, on(server))
        work.run()
        files.append([(work.job.outputs / f"{side}.jsonl").read_bytes() for side in ("train", "validation")])
    assert files[0] == files[1] and files[0][0]


def test_a_prompt_of_ones_own_can_ask_for_questions_with_choices(server: LanguageModelServer, tmp_path: Path) -> None:
    question = {"question": "¿Qué ave no vuela?", "choices": ["el ñandú", "la cigüeña"], "answer": 0}
    server.write = lambda _, number: json.dumps(question | {"question": f"¿Qué ave n.º {number} no vuela?"})
    prompt = own_prompt("Pregunta sobre {concept}", "multiple_choice")
    work = Synthesis(tmp_path, on(server, prompt=prompt), profile=packaged_profile("multiple-choice"))
    assert work.run().kept == 8
    assert work.rows[0]["choices"] == question["choices"] and work.rows[0]["answer"] == 0


# --- bad answers are data


@pytest.mark.parametrize(
    ("fault", "unanswered", "unparsable"),
    [
        (says("No sé."), {}, {"not an object": 1}),
        (says('{"instruction": 3, "output": "tres"}'), {}, {"no example: WRONG_TYPE": 1}),
        (says("{}", finish_reason="length"), {}, {"cut at the most tokens": 1}),
        (says("  "), {"no text": 1}, {}),
        (raw(b"<html>502</html>"), {"no JSON": 1}, {}),
        (raw(b"[" * 100_000), {"no JSON": 1}, {}),
        (raw(b"\xff\xfe"), {"no JSON": 1}, {}),
        (raw(b"[]"), {"no object": 1}, {}),
        (raw(b'{"choices": []}'), {"no chat completion": 1}, {}),
        (raw(b'{"choices": {"0": 1}}'), {"no chat completion": 1}, {}),
        (raw(json.dumps(chat_completion("m", "x" * 2**20)).encode()), {"more than 1048576 bytes": 1}, {}),
        (status(400), {"status 400": 1}, {}),
        (status(204), {"status 204": 1}, {}),
    ],
)
def test_a_bad_answer_is_counted_and_the_next_one_asked_for(
    server: LanguageModelServer,
    tmp_path: Path,
    fault: Reply,
    unanswered: dict[str, int],
    unparsable: dict[str, int],
) -> None:
    server.faults = [says(lesson("el ñandú", 99)), fault]
    report = Synthesis(tmp_path, on(server)).run()
    assert (report.unanswered, report.unparsable) == (unanswered, unparsable)
    assert (report.asked, report.kept) == (8, 7)


def test_an_endpoint_of_which_nothing_is_of_use_is_left_alone_after_three_requests(
    server: LanguageModelServer, tmp_path: Path
) -> None:
    server.faults = [raw(b"<html>")] * 8
    failure = Synthesis(tmp_path, on(server)).failure()
    assert failure.reason == "NOTHING_USABLE" and "no JSON" in failure.message
    assert len(server.requests) == 3


def test_nothing_kept_is_told_with_the_counts(server: LanguageModelServer, tmp_path: Path) -> None:
    server.write = lambda question, number: "¡Hola!"
    work = Synthesis(tmp_path, on(server))
    failure = work.failure()
    assert failure.reason == "NOTHING_GENERATED" and "8 not parsable" in failure.message
    assert work.report.unparsable == {"not an object": 8}


# --- an endpoint that is busy, broken or away


@pytest.mark.parametrize("fault", [status(429), status(500), status(503), cut], ids=["429", "500", "503", "cut"])
def test_a_request_that_failed_is_asked_again(server: LanguageModelServer, tmp_path: Path, fault: Reply) -> None:
    server.faults = [fault]
    report = Synthesis(tmp_path, on(server)).run()
    assert server.requests[0] == server.requests[1]
    assert (len(server.requests), report.asked, report.kept) == (9, 8, 8)


@pytest.mark.parametrize("fault", [stall, drip], ids=["silent", "dripping"])
def test_an_answer_that_does_not_end_is_given_up_in_time(
    server: LanguageModelServer, tmp_path: Path, fault: Reply
) -> None:
    server.faults = [fault]
    began = time.monotonic()
    report = Synthesis(tmp_path, on(server, generator_options={"request_seconds": 0.5})).run()
    assert report.kept == 8
    assert time.monotonic() - began < 2.9, "half a second of waiting, and half of rest"


@pytest.mark.parametrize("after", ["2", "date"])
def test_the_endpoint_is_left_alone_for_as_long_as_it_asks(
    server: LanguageModelServer, tmp_path: Path, after: str
) -> None:
    wanted = formatdate(time.time() + 3, usegmt=True) if after == "date" else after
    server.faults = [status(429, Retry_After=wanted)]
    began = time.monotonic()
    Synthesis(tmp_path, on(server, concepts=("la piñata",), variants_per_concept=2)).run()
    assert time.monotonic() - began >= 1.9


def test_an_endpoint_that_stays_away_is_no_fault_of_the_request(server: LanguageModelServer, tmp_path: Path) -> None:
    server.faults = [says(lesson("el ñandú", 1))] + [status(503)] * 20
    work = Synthesis(tmp_path, on(server, generator_options={"patience_seconds": 1.5}))
    failure = work.failure()
    assert isinstance(failure, Unavailable) and "status 503" in failure.message
    assert (work.job.checkpoints / "step-1/requests.jsonl").exists(), "what was answered is kept for the next attempt"
    kept = (work.job.outputs / "generated.jsonl").read_text("utf-8").splitlines()
    assert len(kept) == 1 and "lección 1" in kept[0], "and for the user, where there is none"


def test_a_wait_that_is_longer_than_the_patience_is_not_begun(server: LanguageModelServer, tmp_path: Path) -> None:
    server.faults = [status(429, Retry_After="86400")]
    began = time.monotonic()
    assert isinstance(Synthesis(tmp_path, on(server)).failure(), Unavailable)
    assert time.monotonic() - began < 1


def test_nobody_at_the_address_is_an_endpoint_that_is_away(tmp_path: Path) -> None:
    nobody = synthesis(generator=generator("http://127.0.0.1:1/v1", patience_seconds=0))
    failure = Synthesis(tmp_path, nobody).failure()
    assert isinstance(failure, Unavailable) and "ConnectError" in failure.message


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (status(401), "does not know the key"),
        (status(403), "does not allow"),
        (status(404), "no such path or model"),
        (redirect("http://169.254.169.254/latest"), "sends elsewhere"),
    ],
)
def test_what_will_not_change_is_told_at_once_without_what_was_asked(
    server: LanguageModelServer, tmp_path: Path, fault: Reply, told: str
) -> None:
    server.faults = [fault]
    failure = Synthesis(tmp_path, on(server)).failure()
    assert isinstance(failure, InvalidInput) and failure.reason == "ENDPOINT_REFUSES"
    assert told in failure.message and "piñata" not in failure.message
    assert len(server.requests) == 1


# --- budgets


@pytest.mark.parametrize(
    ("budget", "asked", "stopped_by"),
    [
        (Budget(max_requests=3), 3, "requests"),
        (Budget(max_tokens=301), 3, "tokens"),
        (Budget(max_examples=5), 5, "examples"),
        (Budget(max_requests=8), 8, "requests"),
        (Budget(), 8, "plan"),
        (Budget(max_requests=4, max_tokens=150, max_examples=5), 1, "tokens"),
    ],
)
def test_the_first_budget_that_is_used_up_ends_it(
    server: LanguageModelServer, tmp_path: Path, budget: Budget, asked: int, stopped_by: str
) -> None:
    report = Synthesis(tmp_path, on(server, budget=budget)).run()
    assert (report.asked, report.stopped_by, len(server.requests)) == (asked, stopped_by, asked)


def test_time_is_up_in_the_middle_of_an_answer(server: LanguageModelServer, tmp_path: Path) -> None:
    server.faults = [says(lesson("el ñandú", 1)), says(lesson("el ñandú", 2)), stall]
    began = time.monotonic()
    report = Synthesis(tmp_path, on(server, budget=Budget(max_seconds=1))).run()
    assert (report.stopped_by, report.kept) == ("seconds", 2)
    assert time.monotonic() - began < 2.5


def test_tokens_that_nobody_counts_cannot_be_limited(server: LanguageModelServer, tmp_path: Path) -> None:
    server.usage = False
    assert Synthesis(tmp_path / "free", on(server)).run().tokens is None
    failure = Synthesis(tmp_path / "limited", on(server, budget=Budget(max_tokens=1000))).failure()
    assert failure.reason == "TOKENS_NOT_COUNTED"


# --- an end, and going on


def test_a_stop_in_the_middle_is_gone_on_from(server: LanguageModelServer, tmp_path: Path) -> None:
    work = Synthesis(tmp_path / "first", on(server))
    server.write = lambda question, number: work.reporter.request_stop() or lesson(question, number)  # type: ignore[func-returns-value]
    with pytest.raises(Interrupted):
        work.run()
    assert len(server.requests) == 1
    server.write = lesson

    later = Synthesis(tmp_path / "second", on(server))
    (work.job.checkpoints / "step-1").rename(later.job.inputs / "checkpoint")
    report = later.run()

    assert (report.asked, report.kept) == (8, 8)
    assert len(set(server.questions)) == len(server.questions) == 8


def test_a_stop_is_not_kept_waiting_for_an_answer(server: LanguageModelServer, tmp_path: Path) -> None:
    server.faults = [stall]
    work = Synthesis(tmp_path, on(server))
    began = time.monotonic()
    threading.Timer(0.2, work.reporter.request_stop).start()
    with pytest.raises(Interrupted):
        work.run()
    assert time.monotonic() - began < 2


def test_a_line_that_was_half_written_is_asked_for_again(server: LanguageModelServer, tmp_path: Path) -> None:
    work = Synthesis(tmp_path, on(server, budget=Budget(max_requests=3)))
    work.run()
    journal = tmp_path / "requests.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:40])

    report = work.run()

    assert (report.asked, report.kept) == (3, 3)
    assert server.requests[2] == server.requests[3] and len(server.requests) == 4


def test_progress_tells_requests_examples_and_tokens(server: LanguageModelServer, tmp_path: Path) -> None:
    work = Synthesis(tmp_path, on(server))
    work.run()
    assert "8 kept, 1,200 tokens" in work.messages


# --- what an operator lets be asked


@pytest.mark.parametrize(
    "endpoints", ["api.example.com", "https://a.example/v1", "ftp://a.example", "https://u@a.example"]
)
def test_a_setting_that_names_no_endpoint_is_told_at_start(endpoints: str) -> None:
    with pytest.raises(ValueError, match=r"has a path|is no address|holds a user"):
        SynthesisPermissions.parse(endpoints, "")


@pytest.mark.parametrize("metric", ["os", "os:", ":system", "a b:c", "os:system()"])
def test_a_setting_that_names_no_function_is_told_at_start(metric: str) -> None:
    with pytest.raises(ValueError, match="is not module:function"):
        SynthesisPermissions.parse("", metric)


def test_an_endpoint_is_allowed_by_scheme_host_and_port() -> None:
    permissions = SynthesisPermissions.parse("https://api.example.com, http://gpu:8000", "our.metrics:clarity")
    for allowed in ("https://api.example.com/v1", "https://API.example.com:443/v1", "http://gpu:8000"):
        assert not permissions.problems(generator(allowed), "our.metrics:clarity"), allowed
    for refused in ("http://api.example.com", "https://api.example.com:8443", "http://gpu", "http://gpu:8000@evil/"):
        assert permissions.problems(generator(refused), "length"), refused
    assert permissions.problems(generator("http://gpu:8000"), "our.metrics:other")
