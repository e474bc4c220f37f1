"""What people read of an evaluation: `report.md`, `report.html`, and the files that other programs expect."""

from fragua_evaluator.scoring.documents.write import write_documents

__all__ = ["write_documents"]
