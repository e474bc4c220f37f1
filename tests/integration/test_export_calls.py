"""Ordering, estimating, verifying and signing exports, over gRPC on the service as its bootstrap wires it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fragua.dataset.v1 import dataset_pb2
from fragua.exporter.v1 import exporter_pb2
from fragua.exporter.v1 import exporter_service_pb2 as calls
from fragua.trainer.v1 import trainer_pb2
from fragua_platform.artifacts.local import LocalArtifactStore
from fragua_platform.artifacts.store import ArtifactRef
from fragua_platform.errors import FailedPrecondition, InternalError, InvalidInput, LimitExceeded, NotFound, Unavailable
from tests.integration.export_site import ADAPTER, BASE, BRANCH, VERSION, ExportSite, export_site, measured
from tests.servers import S3Server
from tests.tiny_models import make_tiny_llama
from tests.unit.fragua_exporter.adapters import make_adapter

Q4, F16 = exporter_pb2.QUANTIZATION_Q4_K_M, exporter_pb2.QUANTIZATION_F16
GGUF = b"GGUF" + bytes(range(256)) * 9_000
FILES = {
    "tutor-3-q4_k_m.gguf": GGUF,
    "Modelfile": b"FROM ./tutor-3-q4_k_m.gguf\n",
    "README.md": "# tutor-3, el señor\n".encode(),
    "merged/config.json": b"{}",
    "export_info.json": json.dumps({"files": [measured("tutor-3-q4_k_m.gguf", GGUF, "q4_k_m")]}).encode(),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of several megabytes, so that its headers are a small part of it."""
    return make_tiny_llama(tmp_path_factory.mktemp("base"), seed=5, hidden=256)


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter(base, tmp_path_factory.mktemp("adapter"))


@pytest.fixture
async def site(tmp_path: Path, base: Path, adapter: Path) -> AsyncIterator[ExportSite]:
    async with export_site(tmp_path, base, adapter) as site:
        yield site


@pytest.fixture
async def finished(site: ExportSite) -> exporter_pb2.Export:
    return await site.finish(await site.order(quantizations=[Q4]), FILES)


async def verified(site: ExportSite, export: exporter_pb2.Export) -> exporter_pb2.ExportVerification:
    found: exporter_pb2.ExportVerification = await site.stub.VerifyExport(calls.VerifyExportRequest(name=export.name))
    return found


def signing(export: exporter_pb2.Export, key: Ed25519PrivateKey, *, name: str = "", signer: str = "Íñigo") -> Any:
    message = f"fragua export v1\n{name or export.name}\n{export.bundle.manifest_sha256}\n"
    return calls.SignExportRequest(
        name=export.name,
        signer=signer,
        public_key=key.public_key().public_bytes_raw(),
        signature=key.sign(message.encode()),
    )


def fields(error: InvalidInput) -> list[str]:
    return [violation.field for violation in error.violations]


# --- order


# R154, R190, R193
async def test_everything_that_is_ordered_is_kept_and_reaches_the_engine(site: ExportSite) -> None:
    ordered = await site.order(
        quantizations=[Q4, F16],
        merged_model=True,
        adapter_gguf=True,
        system_prompt="Eres un señor.",
        probe_prompt="¿Quién eres?",
        parameters=exporter_pb2.SamplingParameters(temperature=0.0, top_k=7),
        license="Apache-2.0",
        importance_dataset=VERSION,
        task_dataset=VERSION,
        task_rows=5,
    )
    assert list(ordered.quantizations) == [Q4, F16]
    assert (ordered.merged_model, ordered.adapter_gguf, ordered.license) == (True, True, "Apache-2.0")
    assert (ordered.importance_dataset, ordered.task_dataset, ordered.task_rows) == (VERSION, VERSION, 5)
    assert ordered.parameters == exporter_pb2.SamplingParameters(temperature=0.0, top_p=0.9, top_k=7, num_ctx=4096)

    await site.finish(ordered, FILES)

    job = site.job_of(ordered)
    spec = job.read_spec()
    assert spec["parameters"] == {"temperature": 0.0, "top_p": 0.9, "top_k": 7, "num_ctx": 4096}
    assert (spec["importance"], spec["task_rows"], spec["license"]) == (True, 5, "Apache-2.0")
    assert "¿Dos?" in (job.inputs / "importance" / "train.jsonl").read_text("utf-8")
    assert "¿Dos?" in (job.inputs / "task" / "validation.jsonl").read_text("utf-8")
    assert spec["provenance"]["task_dataset"] == VERSION


async def test_the_engine_learns_what_the_services_know_of_an_exports_history(site: ExportSite) -> None:
    ordered = await site.order(task_dataset=VERSION)
    await site.finish(ordered, FILES)
    history = json.loads((site.job_of(ordered).inputs / "history.json").read_text("utf-8"))
    assert history["export"] == ordered.name
    assert [(each["role"], each["name"], each["manifest_sha256"]) for each in history["ingredients"]] == [
        ("base model", BASE, site.trainer.base.bundle.manifest_sha256),
        ("adapter", ADAPTER, site.trainer.adapter.bundle.manifest_sha256),
        ("task dataset", VERSION, site.datasets.version.bundle.manifest_sha256),
    ]
    assert history["scores"][0]["tuned_score"] == 0.75
    assert history["warnings"] == ["cuantizada antes"]


async def test_a_task_without_a_number_of_rows_asks_a_hundred(site: ExportSite) -> None:
    assert (await site.order(task_dataset=VERSION)).task_rows == 100
    assert (await site.order()).task_rows == 0


async def test_everything_that_an_order_refers_to_and_is_not_there_is_named_at_once(site: ExportSite) -> None:
    site.trainer.adapter.state = trainer_pb2.ADAPTER_STATE_TRAINING
    missing = VERSION.replace("sumas", "restas")
    with pytest.raises(InvalidInput) as refused:
        await site.order(quantizations=[Q4], importance_dataset=missing, task_dataset=missing)
    assert fields(refused.value) == ["export.adapter", "export.importance_dataset", "export.task_dataset"]


async def test_datasets_that_cannot_serve_are_refused(site: ExportSite) -> None:
    site.datasets.version.validation_row_count = 0
    with pytest.raises(InvalidInput, match="holds nothing out"):
        await site.order(task_dataset=VERSION)
    site.datasets.version.state = dataset_pb2.DATASET_VERSION_STATE_AWAITING_APPROVAL
    with pytest.raises(InvalidInput, match="only READY versions"):
        await site.order(quantizations=[Q4], importance_dataset=VERSION)


async def test_what_would_be_ordered_and_never_used_is_refused(site: ExportSite) -> None:
    with pytest.raises(InvalidInput) as refused:
        await site.order(quantizations=[F16], importance_dataset=VERSION, task_rows=5)
    assert fields(refused.value) == ["export.importance_dataset", "export.task_rows"]


async def test_texts_that_no_modelfile_can_carry_are_refused_when_they_are_ordered(site: ExportSite) -> None:
    with pytest.raises(InvalidInput) as refused:
        await site.order(system_prompt='Di """hola"""', license="una\x00licencia")
    assert fields(refused.value) == ["system_prompt", "license"]


# R158
async def test_an_export_tells_what_was_measured_on_each_file(finished: exporter_pb2.Export) -> None:
    [file] = finished.files
    assert file.artifact.size_bytes == len(GGUF)
    assert file.verification == exporter_pb2.Verification(
        token_ids_equal=True,
        max_kl_divergence=0.02,
        mean_kl_divergence=0.001,
        top1_agreement=0.99,
        answer="Sí, señor.",
        answer_stopped=True,
        answer_tokens=9,
        answer_tokens_equal=8,
        task_score=0.75,
        task_score_delta=-0.05,
        fallback_tensors=1,
    )


# --- estimate


class RottingStore(LocalArtifactStore):
    """Loses a bit of the next GGUF file that it is given."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self.rotten = False

    async def put_file(self, key: str, source: Path) -> ArtifactRef:
        ref = await super().put_file(key, source)
        if key.endswith(".gguf") and not self.rotten:
            self.rotten = True
            stored = self.folder / key
            stored.chmod(0o600)
            stored.write_bytes(stored.read_bytes()[:-1] + b"?")
        return ref


# R158
async def test_an_export_that_did_not_arrive_as_it_was_proven_is_not_there_until_it_did(site: ExportSite) -> None:
    ordered = await site.order(quantizations=[Q4])
    kind: Any = site.service.kinds["export"]
    kind._store = RottingStore(site.folder / "artifacts")
    with pytest.raises(
        Unavailable, match=r"tutor-3-q4_k_m\.gguf did not arrive in the artifact store as sent"
    ) as failed:
        await site.finish(ordered, FILES)
    assert failed.value.reason == "UPLOAD_DAMAGED"
    job = await site.resources.database.run(lambda connection: site.service.jobs.get(connection, ordered.name))
    assert await kind.find_published(job) is None
    await kind.publish(job, site.job_of(ordered))
    published = await kind.find_published(job)
    assert published["files"][0]["sha256"] == hashlib.sha256(GGUF).hexdigest()


async def test_a_file_that_changed_after_its_proof_is_not_published(site: ExportSite) -> None:
    ordered = await site.order(quantizations=[Q4])
    with pytest.raises(InternalError, match=r"tutor-3-q4_k_m\.gguf changed on the worker's disk after the proof"):
        await site.finish(ordered, FILES | {"tutor-3-q4_k_m.gguf": GGUF[:-1] + b"?"})
    assert list(site.stored("models/gguf").rglob("manifest.json")) == []


async def test_a_link_gives_any_part_of_a_file_without_credentials(
    s3_server: S3Server, base: Path, adapter: Path, tmp_path: Path
) -> None:
    on_s3 = {
        "artifacts_url": s3_server.url_of(s3_server.create_bucket()),
        "artifacts_access_key": s3_server.access_key,
        "artifacts_secret_key": s3_server.secret_key,
    }
    async with export_site(tmp_path, base, adapter, **on_s3) as site:
        export = await site.finish(await site.order(quantizations=[Q4]), FILES)
        asked = calls.GetExportDownloadUrlRequest(name=export.name, file="tutor-3-q4_k_m.gguf")
        link = await site.stub.GetExportDownloadUrl(asked)
        assert link.expire_time.ToDatetime(UTC) > datetime.now(UTC)

    def download(part: str) -> tuple[int, bytes]:
        # A download that broke off asks for the rest.
        with urlopen(Request(link.url, headers={"Range": f"bytes={part}"})) as answer:
            return answer.status, answer.read()

    assert await asyncio.to_thread(download, "0-3") == (206, b"GGUF")
    assert await asyncio.to_thread(download, "1000000-") == (206, GGUF[1_000_000:])


async def test_an_estimate_comes_from_headers_alone(site: ExportSite) -> None:
    weights = site.stored("models/base/tiny/aa/model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 0xFF  # Whoever read the weights would notice.
    weights.chmod(0o644)
    weights.write_bytes(content)
    export = exporter_pb2.Export(adapter=ADAPTER, quantizations=[Q4, F16])
    found = await site.stub.EstimateExport(calls.EstimateExportRequest(parent=BRANCH, export=export))
    sizes = {file.quantization: file.size_bytes for file in found.files}
    assert 0 < sizes[Q4] < sizes[F16] < len(content)
    inputs = sum(file.size_bytes for file in site.trainer.base.bundle.files)
    assert found.disk_bytes > inputs + sizes[Q4] + sizes[F16]
    assert found.memory_bytes > len(content)
    assert found.disk_free_bytes > 0 and found.memory_free_bytes > 0


@pytest.mark.parametrize("header", [b"[" * 50_000, b"{}[", b'{"a": 1}', b'{"a": {"shape": [-1]}}'], ids=lambda h: h[:9])
async def test_an_estimate_names_a_file_whose_header_is_none(site: ExportSite, header: bytes) -> None:
    weights = site.stored("models/base/tiny/aa/model.safetensors")
    content = len(header).to_bytes(8, "little") + header
    weights.chmod(0o644)
    weights.write_bytes(content + weights.read_bytes()[len(content) :])
    export = exporter_pb2.Export(adapter=ADAPTER, quantizations=[Q4])
    with pytest.raises(InvalidInput, match=r"model\.safetensors is no whole safetensors file: import the base again"):
        await site.stub.EstimateExport(calls.EstimateExportRequest(parent=BRANCH, export=export))


async def test_an_estimate_refuses_what_a_creation_would(site: ExportSite) -> None:
    export = exporter_pb2.Export(adapter=f"{BRANCH}/adapters/9")
    with pytest.raises(InvalidInput, match="adapters/9 does not exist"):
        await site.stub.EstimateExport(calls.EstimateExportRequest(parent=BRANCH, export=export))


# --- verify and sign


async def test_an_export_that_nobody_touched_is_intact(site: ExportSite, finished: exporter_pb2.Export) -> None:
    assert await verified(site, finished) == exporter_pb2.ExportVerification(intact=True)


@pytest.mark.parametrize("file", sorted(FILES))
async def test_one_changed_byte_of_any_file_is_named(
    site: ExportSite, finished: exporter_pb2.Export, file: str
) -> None:
    stored = site.stored(f"{finished.bundle.prefix}/{file}")
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.chmod(0o644)
    stored.write_bytes(content)
    found = await verified(site, finished)
    assert not found.intact
    assert [fault.partition(":")[0] for fault in found.faults] == [file]


async def test_files_that_are_gone_or_cut_are_named_each(site: ExportSite, finished: exporter_pb2.Export) -> None:
    site.stored(f"{finished.bundle.prefix}/README.md").unlink()
    gguf = site.stored(f"{finished.bundle.prefix}/tutor-3-q4_k_m.gguf")
    gguf.chmod(0o644)
    gguf.write_bytes(GGUF[:1000])
    found = await verified(site, finished)
    assert found.faults[0] == "README.md: it is gone"
    assert found.faults[1].startswith("tutor-3-q4_k_m.gguf: ") and "1000 bytes" in found.faults[1]


async def test_a_file_that_is_exchanged_with_its_manifest_is_found_out(
    site: ExportSite, finished: exporter_pb2.Export
) -> None:
    """Whoever can write to the store can make it agree with itself; the database and the signatures do not."""
    key = Ed25519PrivateKey.generate()
    await site.stub.SignExport(signing(finished, key))
    manifest = site.stored(f"{finished.bundle.prefix}/manifest.json")
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(b'"attempt": "1"', b'"attempt": "2"'))
    found = await verified(site, finished)
    assert not found.intact
    assert found.faults[0].startswith("manifest.json: its sha256 is ")
    assert [check.valid for check in found.signatures] == [False]


async def test_a_signature_is_kept_shown_and_checked(site: ExportSite, finished: exporter_pb2.Export) -> None:
    key = Ed25519PrivateKey.generate()
    signed = await site.stub.SignExport(signing(finished, key))
    assert await site.stub.SignExport(signing(finished, key)) == signed, "the same again changes nothing"
    [signature] = (await site.get(finished.name)).signatures
    assert (signature.signer, signature.public_key) == ("Íñigo", key.public_key().public_bytes_raw())
    assert signature.sign_time.seconds > 0
    [listed] = (await site.stub.ListExports(calls.ListExportsRequest(parent=BRANCH))).exports
    assert list(listed.signatures) == [signature]
    found = await verified(site, finished)
    assert found.intact
    assert [(check.signer, check.valid) for check in found.signatures] == [("Íñigo", True)]


async def test_the_latest_signature_of_a_key_counts(site: ExportSite, finished: exporter_pb2.Export) -> None:
    key = Ed25519PrivateKey.generate()
    await site.stub.SignExport(signing(finished, key))
    renamed = await site.stub.SignExport(signing(finished, key, signer="Íñigo Muñoz"))
    assert [signature.signer for signature in renamed.signatures] == ["Íñigo Muñoz"]


async def test_a_signature_of_other_words_is_refused(site: ExportSite, finished: exporter_pb2.Export) -> None:
    key = Ed25519PrivateKey.generate()
    request = signing(finished, key, name=f"{BRANCH}/exports/otra")
    with pytest.raises(InvalidInput, match="sign these very lines") as refused:
        await site.stub.SignExport(request)
    assert fields(refused.value) == ["signature"]
    other = signing(finished, key)
    other.public_key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(InvalidInput):
        await site.stub.SignExport(other)
    assert not (await site.get(finished.name)).signatures


async def test_nobody_can_fill_the_table_with_signatures(site: ExportSite, finished: exporter_pb2.Export) -> None:
    for _ in range(64):
        await site.stub.SignExport(signing(finished, Ed25519PrivateKey.generate()))
    with pytest.raises(LimitExceeded, match="64 signatures"):
        await site.stub.SignExport(signing(finished, Ed25519PrivateKey.generate()))


async def test_what_is_not_finished_can_neither_be_signed_nor_verified(site: ExportSite) -> None:
    queued = await site.order()
    with pytest.raises(FailedPrecondition, match="QUEUED; it can be verified once it is SUCCEEDED"):
        await verified(site, queued)
    with pytest.raises(FailedPrecondition, match="QUEUED; it can be signed once it is SUCCEEDED"):
        await site.stub.SignExport(signing(queued, Ed25519PrivateKey.generate()))
    with pytest.raises(NotFound):
        await site.stub.VerifyExport(calls.VerifyExportRequest(name=f"{BRANCH}/exports/nada"))
