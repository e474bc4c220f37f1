"""Chat templates in the forms in which the families publish them, each with its begin of text and its added tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerFast

from fragua_exporter.conversion.chat_template import Conversation, SystemPrompt
from tests.tiny_models import make_tiny_tokenizer

_ALTERNATING = (
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
)
_SYSTEM_APART = (
    "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
    "{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}{{- bos_token }}"
)
_LLAMA_3_TURN = (
    "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>'"
)
_LLAMA_3_OPENING = "'<|start_header_id|>assistant<|end_header_id|>\n\n'"
_CHATML_TURN = "'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'"
_CHATML_OPENING = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
_PHI_3_LOOP = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' and message['content'] %}{{ '<|system|>\n' + message['content'] + '<|end|>\n' }}"
    "{% elif message['role'] == 'user' %}{{ '<|user|>\n' + message['content'] + '<|end|>\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>\n' + message['content'] + '<|end|>\n' }}{% endif %}"
    "{% endfor %}"
)


@dataclass(frozen=True)
class PublishedTemplate:
    family: str
    system_prompt: SystemPrompt
    jinja: str
    bos: str = "<|bos|>"
    tokens: list[str] = field(default_factory=list)
    trims: bool = False

    def tokenizer(self) -> PreTrainedTokenizerFast:
        tokenizer = make_tiny_tokenizer()
        tokenizer.add_tokens([self.bos, *self.tokens], special_tokens=True)
        tokenizer.bos_token = self.bos
        tokenizer.chat_template = self.jinja
        return tokenizer

    def takes(self, conversation: Conversation) -> bool:
        return self.system_prompt is not SystemPrompt.NEVER or conversation[0]["role"] != "system"


_CHATML_TOKENS = ["<|im_start|>", "<|im_end|>"]
_PHI_3_TOKENS = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
_LLAMA_3_TOKENS = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
_MISTRAL_TOKENS = ["[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "</s>"]
_GEMMA_TOKENS = ["<start_of_turn>", "<end_of_turn>"]

PUBLISHED = {
    "chatml": PublishedTemplate(
        "chatml",
        SystemPrompt.OWN_TURN,
        "{% for message in messages %}{{ " + _CHATML_TURN + " }}{% endfor %}" + _CHATML_OPENING,
        tokens=_CHATML_TOKENS,
    ),
    "qwen 2.5": PublishedTemplate(
        "chatml",
        SystemPrompt.DEFAULT_TURN,
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' }}"
        "{% endif %}{{ " + _CHATML_TURN + " }}{% endfor %}" + _CHATML_OPENING,
        tokens=_CHATML_TOKENS,
    ),
    "qwen 3": PublishedTemplate(
        "chatml",
        SystemPrompt.OWN_TURN,
        "{%- set ns = namespace(last_query_index=messages|length - 1) %}{%- for message in messages %}"
        "{%- set content = message.content %}{%- if message.role == 'assistant' %}"
        "{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}"
        "{%- if loop.index0 > ns.last_query_index %}{{- '<|im_start|>assistant\n<think>\n\n</think>\n\n' + content }}"
        "{%- else %}{{- '<|im_start|>' + message.role + '\n' + content }}{%- endif %}"
        "{%- else %}{{- '<|im_start|>' + message.role + '\n' + content }}{%- endif %}{{- '<|im_end|>\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
        "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
        "{%- endif %}",
        tokens=[*_CHATML_TOKENS, "<think>", "</think>"],
    ),
    "phi-3.5": PublishedTemplate(
        "phi-3",
        SystemPrompt.OWN_TURN,
        _PHI_3_LOOP + "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
        tokens=_PHI_3_TOKENS,
    ),
    "phi-4-mini": PublishedTemplate(
        "phi-3",
        SystemPrompt.OWN_TURN,
        "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}",
        tokens=_PHI_3_TOKENS,
    ),
    "llama 3": PublishedTemplate(
        "llama-3",
        SystemPrompt.OWN_TURN,
        "{% for message in messages %}{% set content = " + _LLAMA_3_TURN + " %}"
        "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
        "{% if add_generation_prompt %}{{ " + _LLAMA_3_OPENING + " }}{% endif %}",
        bos="<|begin_of_text|>",
        tokens=_LLAMA_3_TOKENS,
        trims=True,
    ),
    "llama 3.2": PublishedTemplate(
        "llama-3",
        SystemPrompt.FRAMED_TURN,
        "{{- bos_token }}{%- if not date_string is defined %}{%- if strftime_now is defined %}"
        '{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}'
        "{%- endif %}{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content']|trim %}"
        "{%- set messages = messages[1:] %}{%- else %}{%- set system_message = '' %}{%- endif %}"
        "{{- '<|start_header_id|>system<|end_header_id|>\n\n' }}{{- 'Cutting Knowledge Date: December 2023\n' }}"
        "{{- 'Today Date: ' + date_string + '\n\n' }}{{- system_message }}{{- '<|eot_id|>' }}"
        "{%- for message in messages %}{{- " + _LLAMA_3_TURN + " }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- " + _LLAMA_3_OPENING + " }}{%- endif %}",
        bos="<|begin_of_text|>",
        tokens=_LLAMA_3_TOKENS,
        trims=True,
    ),
    "mistral 0.1": PublishedTemplate(
        "mistral",
        SystemPrompt.NEVER,
        "{{ bos_token }}{% for message in messages %}" + _ALTERNATING + "{% if message['role'] == 'user' %}"
        "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
        "{{ message['content'] + '</s> ' }}{% endif %}{% endfor %}",
        bos="<s>",
        tokens=["</s>"],
    ),
    "mistral 0.2": PublishedTemplate(
        "mistral",
        SystemPrompt.FIRST_QUESTION,
        _SYSTEM_APART + "{%- for message in loop_messages %}" + _ALTERNATING + "{%- if message['role'] == 'user' %}"
        "{%- if loop.first and system_message is defined %}"
        "{{- ' [INST] ' + system_message + '\n\n' + message['content'] + ' [/INST]' }}"
        "{%- else %}{{- ' [INST] ' + message['content'] + ' [/INST]' }}{%- endif %}"
        "{%- else %}{{- ' ' + message['content'] + '</s>' }}{%- endif %}{%- endfor %}",
        bos="<s>",
        tokens=["</s>"],
    ),
    "mistral 0.3": PublishedTemplate(
        "mistral",
        SystemPrompt.LAST_QUESTION,
        _SYSTEM_APART + "{%- for message in loop_messages %}{%- if message['role'] == 'user' %}"
        "{%- if loop.last and system_message is defined %}"
        "{{- '[INST] ' + system_message + '\n\n' + message['content'] + '[/INST]' }}"
        "{%- else %}{{- '[INST] ' + message['content'] + '[/INST]' }}{%- endif %}"
        "{%- else %}{{- ' ' + message['content']|trim + '</s>' }}{%- endif %}{%- endfor %}",
        bos="<s>",
        tokens=_MISTRAL_TOKENS,
    ),
    "mistral nemo": PublishedTemplate(
        "mistral",
        SystemPrompt.LAST_QUESTION,
        _SYSTEM_APART + "{%- for message in loop_messages %}{%- if message['role'] == 'user' %}"
        "{%- if loop.last and system_message is defined %}"
        "{{- '[INST]' + system_message + '\n\n' + message['content'] + '[/INST]' }}"
        "{%- else %}{{- '[INST]' + message['content'] + '[/INST]' }}{%- endif %}"
        "{%- else %}{{- message['content'] + '</s>' }}{%- endif %}{%- endfor %}",
        bos="<s>",
        tokens=_MISTRAL_TOKENS,
    ),
    "mistral small": PublishedTemplate(
        "mistral",
        SystemPrompt.DEFAULT_TURN,
        "{{- bos_token }}{%- if messages[0]['role'] == 'system' %}{%- set text = messages[0]['content'] %}"
        "{%- set loop_messages = messages[1:] %}{%- else %}{%- set text = 'You are Mistral Small 3.\nBe helpful.' %}"
        "{%- set loop_messages = messages %}{%- endif %}{{- '[SYSTEM_PROMPT]' + text + '[/SYSTEM_PROMPT]' }}"
        "{%- for message in loop_messages %}{%- if message['role'] == 'user' %}"
        "{{- '[INST]' + message['content'] + '[/INST]' }}{%- else %}{{- message['content'] + '</s>' }}{%- endif %}"
        "{%- endfor %}",
        bos="<s>",
        tokens=_MISTRAL_TOKENS,
    ),
    "gemma 2": PublishedTemplate(
        "gemma",
        SystemPrompt.NEVER,
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for message in messages %}" + _ALTERNATING + "{% if message['role'] == 'assistant' %}"
        "{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
        "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
        bos="<bos>",
        tokens=_GEMMA_TOKENS,
        trims=True,
    ),
    "gemma 3": PublishedTemplate(
        "gemma",
        SystemPrompt.FIRST_QUESTION,
        "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}"
        "{%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}{%- set loop_messages = messages[1:] -%}"
        "{%- else -%}{%- set first_user_prefix = '' -%}{%- set loop_messages = messages -%}{%- endif -%}"
        "{%- for message in loop_messages -%}" + _ALTERNATING + "{%- if message['role'] == 'assistant' -%}"
        "{%- set role = 'model' -%}{%- else -%}{%- set role = message['role'] -%}{%- endif -%}"
        "{{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else '') }}"
        "{{ message['content'] | trim }}{{ '<end_of_turn>\n' }}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}",
        bos="<bos>",
        tokens=_GEMMA_TOKENS,
        trims=True,
    ),
}
"""By the model whose form it is."""
