"""Mends rows without asking what their authors meant, and tells every change."""

from fragua_dataset.ingestion.fixers.fix import Change, fix_row

__all__ = ["Change", "fix_row"]
