"""Versions made from others, over gRPC on the embedded suite: what each holds, where it came from, what is refused."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fragua.common.v1 import job_pb2
from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_platform.errors import AlreadyExists, FailedPrecondition, InvalidInput, NotFound
from tests.chain import Chain
from tests.dataset_client import DatasetClient, new_request_id, state_of
from tests.embedded import EmbeddedSuite

TINY_BASE = Path(__file__).parents[2] / "examples/tiny-base"
_branches = itertools.count(1)

PROVERBS = [
    ("madrugar", "A quien madruga, Dios le ayuda, aunque el despertador no opine lo mismo."),
    ("el camarón", "Camarón que se duerme se lo lleva la corriente río abajo, hasta la desembocadura."),
    ("la cigüeña", "Por San Blas la cigüeña verás, y si no la vieres, año de nieves."),
    ("el pingüino", "No es un refrán: los pingüinos no vuelan, pero nadan como ninguna otra ave."),
    ("los sueños", "Quien vive de sueños despierta con las manos vacías y el café frío."),
    ("la leña", "Del árbol caído todos hacen leña, dice el vecino con el hacha al hombro."),
    ("el ñandú", "Corre más que el viento de la pampa y no le debe nada a nadie."),
    ("la montaña", "Si la montaña no viene a ti, ve tú a la montaña con buenas botas."),
    ("el otoño", "Otoño llega cuando las hojas aprenden a caer sin hacer ruido alguno."),
    ("la araña", "Teje de noche y de día espera: la paciencia es su único oficio."),
]


SHOPS = ("panadería", "floristería", "relojería", "carpintería")


def requirement(concept: str) -> dict[str, Any]:
    """A record whose ids have a digit too few."""

    def items(prefix: str) -> list[dict[str, str]]:
        return [{"id": f"{prefix}0{number}", "text": f"La {concept} cumple {prefix} {number}."} for number in (1, 2)]

    return {
        "concept": f"Pedidos de una {concept}",
        "title": f"Pedidos en línea para la {concept}",
        "description": f"La {concept} del barrio quiere recibir pedidos por la red, prepararlos a tiempo y avisar a "
        "quien los hizo cuando estén listos.",
        "functional_requirements": items("FR"),
        "non_functional_requirements": items("NFR"),
        "constraints": items("C"),
    }


def proverbs(**fields: Any) -> list[dict[str, Any]]:
    return [
        {"instruction": f"[Refranes] - ¿Qué dices de {topic}?", "output": answer, "score": number / 10, **fields}
        for number, (topic, answer) in enumerate(PROVERBS)
    ]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSuite]:
    with EmbeddedSuite(tmp_path_factory.mktemp("suite")) as suite:
        yield suite


@pytest.fixture
async def client(suite: EmbeddedSuite) -> AsyncIterator[DatasetClient]:
    """On a branch of its own, so that no test's rows are compared with another's."""
    artifacts = suite.data_dir / "artifacts"
    client = DatasetClient(suite.endpoint("dataset"), artifacts, f"refranes-{next(_branches)}")
    await client.create_branch()
    yield client
    await client.close()


@pytest.fixture
async def shared(suite: EmbeddedSuite) -> AsyncIterator[DatasetClient]:
    """On the branch of `parent`."""
    client = DatasetClient(suite.endpoint("dataset"), suite.data_dir / "artifacts", "refranes")
    await client.create_branch()
    yield client
    await client.close()


@pytest.fixture
async def parent(shared: DatasetClient) -> dataset_pb2.DatasetVersion:
    """One version for all tests, because of its request id; one of its answers has white space around it."""
    rows = proverbs()
    rows[2]["output"] = f"  {rows[2]['output']}  "
    return await shared.import_rows("refranes", rows, request_id="parent", validation_fraction=0.3)


def fields(error: InvalidInput) -> set[str]:
    return {violation.field for violation in error.violations}


def fix(version: dataset_pb2.DatasetVersion, *fixers: dataset_pb2.Fixer, **more: Any) -> Any:
    return dataset_service_pb2.FixDatasetVersionRequest(
        name=version.name, request_id=new_request_id(), fixers=fixers, **more
    )


def keep(version: dataset_pb2.DatasetVersion, row_filter: dataset_pb2.RowFilter, **more: Any) -> Any:
    return dataset_service_pb2.FilterDatasetVersionRequest(
        name=version.name, request_id=new_request_id(), filter=row_filter, **more
    )


# --- fix


# R84
async def test_a_fix_makes_a_new_version_and_leaves_its_parent_and_the_number_of_rows_alone(
    shared: DatasetClient, parent: dataset_pb2.DatasetVersion
) -> None:
    before = shared.stored(parent, "train.jsonl").read_bytes(), shared.stored(parent, "validation.jsonl").read_bytes()

    mended = await shared.made(shared.stub.FixDatasetVersion(fix(parent, dataset_pb2.FIXER_TRIM)))

    assert state_of(mended) == "READY"
    assert mended.name != parent.name and list(mended.parents) == [parent.name]
    assert mended.origin == dataset_pb2.DATASET_ORIGIN_FIX
    assert mended.row_count == parent.row_count == len(PROVERBS)
    assert mended.train_row_count == parent.train_row_count, "every row stays on its side"
    assert dict(mended.fixes.changes_by_fixer) == {"trim": 1} and mended.fixes.rows_changed == 1
    assert before == (
        shared.stored(parent, "train.jsonl").read_bytes(),
        shared.stored(parent, "validation.jsonl").read_bytes(),
    )
    assert state_of(await shared.get(parent.name)) == "READY"


# R80
async def test_a_file_that_was_invalid_is_read_again_and_mended_on_the_way(client: DatasetClient) -> None:
    broken = await client.import_rows(
        "requisitos", [requirement(concept) for concept in SHOPS], profile="business-requirements"
    )
    assert state_of(broken) == "INVALID"
    assert {problem.code for problem in await client.problems(broken)} == {"ID_FORMAT", "NOT_A_YAML_STRING"}

    mended = await client.made(
        client.stub.FixDatasetVersion(fix(broken, dataset_pb2.FIXER_PAD_IDS, dataset_pb2.FIXER_YAML_STRINGS))
    )

    assert state_of(mended) == "READY", await client.problems(mended)
    assert list(mended.parents) == [broken.name] and mended.profile == "business-requirements"
    assert (mended.source_sha256, mended.row_count) == (broken.source_sha256, len(SHOPS))
    answers = [row["messages"][-1]["content"] for row in client.rows(mended) + client.rows(mended, "validation")]
    assert all("FR001" in answer and "FR01" not in answer for answer in answers)
    assert state_of(await client.get(broken.name)) == "INVALID"


async def test_mended_rows_can_be_checked_by_another_profile(client: DatasetClient) -> None:
    lax = "name: laxo\nextends: instruct\nchecks: {ANSWER_TOO_SHORT: off}\n"
    rows = [*proverbs()[1:], {"instruction": "[Refranes] - ¿Y de madrugar?", "output": "Ni hablar."}]
    parent = await client.import_rows("refranes", rows, profile_yaml=lax)
    assert state_of(parent) == "READY"
    request = fix(parent, dataset_pb2.FIXER_TRIM, profile="instruct")
    checked = await client.made(client.stub.FixDatasetVersion(request))
    assert "ANSWER_TOO_SHORT" in {problem.code for problem in await client.problems(checked)}


# --- filter


# R74, R137
async def test_a_filter_keeps_the_rows_that_meet_every_condition_each_on_its_side(
    shared: DatasetClient, parent: dataset_pb2.DatasetVersion
) -> None:
    asked = dataset_pb2.RowFilter(metrics={"score": dataset_pb2.Bounds(min=0.5)}, min_examples=3)

    kept = await shared.made(shared.stub.FilterDatasetVersion(keep(parent, asked)))

    assert state_of(kept) == "READY" and kept.origin == dataset_pb2.DATASET_ORIGIN_FILTER
    assert (kept.selection.rows_kept, dict(kept.selection.rows_left_out)) == (5, {"score": 5})
    for side in ("train", "validation"):
        wanted = [row["id"] for row in shared.rows(parent, side) if row["metadata"]["score"] >= 0.5]
        assert [row["id"] for row in shared.rows(kept, side)] == wanted


# R76
async def test_too_few_kept_rows_are_refused_with_the_numbers(
    shared: DatasetClient, parent: dataset_pb2.DatasetVersion
) -> None:
    asked = dataset_pb2.RowFilter(metrics={"score": dataset_pb2.Bounds(min=0.72)}, min_examples=100)

    refused = await shared.made(shared.stub.FilterDatasetVersion(keep(parent, asked)))

    assert state_of(refused) == "INVALID"
    assert (refused.selection.rows_kept, dict(refused.selection.rows_left_out)) == (2, {"score": 8})
    (problem,) = [each for each in await shared.problems(refused) if each.code == "TOO_FEW_EXAMPLES"]
    assert "2 " in problem.message and "100" in problem.message and "filter" in problem.hint


async def test_a_filter_that_no_row_can_meet_or_that_asks_nothing_is_refused_at_once(
    shared: DatasetClient, parent: dataset_pb2.DatasetVersion
) -> None:
    bounds = dataset_pb2.Bounds
    nothing = float("nan")
    refused: list[tuple[dataset_pb2.RowFilter, set[str]]] = [
        (dataset_pb2.RowFilter(min_examples=3), {"filter"}),
        (dataset_pb2.RowFilter(metrics={"score": bounds(min=2, max=1)}), {"filter.metrics.score"}),
        (dataset_pb2.RowFilter(metrics={"score": bounds(min=nothing)}), {"filter.metrics.score.min"}),
        (dataset_pb2.RowFilter(answer_chars=bounds(min=nothing)), {"filter.answer_chars.min_chars"}),
        (dataset_pb2.RowFilter(question_chars=bounds(min=9, max=2)), {"filter.question_chars"}),
        (dataset_pb2.RowFilter(profile="nobody-knows-it"), {"filter.profile"}),
        (dataset_pb2.RowFilter(profile_yaml="name: mío\nchecks: 3"), {"filter.profile_yaml.name"}),
    ]
    for asked, places in refused:
        with pytest.raises(InvalidInput) as error:
            await shared.stub.FilterDatasetVersion(keep(parent, asked))
        assert fields(error.value) >= places, error.value.message


# --- split and merge


# R75, R138
async def test_a_split_divides_the_same_rows_anew_and_the_same_seed_divides_them_alike(
    shared: DatasetClient, parent: dataset_pb2.DatasetVersion
) -> None:

    async def split(seed: int) -> dataset_pb2.DatasetVersion:
        request = dataset_service_pb2.SplitDatasetVersionRequest(
            name=parent.name,
            request_id=new_request_id(),
            dataset=f"{shared.branch}/datasets/mitades",
            validation_fraction=0.5,
            split_seed=seed,
        )
        return await shared.made(shared.stub.SplitDatasetVersion(request))

    first, again, other = await split(7), await split(7), await split(8)

    assert (first.train_row_count, first.validation_row_count) == (5, 5)
    assert first.name.startswith(f"{shared.branch}/datasets/mitades/versions/")
    assert shared.rows(first) == shared.rows(again) != shared.rows(other)


async def test_a_merge_tells_of_each_row_where_it_came_from_and_keeps_the_first_of_equal_ones(
    client: DatasetClient,
) -> None:
    first = await client.import_rows("unos", proverbs()[:6])
    second = await client.import_rows("otros", proverbs()[4:])
    request = dataset_service_pb2.MergeDatasetVersionsRequest(
        parent=f"{client.branch}/datasets/todos", request_id=new_request_id(), names=[first.name, second.name]
    )

    merged = await client.made(client.stub.MergeDatasetVersions(request))

    assert state_of(merged) == "READY" and list(merged.parents) == [first.name, second.name]
    sources = {
        row["id"]: row["metadata"]["source"]["version"]
        for row in client.rows(merged) + client.rows(merged, "validation")
    }
    assert len(sources) == merged.row_count == 10
    assert sorted(sources.values()) == sorted([first.name] * 6 + [second.name] * 4)
    found = {problem.code for problem in await client.problems(merged)}
    assert found == {"DUPLICATE_EXAMPLE"}, "its own parents are no news"


# --- other datasets of the branch


# R64
async def test_rows_that_another_dataset_holds_are_told_and_leaks_into_evaluation_refused(
    client: DatasetClient,
) -> None:
    evaluation = await client.import_rows("examen", proverbs()[:2], purpose="DATASET_PURPOSE_EVALUATION")
    assert (evaluation.train_row_count, evaluation.validation_row_count) == (0, 2)
    clean = await client.import_rows("refranes", proverbs()[2:])
    assert state_of(clean) == "READY"

    twin = await client.import_rows("refranes-migrated", proverbs()[2:])
    assert state_of(twin) == "READY"
    told = [problem for problem in await client.problems(twin) if problem.code == "CROSS_DATASET_DUPLICATE"]
    assert len(told) == 8 and clean.name in told[0].message

    leaking = await client.import_rows("refranes", proverbs())
    assert state_of(leaking) == "INVALID"
    assert "EVALUATION_LEAK" in {problem.code for problem in await client.problems(leaking)}


async def test_what_rows_to_evaluate_with_cannot_become(client: DatasetClient) -> None:
    evaluation = await client.import_rows("examen", proverbs()[:4], purpose="DATASET_PURPOSE_EVALUATION")
    training = await client.import_rows("refranes", proverbs()[5:])
    split = dataset_service_pb2.SplitDatasetVersionRequest(name=evaluation.name, request_id=new_request_id())
    with pytest.raises(FailedPrecondition, match="to evaluate with"):
        await client.stub.SplitDatasetVersion(split)
    merge = dataset_service_pb2.MergeDatasetVersionsRequest(
        parent=f"{client.branch}/datasets/todos",
        request_id=new_request_id(),
        names=[evaluation.name, training.name],
    )
    with pytest.raises(InvalidInput, match="merge them apart"):
        await client.stub.MergeDatasetVersions(merge)


# --- options of an import


async def test_everything_that_is_wrong_with_the_options_is_told_before_a_byte_is_taken(
    suite: EmbeddedSuite, client: DatasetClient
) -> None:
    options: dict[str, Any] = {
        "profile": "instruct",
        "profile_yaml": "name: propio",
        "tokenizers": [{"base_model": "baseModels/nadie/revisions/0123", "max_length": 512}],
    }
    taken = len(suite.files("artifacts/uploads"))
    with pytest.raises(InvalidInput) as refused:
        await client.import_rows("refranes", proverbs(), **options)
    assert fields(refused.value) == {"header.options.profile_yaml", "header.options.tokenizers[0].base_model"}
    assert len(suite.files("artifacts/uploads")) == taken


async def test_rows_that_a_base_model_would_cut_are_told(suite: EmbeddedSuite, client: DatasetClient) -> None:
    async def ignore(_service: str, _status: job_pb2.JobStatus) -> None:
        """Nobody is watching."""

    chain = Chain(suite.endpoint, ignore)
    base = await chain.import_base(TINY_BASE)
    await chain.close()
    uses = [{"base_model": base.name, "max_length": length} for length in (16, 4096)]

    version = await client.import_rows("refranes", proverbs(), tokenizers=uses)

    assert state_of(version) == "READY"
    assert [use.base_model for use in version.options.tokenizers] == [base.name] * 2
    cut, whole = version.truncation
    assert (cut.tokenizer, cut.max_length, cut.rows_cut) == (base.name, 16, 10)
    assert (whole.max_length, whole.rows_cut, whole.longest) == (4096, 0, cut.longest)
    assert "TRUNCATED_ANSWER" in {problem.code for problem in await client.problems(version)}


async def test_a_profile_of_ones_own_decides_what_is_an_error(client: DatasetClient) -> None:
    profile = "name: largos\nextends: instruct\nanswer: {min_chars: 70}\nchecks: {ANSWER_TOO_SHORT: error}\n"
    version = await client.import_rows("refranes", proverbs(), profile_yaml=profile)
    assert (state_of(version), version.profile) == ("INVALID", "largos")
    assert {problem.code for problem in await client.problems(version)} == {"ANSWER_TOO_SHORT"}


# --- requests


async def test_the_same_request_id_derives_one_version_and_refuses_other_content(
    shared: DatasetClient, parent: dataset_pb2.DatasetVersion
) -> None:
    request = fix(parent, dataset_pb2.FIXER_TRIM)
    first = await shared.made(shared.stub.FixDatasetVersion(request))
    again = await shared.stub.FixDatasetVersion(request)
    assert again == first
    request.fixers.append(dataset_pb2.FIXER_PAD_IDS)
    with pytest.raises(AlreadyExists, match="request_id"):
        await shared.stub.FixDatasetVersion(request)


async def test_requests_that_can_never_work_name_every_violation(client: DatasetClient) -> None:
    calls: list[tuple[Any, Any, set[str]]] = [
        (
            client.stub.FixDatasetVersion,
            dataset_service_pb2.FixDatasetVersionRequest(fixers=["FIXER_TRIM", "FIXER_TRIM"]),
            {"name", "request_id", "fixers"},
        ),
        (
            client.stub.FilterDatasetVersion,
            dataset_service_pb2.FilterDatasetVersionRequest(),
            {"name", "request_id", "filter"},
        ),
        (
            client.stub.SplitDatasetVersion,
            dataset_service_pb2.SplitDatasetVersionRequest(validation_fraction=1.0, split_seed=-1),
            {"name", "request_id", "validation_fraction", "split_seed"},
        ),
        (
            client.stub.MergeDatasetVersions,
            dataset_service_pb2.MergeDatasetVersionsRequest(names=["one"]),
            {"parent", "request_id", "names"},
        ),
    ]
    for call, request, places in calls:
        with pytest.raises(InvalidInput) as refused:
            await call(request)
        assert fields(refused.value) >= places


async def test_versions_that_do_not_exist_or_live_in_another_branch_are_refused(client: DatasetClient) -> None:
    parent = await client.import_rows("refranes", proverbs())
    missing = dataset_pb2.DatasetVersion(name=f"{client.branch}/datasets/refranes/versions/20200101T000000Z")
    with pytest.raises(NotFound, match="20200101T000000Z does not exist"):
        await client.stub.FixDatasetVersion(fix(missing, dataset_pb2.FIXER_TRIM))
    with pytest.raises(InvalidInput) as elsewhere:
        await client.stub.FixDatasetVersion(
            fix(parent, dataset_pb2.FIXER_TRIM, dataset="branches/otra/datasets/refranes")
        )
    assert fields(elsewhere.value) == {"dataset"}
    invalid = await client.import_rows("rotos", b"no es JSON\n")
    with pytest.raises(FailedPrecondition, match="INVALID, so it has no rows"):
        await client.stub.FilterDatasetVersion(keep(invalid, dataset_pb2.RowFilter(profile="instruct")))


async def test_lists_show_versions_of_every_origin_newest_first(client: DatasetClient) -> None:
    parent = await client.import_rows("refranes", proverbs())
    mended = await client.made(client.stub.FixDatasetVersion(fix(parent, dataset_pb2.FIXER_TRIM)))
    request = dataset_service_pb2.ListDatasetVersionsRequest(parent=client.branch, page_size=1)
    first = await client.stub.ListDatasetVersions(request)
    request.page_token = first.next_page_token
    second = await client.stub.ListDatasetVersions(request)
    assert [*first.dataset_versions, *second.dataset_versions] == [mended, parent]
    assert not second.next_page_token
