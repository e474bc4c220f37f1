"""`fragua eval`: models answer the same questions, are compared, and somebody decides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fragua.evaluator.v1 import arm_pb2, evaluator_pb2, result_pb2, suite_pb2
from fragua.evaluator.v1 import evaluator_service_pb2 as calls
from fragua_cli.commands import evaluation_catalog, evaluation_decisions, evaluation_reports
from fragua_cli.commands.evaluation_reports import download_file
from fragua_cli.commands.job_verbs import add_job_verbs
from fragua_cli.evaluation_arms import (
    ARM_HELP,
    SUITE_HELP,
    add_key_variables,
    add_prompting,
    arm_from_text,
    arm_name,
    suite_from_text,
)
from fragua_cli.exits import ExitCode
from fragua_cli.jobs import evaluations
from fragua_cli.names import base_model_name, branch_name, dataset_version_name, resource_name
from fragua_cli.options import BranchOption, RequestIdOption, ValidateOnlyOption, WatchOption, request_id
from fragua_cli.outcomes import follow_to_success, seconds_taken
from fragua_cli.scores import outcome_name, show_scores
from fragua_cli.session import Session, client_command
from fragua_platform.errors import InvalidInput

app = typer.Typer()

for commands in (evaluation_catalog, evaluation_decisions, evaluation_reports):
    app.add_typer(commands.app)

_DEFAULT_SUITE = "validation"
_BENCHMARK_POLICY = "base-model"

DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        "-d",
        help="Whose held-out rows ask: DATASET, DATASET/VERSION or full name. The adapter's own unless given.",
        show_default=False,
    ),
]
SuiteOption = Annotated[
    list[str] | None, typer.Option("--suite", "-s", help=f"{SUITE_HELP} [{_DEFAULT_SUITE}]", show_default=False)
]
MetricOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        "-m",
        help="How generated answers are scored, instead of the suites' own; options as YAML: 'regex{pattern: ^FR}'. "
        "Repeat it.",
        show_default=False,
    ),
]
PolicyOption = Annotated[
    str,
    typer.Option("--policy", help="A packaged gate policy or a YAML file [adopt].", show_default=False),
]
MaxItemsOption = Annotated[int | None, typer.Option(help="Questions of each suite at most.", show_default=False)]
MaxNewTokensOption = Annotated[int | None, typer.Option(help="Tokens per answer [64].", show_default=False)]
RepeatsOption = Annotated[int | None, typer.Option(help="How often each question is asked [3].", show_default=False)]
TemperatureOption = Annotated[
    float | None, typer.Option(help="0 takes the likeliest token always [0].", show_default=False)
]
SeedOption = Annotated[int, typer.Option(help="Draws the questions, and answers above temperature 0.")]
RequireGoOption = Annotated[
    bool, typer.Option("--require-go", help="Exit with 2 unless the verdict is GO.", show_default=False)
]


@client_command(app, "run")
async def start(
    session: Session,
    adapter: Annotated[str, typer.Option("--adapter", "-a", help="Its number, or its full resource name.")],
    branch: BranchOption = "",
    dataset: DatasetOption = "",
    suite: SuiteOption = None,
    metric: MetricOption = None,
    policy: PolicyOption = "",
    max_items: MaxItemsOption = None,
    max_new_tokens: MaxNewTokensOption = None,
    repeats: RepeatsOption = None,
    temperature: TemperatureOption = None,
    seed: SeedOption = 0,
    require_go: RequireGoOption = False,
    validate_only: ValidateOnlyOption = False,
    watch: WatchOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Evaluate an adapter against its base."""
    name = await resource_name(session.suite, "adapters", adapter, branch)
    wanted = evaluator_pb2.Evaluation(
        adapter=name,
        dataset_version=await _dataset(session, dataset, branch),
        suites=await _suites(session, suite, branch, metric, max_items, max_new_tokens),
        decoding=evaluator_pb2.Decoding(max_new_tokens=max_new_tokens, temperature=temperature),
        repeats=repeats,
        seed=seed,
        policy=_policy(policy),
    )
    parent = await branch_name(session.suite, branch, implied_by=name)
    await _order(session, _request(parent, wanted, given_request_id, validate_only), watch, require_go)


@client_command(app, "compare")
async def compare(
    session: Session,
    arm: Annotated[list[str], typer.Option("--arm", "-a", help=ARM_HELP)],
    branch: BranchOption = "",
    dataset: DatasetOption = "",
    suite: SuiteOption = None,
    metric: MetricOption = None,
    policy: PolicyOption = "",
    system: Annotated[
        list[str] | None,
        typer.Option(help="NAME=TEXT or NAME=@FILE: the system message of an arm. Repeat it.", show_default=False),
    ] = None,
    demonstrations: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: JSON lines of question and answer that an arm is shown.", show_default=False),
    ] = None,
    key_variable: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FRAGUA_ENGINE_KEY_…: the worker's variable with the key of an endpoint.", show_default=False
        ),
    ] = None,
    max_items: MaxItemsOption = None,
    max_new_tokens: MaxNewTokensOption = None,
    repeats: RepeatsOption = None,
    temperature: TemperatureOption = None,
    seed: SeedOption = 0,
    require_go: RequireGoOption = False,
    validate_only: ValidateOnlyOption = False,
    watch: WatchOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Compare two to eight arms: models, prompts, quantizations, endpoints."""
    parent = await branch_name(session.suite, branch, implied_by=_branch_in(arm))
    arms = [await arm_from_text(session, text, branch or parent, parent) for text in arm]
    add_prompting(arms, system or [], demonstrations or [])
    add_key_variables(arms, key_variable or [])
    wanted = evaluator_pb2.Evaluation(
        adapter=_judged_adapter(arms),
        dataset_version=await _dataset(session, dataset, branch or parent),
        arms=arms,
        suites=await _suites(session, suite, branch or parent, metric, max_items, max_new_tokens),
        decoding=evaluator_pb2.Decoding(max_new_tokens=max_new_tokens, temperature=temperature),
        repeats=repeats,
        seed=seed,
        policy=_policy(policy),
    )
    await _order(session, _request(parent, wanted, given_request_id, validate_only), watch, require_go)


@client_command(app, "benchmark")
async def benchmark(
    session: Session,
    models: Annotated[list[str], typer.Option("--models", "-m", help="A base model to try; repeat it.")],
    dataset: DatasetOption = "",
    branch: BranchOption = "",
    suite: SuiteOption = None,
    metric: Annotated[list[str] | None, typer.Option("--metric", help="How answers are scored.")] = None,
    policy: Annotated[str, typer.Option("--policy", help="The rule by which one is chosen.")] = _BENCHMARK_POLICY,
    limit: Annotated[int | None, typer.Option("--limit", help="Questions at most.", show_default=False)] = None,
    max_new_tokens: MaxNewTokensOption = None,
    repeats: RepeatsOption = None,
    seed: SeedOption = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the table there, as JSON.", show_default=False)
    ] = None,
    given_request_id: RequestIdOption = "",
) -> None:
    """Let base models answer the same questions, and choose one by a rule."""
    # R67
    parent = await branch_name(session.suite, branch)
    arms = [
        arm_pb2.Arm(name=arm_name(model), base_model=await base_model_name(session.suite, model)) for model in models
    ]
    wanted = evaluator_pb2.Evaluation(
        dataset_version=await _dataset(session, dataset, branch or parent),
        arms=arms,
        suites=await _suites(session, suite, branch or parent, metric, limit, max_new_tokens),
        decoding=evaluator_pb2.Decoding(max_new_tokens=max_new_tokens),
        repeats=repeats,
        seed=seed,
        policy=_policy(policy),
    )
    ended = await _order(session, _request(parent, wanted, given_request_id, False), True, False)
    if ended is not None and output is not None:
        await download_file(session, ended, "benchmark.json", output)


async def _suites(
    session: Session,
    suites: list[str] | None,
    branch: str,
    metrics: list[str] | None,
    max_items: int | None,
    max_new_tokens: int | None,
) -> list[suite_pb2.Suite]:
    texts = suites or [_DEFAULT_SUITE]
    unmetered = await _suites_with_metrics_of_their_own(session, texts) if metrics else set()
    return [
        await suite_from_text(
            session, text, branch, [] if text in unmetered else metrics or [], max_items, max_new_tokens
        )
        for text in texts
    ]


async def _suites_with_metrics_of_their_own(session: Session, texts: list[str]) -> set[str]:
    """Those of `texts` that generate nothing, so that --metric is meant for the others; none where there are no others."""
    found = await session.suite.call(session.suite.evaluator.ListSuites, calls.ListSuitesRequest())
    weighing = {suite.name for suite in found.suites if suite.kind != "generation"}
    unmetered = {text for text in texts if text.partition("@")[0] in weighing}
    return unmetered if len(unmetered) < len(texts) else set()


async def _dataset(session: Session, dataset: str, branch: str) -> str:
    return await dataset_version_name(session.suite, dataset, branch, ready=True) if dataset else ""


def _policy(policy: str) -> evaluator_pb2.GatePolicyChoice | None:
    if policy.endswith((".yaml", ".yml")):
        file = Path(policy)
        if not file.is_file():
            raise InvalidInput(f"--policy: there is no file {policy}")
        return evaluator_pb2.GatePolicyChoice(yaml=file.read_text("utf-8"))
    return evaluator_pb2.GatePolicyChoice(name=policy) if policy else None


def _branch_in(arms: list[str]) -> str:
    """The first full resource name that an arm gives."""
    return next((text.partition(":")[2] for text in arms if ":branches/" in text), "")


def _judged_adapter(arms: list[arm_pb2.Arm]) -> str:
    """The candidate's, so that the verdict is told beside it."""
    return arms[-1].adapter.adapter if arms[-1].HasField("adapter") else ""


def _request(
    parent: str, evaluation: evaluator_pb2.Evaluation, given_request_id: str, validate_only: bool
) -> calls.CreateEvaluationRequest:
    return calls.CreateEvaluationRequest(
        parent=parent,
        request_id=request_id(given_request_id),
        validate_only=validate_only,
        evaluation=evaluation,
    )


async def _order(
    session: Session, request: calls.CreateEvaluationRequest, watch: bool, require_go: bool
) -> evaluator_pb2.Evaluation | None:
    suite = session.suite
    evaluation = await suite.call(suite.evaluator.CreateEvaluation, request)
    if request.validate_only or not watch:
        session.output.document(evaluation)
        return None
    ended = await follow_to_success(session, evaluations(suite), evaluation.name)
    await _conclude(session, ended)
    if require_go and ended.result.verdict.outcome != result_pb2.VERDICT_OUTCOME_GO:
        raise typer.Exit(ExitCode.REFUSED)
    return ended


async def _conclude(session: Session, evaluation: evaluator_pb2.Evaluation) -> None:
    session.output.say(f"{evaluation.name} [green]succeeded[/green] {seconds_taken(evaluation.status)}")
    show_scores(session.output, evaluation)
    session.output.say(f"[dim]`fragua eval report {evaluation.name}` fetches the whole report[/dim]")


def _scores_in_short(evaluation: evaluator_pb2.Evaluation) -> str:
    scores = [arm.suites[0].metrics[0].score for arm in evaluation.result.arms]
    return " → ".join(f"{score:.1%}" if score >= 0 else f"{score:.3f}" for score in scores)


def _verdict_in_short(evaluation: evaluator_pb2.Evaluation) -> str:
    if evaluation.decisions:
        last = evaluation.decisions[-1]
        return f"{outcome_name(last.outcome)} (decided{', overridden' if last.overridden else ''})"
    return outcome_name(evaluation.result.verdict.outcome) if evaluation.result.HasField("verdict") else ""


add_job_verbs(
    app,
    evaluations,
    columns={
        "ADAPTER": lambda job: job.adapter.rpartition("/")[2],
        "SCORES": _scores_in_short,
        "VERDICT": _verdict_in_short,
    },
    conclude=_conclude,
)
