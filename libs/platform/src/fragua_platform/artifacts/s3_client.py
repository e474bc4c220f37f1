"""What the `minio` client lacks: objects that are created only where none is, and errors in the words of the suite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from fragua_platform.errors import (
    AlreadyExists,
    Corrupted,
    FailedPrecondition,
    FraguaError,
    InternalError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Unavailable,
)

SHA256_HEADER = "x-amz-meta-sha256"

_ONLY_IF_ABSENT = {"If-None-Match": "*"}

_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "OperationAborted", "XMinioParentIsObject"}
_REFUSED = {
    "AccessDenied",
    "AccountProblem",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_WRONG_BUCKET = {"NoSuchBucket", "InvalidBucketName", "PermanentRedirect", "Redirect", "BucketAlreadyExists"}
_FULL = {"EntityTooLarge", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"}
_DAMAGED_ON_THE_WAY = {"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"}
_TRY_LATER = {
    "InternalError",
    "NoSuchUpload",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "Throttling",
    "XMinioServerNotInitialized",
}


class ConditionalMinio(Minio):
    """A `Minio` client that can also create an object on the condition that there is none.

    S3 spells the condition `If-None-Match: *`. `Minio.put_object` of 7.2 cannot send it: every header that it does
    not know becomes `x-amz-meta-…`. The one-request methods below it, which it is made of, sign and send whatever
    they are given; this class calls those. They are internal to minio, so the contract suite races two writers over
    each path: should a release rename one or drop the header, that fails.
    """

    def create_object(self, bucket: str, name: str, content: bytes, sha256: str) -> None:
        self._put_object(bucket, name, content, headers={SHA256_HEADER: sha256, **_ONLY_IF_ABSENT})

    def begin_upload(self, bucket: str, name: str, sha256: str) -> str:
        return self._create_multipart_upload(bucket, name, {SHA256_HEADER: sha256})

    def upload_part(self, bucket: str, name: str, upload_id: str, number: int, content: bytes) -> str:
        return self._upload_part(bucket, name, content, None, upload_id, number)

    def complete_upload(self, bucket: str, name: str, upload_id: str, etags: list[str]) -> None:
        """The object appears now; the condition belongs here, because beginning an upload takes no name."""
        document = ElementTree.Element("CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
        for number, etag in enumerate(etags, start=1):
            part = ElementTree.SubElement(document, "Part")
            ElementTree.SubElement(part, "PartNumber").text = str(number)
            ElementTree.SubElement(part, "ETag").text = f'"{etag}"'
        response = self._execute(
            "POST",
            bucket,
            name,
            body=ElementTree.tostring(document),
            headers={"Content-Type": "application/xml", **_ONLY_IF_ABSENT},
            query_params={"uploadId": upload_id},
        )
        # S3 may send its 200 before the parts are joined; what went wrong after that is only told in the body.
        if ElementTree.fromstring(response.data).tag.rpartition("}")[2] == "Error":
            raise S3Error.fromxml(response)

    def abort_upload(self, bucket: str, name: str, upload_id: str) -> None:
        self._abort_multipart_upload(bucket, name, upload_id)


def connect(
    endpoint: str, *, region: str, access_key: str, secret_key: str, seconds: float = 30, retries: int = 2
) -> ConditionalMinio:
    """A client whose calls end: each try after 5 s without a connection or `seconds` without a byte."""
    retry = Retry(
        total=retries,
        backoff_factor=0.2,
        status_forcelist=(429, 500, 502, 503, 504),
        # POST as well: beginning twice leaves one empty upload; completing twice is settled by looking at the object.
        allowed_methods=None,
        # The last answer comes back as it is: it names the error.
        raise_on_status=False,
        retry_after_max=5,
    )
    scheme, _, host = endpoint.partition("://")
    return ConditionalMinio(
        host,
        access_key=access_key,
        secret_key=secret_key,
        secure=scheme == "https",
        region=region,
        http_client=PoolManager(maxsize=10, timeout=Timeout(connect=min(5, seconds), read=seconds), retries=retry),
    )


@contextmanager
def s3_errors(endpoint: str, place: str) -> Iterator[None]:
    """Turn what minio and urllib3 raise about `place` (`bucket/name`) into the families of the suite."""
    try:
        yield
    except S3Error as error:
        raise _from_s3(error, endpoint, place) from error
    except ServerError as error:
        raise Unavailable(f"S3 at {endpoint} failed with HTTP status {error.status_code} on {place}") from error
    except (InvalidResponseError, ElementTree.ParseError) as error:
        raise Unavailable(
            f"{endpoint} does not answer like an S3 server on {place}; is `endpoint` of FRAGUA_ARTIFACTS_URL right?"
        ) from error
    except HTTPError as error:
        cause = getattr(error, "reason", None) or error
        raise Unavailable(
            f"S3 at {endpoint} cannot be reached or broke off on {place} ({type(cause).__name__})"
        ) from error


def _from_s3(error: S3Error, endpoint: str, place: str) -> FraguaError:
    code, status = error.code or "", error.response.status
    if code in {"NoSuchKey", "ResourceNotFound"}:
        return NotFound(f"no artifact {place} in S3 at {endpoint}")
    if code in _TAKEN or status == 412:
        return AlreadyExists(f"{place} already exists in S3 at {endpoint}")
    if code == "InvalidRange":
        return Corrupted(f"{place} in S3 at {endpoint} is shorter than it was when it was written")
    if code in _REFUSED:
        return FailedPrecondition(
            f"S3 at {endpoint} refuses access to {place} ({code}); check FRAGUA_ARTIFACTS_ACCESS_KEY, "
            "FRAGUA_ARTIFACTS_SECRET_KEY, `region` of FRAGUA_ARTIFACTS_URL, the clock, and that the policy allows "
            "s3:ListBucket, GetObject, PutObject, DeleteObject and AbortMultipartUpload"
        )
    if code in _WRONG_BUCKET:
        return FailedPrecondition(
            f"S3 at {endpoint} has no such bucket for {place} ({code}: {error.message}); "
            "check the bucket and `region` of FRAGUA_ARTIFACTS_URL, or create it"
        )
    if code in _FULL or status == 507:
        return LimitExceeded(f"S3 at {endpoint} has no room for {place} ({code}); free space or raise the quota")
    if code in {"KeyTooLongError", "XMinioInvalidObjectName"}:
        return InvalidInput(f"S3 at {endpoint} does not take the key {place} ({code})")
    if code in {"NotImplemented", "MethodNotAllowed"}:
        return FailedPrecondition(
            f"S3 at {endpoint} does not know the request for {place} ({code}); "
            "it must know conditional writes (If-None-Match), as AWS, MinIO and RustFS do"
        )
    if code in _TRY_LATER or code in _DAMAGED_ON_THE_WAY or status >= 500 or status == 429:
        return Unavailable(f"S3 at {endpoint} could not serve {place} now ({code})")
    return InternalError(f"S3 at {endpoint} answered {code} ({error.message}) on {place}")
