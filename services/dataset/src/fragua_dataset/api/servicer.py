"""The dataset service over gRPC. Each method parses, calls one use case, and answers with the resource."""

from __future__ import annotations

from fragua.dataset.v1 import dataset_service_pb2_grpc
from fragua_dataset.api.branch_calls import BranchCalls
from fragua_dataset.api.conversion_calls import ConversionCalls
from fragua_dataset.api.derivation_calls import DerivationCalls
from fragua_dataset.api.policy_calls import PolicyCalls
from fragua_dataset.api.review_calls import ReviewCalls
from fragua_dataset.api.row_calls import RowCalls
from fragua_dataset.api.synthesis_calls import SynthesisCalls
from fragua_dataset.api.upload_calls import UploadCalls
from fragua_dataset.api.version_calls import VersionCalls
from fragua_dataset.application.branches import BranchDirectory
from fragua_dataset.application.conversions import Conversions
from fragua_dataset.application.derivations import Derivations
from fragua_dataset.application.diffs import Diffs
from fragua_dataset.application.downloads import Downloads
from fragua_dataset.application.imports import Imports
from fragua_dataset.application.policies import Policies
from fragua_dataset.application.review import Reviews
from fragua_dataset.application.rows import Rows
from fragua_dataset.application.synthesis import Syntheses
from fragua_dataset.application.verification import Verifications
from fragua_dataset.application.versions import Versions


class DatasetServicer(
    BranchCalls,
    PolicyCalls,
    UploadCalls,
    VersionCalls,
    DerivationCalls,
    ReviewCalls,
    RowCalls,
    ConversionCalls,
    SynthesisCalls,
    dataset_service_pb2_grpc.DatasetServiceServicer,
):
    def __init__(
        self,
        branches: BranchDirectory,
        policies: Policies,
        versions: Versions,
        imports: Imports,
        derivations: Derivations,
        reviews: Reviews,
        verifications: Verifications,
        rows: Rows,
        diffs: Diffs,
        conversions: Conversions,
        downloads: Downloads,
        syntheses: Syntheses,
    ) -> None:
        self._branches = branches
        self._policies = policies
        self._versions = versions
        self._imports = imports
        self._derivations = derivations
        self._reviews = reviews
        self._verifications = verifications
        self._rows = rows
        self._diffs = diffs
        self._conversions = conversions
        self._downloads = downloads
        self._syntheses = syntheses
