"""Versions made from versions: mended, filtered, merged, divided again, and held against other datasets."""

import json
from pathlib import Path
from typing import Any

import pytest

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.version_report import VersionReport
from tests.unit.fragua_dataset.importing import Import, questions

NAMES = ("branches/ba/datasets/a/versions/1", "branches/ba/datasets/b/versions/2")


def version_of(content: bytes, folder: Path, **spec: Any) -> Path:
    """The outputs of an import."""
    imported = Import(folder, content, **spec)
    imported.run()
    return imported.job.outputs


def derived(folder: Path, parents: list[Path], **spec: Any) -> Import:
    made = Import(folder, b"", source="versions", parents=NAMES[: len(parents)], **spec)
    give(made, {f"parents/{number}": parent for number, parent in enumerate(parents)})
    return made


def give(made: Import, versions: dict[str, Path]) -> None:
    for place, outputs in versions.items():
        (made.job.inputs / place).mkdir(parents=True)
        for side in ("train.jsonl", "validation.jsonl"):
            (made.job.inputs / place / side).write_bytes((outputs / side).read_bytes())


def all_rows(made: Import) -> list[dict[str, Any]]:
    return made.rows("train.jsonl") + made.rows("validation.jsonl")


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def record(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "concept": f"Una tienda de {number} flores distintas",
        "title": f"Tienda número {number}",
        "description": "Se venden flores por encargo.",
        "functional_requirements": [{"id": "FR01", "text": "Elegir flores"}],
        "non_functional_requirements": "- id: NFR001\n  text: Rápida\n",
        "constraints": "- id: C001\n  text: Sin efectivo\n",
    } | fields


# R80, R81, R84
def test_a_fix_keeps_rows_and_sides_and_tells_every_change(tmp_path: Path) -> None:
    parent = version_of(lines(*(record(number) for number in range(10))), tmp_path / "parent")
    before = {path.name: path.read_bytes() for path in parent.iterdir()}
    fixed = derived(tmp_path / "fixed", [parent], fixers=["pad-ids", "yaml-strings"], sides="keep")
    report = fixed.run()
    assert (report.rows, report.train_rows, report.validation_rows) == (10, 8, 2)
    assert report.fixes
    assert report.fixes.rows_changed == 10
    assert report.fixes.changes_by_fixer == {"pad-ids": 10, "yaml-strings": 10}
    assert all("FR001" in row["record"]["functional_requirements"] for row in all_rows(fixed))
    changes = fixed.rows("changes.jsonl")
    for side in ("train.jsonl", "validation.jsonl"):
        ids = {row["id"] for row in map(json.loads, (parent / side).read_text("utf-8").splitlines())}
        assert {row["origin"] for row in fixed.rows(side)} == ids
        assert {change["before"] for change in changes if change["after"] in {r["id"] for r in fixed.rows(side)}} == ids
    assert {change["pointer"] for change in changes[0]["changes"]} == {"/record/functional_requirements"}
    assert {path.name: path.read_bytes() for path in parent.iterdir()} == before


def test_the_origin_of_a_row_outlives_a_second_fix(tmp_path: Path) -> None:
    parent = version_of(lines(*(record(number) for number in range(5))), tmp_path / "1")
    ids = {row["id"] for side in ("train", "validation") for row in read(parent / f"{side}.jsonl")}
    first = derived(tmp_path / "2", [parent], fixers=["pad-ids"], sides="keep")
    first.run()
    second = derived(tmp_path / "3", [first.job.outputs], fixers=["yaml-strings"], sides="keep")
    second.run()
    assert {change["origin"] for change in second.rows("changes.jsonl")} == ids
    assert {row["origin"] for row in all_rows(first)} == ids


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


TWINS = lines(
    {"prompt": "¿Qué es la raíz?", "completion": "Un nodo."}, {"prompt": "¿Qué es la raíz? ", "completion": "Un nodo."}
)


# R84
def test_rows_that_become_equal_are_dropped_on_request_only(tmp_path: Path) -> None:
    parent = version_of(questions(5) + TWINS, tmp_path / "parent")
    kept = derived(tmp_path / "kept", [parent], fixers=["trim"], sides="keep").run()
    assert kept.train_rows + kept.validation_rows == 7
    assert kept.problem_counts[ProblemCode.DUPLICATE_EXAMPLE] == 1
    dropping = derived(tmp_path / "dropped", [parent], fixers=["trim", "drop-duplicates"], sides="keep")
    dropped = dropping.run()
    assert dropped.train_rows + dropped.validation_rows == 6
    assert dropped.fixes
    assert dropped.fixes.changes_by_fixer["drop-duplicates"] == 1
    assert [change["after"] for change in dropping.rows("changes.jsonl")].count(None) == 1


def test_rows_that_become_equal_are_never_both_learnt_and_asked(tmp_path: Path) -> None:
    misread = questions(30).decode().encode().decode("cp1252").encode()
    parent = version_of(questions(30) + misread, tmp_path / "parent")
    fixed = derived(tmp_path / "fixed", [parent], fixers=["repair-mojibake"], sides="keep")
    report = fixed.run()
    assert report.problem_counts[ProblemCode.DUPLICATE_EXAMPLE] == 30
    assert len(fixed.rows("train.jsonl")) == 60, "none was dropped, and of equal rows none is held out"
    assert fixed.rows("validation.jsonl") == []


# R84
def test_a_file_that_is_read_again_to_be_mended_keeps_its_repeats_unless_they_are_to_go(tmp_path: Path) -> None:
    rows = [record(number) for number in range(20)]
    content = lines(*rows, rows[3], rows[3], rows[7] | {"title": "Tienda número 7 "})
    kept = Import(tmp_path / "kept", content, fixers=["pad-ids", "yaml-strings", "trim"])
    report = kept.run()
    assert (report.rows, report.train_rows + report.validation_rows) == (23, 23)
    assert report.problem_counts[ProblemCode.DUPLICATE_EXAMPLE] == 3
    held_out = [row["id"] for row in kept.rows("validation.jsonl")]
    assert 3 <= len(held_out) <= 6, "the share that was asked for"
    assert len(set(held_out)) == len(held_out), "what is held out is asked once"
    assert not {row["id"] for row in kept.rows("train.jsonl")} & set(held_out), "and is not learnt"

    dropping = Import(tmp_path / "dropped", content, fixers=["pad-ids", "yaml-strings", "trim", "drop-duplicates"])
    dropped = dropping.run()
    assert dropped.train_rows + dropped.validation_rows == 20
    assert dropped.fixes
    assert dropped.fixes.changes_by_fixer["drop-duplicates"] == 3


def test_where_all_mended_rows_are_repeats_all_are_learnt_and_the_report_says_so(tmp_path: Path) -> None:
    content = lines(*[record(1), record(2)] * 3)
    mended = Import(tmp_path, content, fixers=["pad-ids", "yaml-strings"])
    report = mended.run()
    assert (report.train_rows, report.validation_rows) == (6, 0)
    assert ProblemCode.SINGLE_GROUP in report.problem_counts


def test_repeats_that_stay_count_once_where_a_profile_asks_for_so_many_examples(tmp_path: Path) -> None:
    profile = {"name": "instruct", "min_examples": 4}
    refusal = Import(tmp_path, lines(*[record(1), record(2)] * 3), fixers=["pad-ids", "yaml-strings"], profile=profile)
    assert "there are 2 distinct examples" in str(refusal.refusal())


def test_what_an_evaluation_asks_it_asks_once(tmp_path: Path) -> None:
    parent = version_of(questions(5) + TWINS, tmp_path / "parent", evaluation=True)
    fixed = derived(tmp_path / "fixed", [parent], fixers=["trim"], sides="keep", evaluation=True)
    fixed.run()
    ids = [row["id"] for row in fixed.rows("validation.jsonl")]
    assert len(ids) == len(set(ids)) == 6


# R74, R76
def test_a_filter_keeps_what_meets_it_and_refuses_to_leave_too_little(tmp_path: Path) -> None:
    rows = [{"prompt": f"¿Cuánto es {n}?", "completion": f"Es {n}.", "score": n / 10} for n in range(10)]
    parent = version_of(lines(*rows), tmp_path / "parent")
    by_score: dict[str, Any] = {"metrics": {"score": {"min": 0.5}}}
    filtered = derived(tmp_path / "filtered", [parent], row_filter=by_score)
    report = filtered.run()
    assert sorted(row["metadata"]["score"] for row in all_rows(filtered)) == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert report.selection
    assert (report.selection.rows_kept, report.selection.rows_left_out) == (5, {"score": 5})
    refusal = derived(tmp_path / "few", [parent], row_filter=by_score | {"min_examples": 6}).refusal()
    assert "5 distinct examples, expected at least 6" in refusal.message


def test_merged_rows_say_where_they_come_from_and_come_once(tmp_path: Path) -> None:
    parents = [
        version_of(questions(10), tmp_path / "1"),
        version_of(questions(12) + lines({"prompt": "a", "completion": "b", "source": "un libro"}), tmp_path / "2"),
    ]
    merged = derived(tmp_path / "merged", parents)
    report = merged.run()
    assert (report.rows, report.train_rows + report.validation_rows) == (23, 13)
    sources = [row["metadata"]["source"] for row in all_rows(merged)]
    assert sorted(source["version"] for source in sources) == [NAMES[0]] * 10 + [NAMES[1]] * 3
    assert [source["given"] for source in sources if "given" in source] == ["un libro"]
    assert report.source.bytes == sum(
        (p / f"{s}.jsonl").stat().st_size for p in parents for s in ("train", "validation")
    )


def test_dividing_again_moves_rows_and_changes_none(tmp_path: Path) -> None:
    parent = version_of(questions(50), tmp_path / "parent")
    again = derived(tmp_path / "again", [parent], split_seed=9, validation_fraction=0.5)
    assert again.run().validation_rows == 25
    rows = [row for side in ("train", "validation") for row in read(parent / f"{side}.jsonl")]
    assert sorted(all_rows(again), key=lambda row: row["id"]) == sorted(rows, key=lambda row: row["id"])


def test_every_type_is_held_out_in_the_same_share(tmp_path: Path) -> None:
    rows = [{"prompt": f"¿{n}?", "completion": "sí", "type": "raro" if n % 10 == 0 else "usual"} for n in range(100)]
    imported = Import(tmp_path, lines(*rows))
    imported.run()
    types = [row["metadata"]["type"] for row in imported.rows("validation.jsonl")]
    assert (types.count("raro"), types.count("usual")) == (2, 18)


def test_everything_is_held_out_of_a_dataset_to_evaluate_with(tmp_path: Path) -> None:
    report = Import(tmp_path, questions(5), evaluation=True).run()
    assert (report.train_rows, report.validation_rows) == (0, 5)


ESSAY = (
    "La raíz de un árbol es el único nodo que no tiene padre y de ella cuelgan los demás nodos del árbol entero; "
    "las hojas son los que no tienen hijos y la altura es el camino más largo desde la raíz hasta una de ellas."
)


# R15
def test_near_repeats_are_told_and_never_divided(tmp_path: Path) -> None:
    rows = [{"prompt": f"Pregunta {n}", "completion": f"{ESSAY} Fin {n}."} for n in range(6)]
    imported = Import(tmp_path, questions(30) + lines(*rows), validation_fraction=0.5)
    report = imported.run()
    assert report.problem_counts == {"NEAR_DUPLICATE": 5}
    assert {problem.line for problem in report.problems} <= set(range(31, 37))
    essays = [sum(ESSAY in row["messages"][1]["content"] for row in imported.rows(f"{side}.jsonl")) for side in SIDES]
    assert sorted(essays) == [0, 6]


SIDES = ("train", "validation")


# R13
def test_one_question_with_two_answers_is_told_at_the_second(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "¿Capital de Perú?", "completion": "Lima."},
        {"prompt": "¿capital de  perú?", "completion": "LIMA"},
        {"prompt": "¿Capital de Perú?", "completion": "Cuzco."},
        {"question": "¿2 + 2?", "choices": ["4", "5"], "answer": 0},
        {"question": "¿2 + 2?", "choices": ["5", "4"], "answer": 1},
        {"question": "¿2 + 2?", "choices": ["5", "4"], "answer": 0},
    ]
    report = Import(tmp_path, lines(*rows)).run()
    found = [problem for problem in report.problems if problem.code == "INCONSISTENT_ANSWER"]
    assert [problem.line for problem in found] == [3, 6]
    assert "line 1" in found[0].message and "line 4" in found[1].message


def compared(folder: Path, content: bytes, other: Path, *, to_evaluate: bool, **spec: Any) -> Import:
    counterpart = {"folder": "other", "version": NAMES[1], "evaluation": to_evaluate}
    made = Import(folder, content, counterparts=[counterpart], **spec)
    give(made, {"counterparts/other": other})
    return made


# R64
def test_rows_of_another_dataset_are_told_also_when_nearly_the_same(tmp_path: Path) -> None:
    other = version_of(questions(5) + lines({"prompt": "Di", "completion": ESSAY}), tmp_path / "other")
    content = questions(8) + lines({"prompt": "Dime", "completion": ESSAY})
    report = compared(tmp_path / "new", content, other, to_evaluate=False).run()
    assert report.problem_counts == {"CROSS_DATASET_DUPLICATE": 6}
    assert [problem.line for problem in report.problems] == [1, 2, 3, 4, 5, 9]
    assert NAMES[1] in report.problems[0].message


def test_a_row_in_common_with_an_evaluation_is_an_error_whichever_came_first(tmp_path: Path) -> None:
    other = version_of(questions(5), tmp_path / "other")
    refusal = compared(tmp_path / "1", questions(8), other, to_evaluate=True).refusal()
    assert refusal.reason == "DATASET_INVALID"
    made = compared(tmp_path / "2", questions(8), other, to_evaluate=False, evaluation=True)
    made.refusal()
    assert made.report.problem_counts == {"EVALUATION_LEAK": 5}
    assert compared(tmp_path / "3", questions(8), other, to_evaluate=True, evaluation=True).run().valid


PRIVATE = lines({"prompt": "¿Cómo escribo a Marta, por favor?", "completion": "A marta.gil@correo.es, por supuesto."})


@pytest.mark.parametrize(("policy", "weight"), [("allow", None), ("warn", "WARNING"), ("refuse", "ERROR")])
def test_the_branch_decides_what_personal_data_weighs(policy: str, weight: str | None, tmp_path: Path) -> None:
    imported = Import(tmp_path, questions(5) + PRIVATE, personal_data=policy)
    report: VersionReport
    if weight == "ERROR":
        assert "marta" not in str(imported.refusal())
        report = imported.report
    else:
        report = imported.run()
    assert report.severities.get(ProblemCode.PERSONAL_DATA) == weight
    assert "marta.gil" not in report.model_dump_json()


# R78, R79
def test_both_sides_are_audited_also_when_the_version_is_invalid(tmp_path: Path) -> None:
    rules = {"sections": {"functional_requirements": {"min_items": 2, "id_prefix": "FR"}}}
    profile = {"name": "ba", "record": rules}
    imported = Import(tmp_path, lines(*(record(number) for number in range(10))), profile=profile)
    assert imported.refusal().reason == "DATASET_INVALID"
    audits = [json.loads((imported.job.outputs / f"{side}_audit_report.json").read_text("utf-8")) for side in SIDES]
    assert [audit["total_examples"] for audit in audits] == [8, 2]
    assert [audit["min_requirements_violations"] for audit in audits] == [8, 2]
    assert audits[0]["id_format_issues"] == {"count": 8, "affected_ids": ["FR01"]}
    assert audits[0]["field_completeness"]["title"] == 1
