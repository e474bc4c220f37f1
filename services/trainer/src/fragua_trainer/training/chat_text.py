"""Writes a conversation as the base model reads it, on any day in the same way.

Llama 3.2's chat template prints today's date unless told otherwise. A model would be trained with one date, evaluated with
another and exported with a third, and a run that is resumed tomorrow would read other rows. So all services of the suite
take the date that these templates hold themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

from transformers import PreTrainedTokenizerBase

from fragua_platform.foreign_code import CHAT_TEMPLATE

TEMPLATE_DATE: Final = datetime(2024, 7, 26)
_CLOCK: Final = re.compile(r"""strftime_now\(\s*(["'])(?P<form>[^"']*)\1\s*\)""")


def render_chat(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, str]], *, open_answer: bool = False
) -> str:
    """The text of `messages`; with `open_answer` up to where the model goes on by itself."""
    return CHAT_TEMPLATE.run(
        lambda: str(
            tokenizer.apply_chat_template(
                list(messages),
                chat_template=_with_date(str(tokenizer.get_chat_template())),
                tokenize=False,
                add_generation_prompt=open_answer,
                date_string=f"{TEMPLATE_DATE:%d %b %Y}",  # Llama's name for it
            )
        )
    )


@lru_cache(maxsize=8)
def _with_date(chat_template: str) -> str:
    """Other templates ask the clock; transformers passes them plain data only, so the answer is written in its place."""
    return _CLOCK.sub(lambda asked: repr(TEMPLATE_DATE.strftime(asked["form"])), chat_template)


def date_notice(chat_template: str) -> str:
    """What whoever talks to the model has to know; empty where the template prints no date."""
    if "strftime_now" not in chat_template and "date_string" not in chat_template:
        return ""
    return (
        f"the chat template prints a date: the rows were rendered with {TEMPLATE_DATE:%d %b %Y}, as evaluations and exports "
        "are, so that the day of the training is not learned"
    )
