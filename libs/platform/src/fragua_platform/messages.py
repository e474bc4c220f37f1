"""Plain data of the platform as the protos of `fragua.common.v1` tell it."""

from __future__ import annotations

from fragua.common.v1 import artifact_pb2
from fragua_platform.artifacts.manifest import Bundle


def bundle_to_message(bundle: Bundle) -> artifact_pb2.Bundle:
    return artifact_pb2.Bundle(
        prefix=bundle.prefix,
        manifest_sha256=bundle.manifest_sha256,
        files=[
            artifact_pb2.Artifact(key=file.key, size_bytes=file.size, sha256=file.sha256)
            for file in bundle.manifest.files
        ],
    )
