"""Measures how fast a dataset comes in: over the wire, and through the check for wrong and repeated rows."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import harness
import near_dedup
from children import OUR_PROGRAMS, OUR_PYTHON, PEER_PROGRAMS, BenchmarkFailed, peer_python, run_child
from harness import Duel, Metric, Sample, Stage

ROWS, QUICK_ROWS = 200_000, 20_000
ROW_BYTES = 1000
REPEATED_SHARE = 0.02

MB_PER_CPU_SECOND = "MB per CPU-second"
SECONDS = "seconds"
PEAK_MIB = "MiB at the peak"
ROWS_PER_SECOND = "rows per second"


def write_rows(path: Path, count: int) -> None:
    """Alpaca rows of about 1 KB in Spanish and English, one in fifty a repeat of an earlier one; always the same."""
    chance = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyzáéíóúñü"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(5000)]
    sentences = [" ".join(chance.choices(words, k=12)) + "." for _ in range(5000)]
    repeatable: list[str] = []
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number in range(count):
            if repeatable and chance.random() < REPEATED_SHARE:
                line = chance.choice(repeatable)
            else:
                line = _row(number, chance.choices(sentences, k=13))
            # Bounded, because this process has to stay small (see children.py).
            if len(repeatable) < 1000:
                repeatable.append(line)
            file.write(line)


def _row(number: int, sentences: list[str]) -> str:
    text = " ".join(sentences)
    row = {"instruction": f"¿Cuál es la respuesta {number}? {sentences[0]}", "input": "", "output": text}
    frame = len(json.dumps(row | {"output": ""}, ensure_ascii=False).encode())
    row["output"] = text.encode()[: ROW_BYTES - frame].decode("utf-8", "ignore")
    return json.dumps(row, ensure_ascii=False) + "\n"


def validate_exact_dedup(folder: Path, quick: bool) -> Duel:
    source = _source(folder, quick)
    megabytes = source.stat().st_size / 1e6
    peer = peer_python()
    distinct: dict[str, int] = {}

    def measured(name: str, *command: str | Path) -> Sample:
        taken = json.loads(run_child(*command).output.splitlines()[-1])
        distinct[name] = taken["distinct"]
        return {MB_PER_CPU_SECOND: megabytes / taken["cpu_seconds"], SECONDS: taken["seconds"]}

    def ours() -> Sample:
        profile = OUR_PROGRAMS / "readable-rows.yaml"
        return measured("ours", OUR_PYTHON, OUR_PROGRAMS / "validate_rows.py", source, profile, folder / "report.json")

    def theirs() -> Sample:
        return measured("theirs", peer, PEER_PROGRAMS / "json_pydantic_sha256.py", source)

    def check() -> None:
        if distinct["ours"] != distinct["theirs"]:
            raise BenchmarkFailed(f"the two count different numbers of distinct rows: {distinct}")

    return Duel(ours, theirs, check)


def peak_rss(folder: Path, quick: bool) -> Duel:
    rows = QUICK_ROWS if quick else ROWS

    # Once each: memory does not vary from run to run, and two million rows take minutes.
    @cache
    def importing(count: int) -> Sample:
        job = folder / f"{count}-rows"
        (job / "inputs").mkdir(parents=True)
        write_rows(job / "inputs" / "source", count)
        (job / "spec.json").write_text("{}", "utf-8")
        return {PEAK_MIB: run_child(OUR_PYTHON, "-m", "fragua_dataset.ingestion", job).peak_mib}

    return Duel(lambda: importing(10 * rows), lambda: importing(rows))


def grpc_import(folder: Path, quick: bool) -> Duel:
    source = _source(folder, quick)
    peer = peer_python()

    def ours() -> Sample:
        return {ROWS_PER_SECOND: run_child(OUR_PYTHON, OUR_PROGRAMS / "import_dataset.py", source).number}

    def theirs() -> Sample:
        return {ROWS_PER_SECOND: run_child(peer, PEER_PROGRAMS / "one_row_messages.py", source).number}

    # Each program holds what arrived against what it sent, and fails by itself.
    return Duel(ours, theirs)


def _source(folder: Path, quick: bool) -> Path:
    source = folder / "rows.jsonl"
    write_rows(source, QUICK_ROWS if quick else ROWS)
    return source


STAGES = (
    Stage(
        "validate-exact-dedup",
        "json-pydantic-sha256",
        f"{ROWS:,} rows of 1 KB ({QUICK_ROWS:,} when quick) are parsed, checked for the texts of their shape and for rows "
        "that come again: `python -m fragua_dataset.ingestion FILE` with all other checks off, holding nothing out, "
        "against a loop that does no more than that. Neither writes rows; ours also digests the file and writes its "
        "report. Start-up is left out on both sides: it is the same for a file of any size, and neither's subject.",
        (Metric(MB_PER_CPU_SECOND, more_is_better=True), Metric(SECONDS, more_is_better=False)),
        validate_exact_dedup,
    ),
    near_dedup.STAGE,
    Stage(
        "peak-rss",
        "itself-with-a-tenth",
        f"the peak memory of a whole import, with every check and near-duplicates, of {10 * ROWS:,} rows (2 GB) and of "
        f"{ROWS:,} (200 MB; a tenth of both when quick): the ratio is 1 where memory is flat.",
        (Metric(PEAK_MIB, more_is_better=False),),
        peak_rss,
        quick_rounds=1,
    ),
    Stage(
        "grpc-import",
        "one-row-messages",
        "the same rows sent over loopback to another process until they are safe: ImportDataset takes chunks of 512 KiB, "
        "digests and stores the file and queues its validation; the peer takes one row per message and writes a file.",
        (Metric(ROWS_PER_SECOND, more_is_better=True),),
        grpc_import,
    ),
)

if __name__ == "__main__":
    harness.main(STAGES)
