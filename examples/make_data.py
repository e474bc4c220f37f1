"""Writes `facts/instructions.jsonl`: questions about the invented islands, answered in the form that the demo teaches.

    python examples/make_data.py

Every row belongs to the group of its island. Splitting by group keeps all questions about one island on one side,
so the held-out score tells whether the form was learnt, not whether answers were memorised.
"""

from __future__ import annotations

import json
from pathlib import Path

from islands import make_islands, questions_about

OUTPUT = Path(__file__).parent / "facts" / "instructions.jsonl"


def main() -> None:
    rows = [
        {
            "instruction": question.text,
            "input": "",
            "output": question.structured_answer,
            "group": question.island,
            "language": question.language,
            "topic": question.topic,
        }
        for island in make_islands()
        for question in questions_about(island)
    ]
    OUTPUT.parent.mkdir(exist_ok=True)
    with OUTPUT.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    print(f"{len(rows)} rows in {OUTPUT}")


if __name__ == "__main__":
    main()
