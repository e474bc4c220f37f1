"""A model hub that speaks the Hugging Face protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils.tqdm import disable_progress_bars

from fragua_platform.errors import Corrupted, InvalidInput, NotFound, Unavailable, Violation
from fragua_trainer.mirror import HubFile


class Hub:
    """Implements `fragua_trainer.mirror.ModelHub`."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is the library's own, or that of HF_ENDPOINT, when empty."""
        self._endpoint = endpoint or None
        disable_progress_bars()

    def files(self, hub_id: str, revision: str, token: str) -> list[HubFile]:
        with _meaning(hub_id, revision):
            info = HfApi(endpoint=self._endpoint).model_info(
                hub_id, revision=revision, files_metadata=True, token=token or False
            )
        return [
            HubFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else "") for file in info.siblings or []
        ]

    def fetch(self, hub_id: str, revision: str, file: HubFile, token: str, target: Path) -> None:
        """Go on after the bytes that `target` has already; whatever arrives is held to its size and digest."""
        url = hf_hub_url(hub_id, file.path, revision=revision, endpoint=self._endpoint)
        with _meaning(hub_id, revision), target.open("ab") as content:
            if content.tell() < file.size:
                http_get(
                    url,
                    content,
                    resume_size=content.tell(),
                    headers=build_hf_headers(token=token or False),
                    expected_size=file.size,
                )
        if file.sha256:
            with target.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            if digest != file.sha256:
                target.unlink()
                raise Corrupted(f"{file.path} arrived with other bytes than {hub_id} announces; ask again")


@contextmanager
def _meaning(hub_id: str, revision: str) -> Iterator[None]:
    """Turn the hub's answers into the suite's errors."""
    try:
        yield
    except GatedRepoError as gated:
        problem = (
            f"{hub_id} is gated: accept its terms, put a token with access into an environment variable FRAGUA_HUB_… of "
            "the trainer service, and name that variable"
        )
        raise InvalidInput(problem, violations=[Violation("token_variable", problem)], reason="GATED_MODEL") from gated
    except RevisionNotFoundError as missing:
        raise NotFound(f"{hub_id} has no revision {revision}") from missing
    except RepositoryNotFoundError as missing:
        raise NotFound(f"{hub_id} does not exist, or only for those who have a token of it") from missing
    except (HfHubHTTPError, httpx.HTTPError, OSError) as unreachable:
        raise Unavailable(f"the hub did not deliver {hub_id}: {unreachable}; ask again to go on") from unreachable
