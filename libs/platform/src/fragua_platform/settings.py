"""Settings of every service, from `FRAGUA_…` environment variables; all problems reported together at start-up.

A secret may come from a file instead (`FRAGUA_DATABASE_URL_FILE=/run/secrets/…`). Where traces go is said by the
standard `OTEL_…` variables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, FilePath, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from fragua_platform.errors import InvalidInput, Violation
from fragua_platform.grpc.tls import ChannelTls, ServerTls
from fragua_platform.jobs.turns import BranchLimits

ENV_PREFIX: Final = "FRAGUA_"

EXAMPLE_SECRETS: Final = ("change-me", "changeme", "minioadmin", "rustfsadmin")
"""Published in our `.env.example` or as a server's default: anybody can look them up, so production refuses them."""

_SCHEMES: Final = {
    "database_url": ("sqlite", "postgresql+psycopg"),
    "artifacts_url": ("file", "s3"),
    "events_url": ("memory", "nats", "tls"),
}


class PlatformSettings(BaseSettings):
    """What every service has; services subclass it with their `service_name`, `port` and own fields.

    Read it with `load`. Declare further secrets as `SecretStr`, or with `Field(repr=False)` where the rest of the value
    is no secret: both are held against the published examples, and neither is ever printed.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, frozen=True, hide_input_in_errors=True, validate_default=True
    )
    service_name: ClassVar[str]

    # First, because the checks of the others depend on it.
    environment: Literal["dev", "production"] = "dev"
    """Anything but `dev` refuses published example passwords."""

    data_dir: Path = Path(".fragua")
    """Where the embedded database and artifacts live, and job directories."""
    database_url: str = Field("", repr=False)
    """`sqlite:///…` or `postgresql+psycopg://…`; a SQLite file below `data_dir` when unset."""
    artifacts_url: str = Field("", repr=False)
    """`file:///…` or `s3://bucket?endpoint=…`; a folder below `data_dir` when unset."""
    artifacts_access_key: SecretStr = SecretStr("")
    artifacts_secret_key: SecretStr = SecretStr("")
    events_url: str = Field("memory://", repr=False)
    """`memory://` within one process, or `nats://…`."""

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)
    """0 takes any free port."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Prometheus metrics; 0 means off."""
    tls_cert_file: FilePath | None = None
    tls_key_file: FilePath | None = None
    """Certificate and key of this service: PEM, both or neither."""
    tls_client_ca_file: FilePath | None = None
    """When set, only clients with a certificate of this authority are served."""
    tls_ca_file: FilePath | None = None
    """Who signed the other services' certificates; when set, calls to them use TLS."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    drain_seconds: float = Field(25.0, ge=0)
    """What running calls get to finish in when the service stops; below the 30 s after which Kubernetes kills."""
    lease_seconds: float = Field(30.0, gt=0)
    """A worker silent for this long has lost its job to another."""
    io_patience_seconds: float = Field(300.0, ge=0)
    """How long a running job waits for a database, store or bus that does not answer before it is given back."""
    max_deliveries: int = Field(20, ge=1, le=1000)
    """How often the queue offers a job to workers before it goes to the dead letters."""
    max_running_per_branch: int = Field(0, ge=0)
    """How many jobs of one branch may run at once in this service; 0 means as many as there are workers."""
    max_running_of: dict[str, Annotated[int, Field(ge=0)]] = {}
    """Other limits for single branches, as JSON: `{"tutor": 4}`."""

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """The settings of this process; `overrides` win over the environment.

        Raises `InvalidInput` with a violation for every variable that is wrong, which names the variable and never its
        value.
        """
        try:
            return cls(**overrides)
        except ValidationError as invalid:
            violations = [_violation(problem) for problem in invalid.errors(include_input=False, include_url=False)]
            listed = "".join(f"\n  {violation.field}: {violation.description}" for violation in violations)
            # `from None`: the original knows the values.
            raise InvalidInput(f"the settings are wrong:{listed}", violations=violations) from None

    @property
    def branch_limits(self) -> BranchLimits:
        return BranchLimits(self.max_running_per_branch, self.max_running_of)

    @property
    def server_tls(self) -> ServerTls | None:
        if self.tls_cert_file is None or self.tls_key_file is None:
            return None
        return ServerTls(self.tls_cert_file, self.tls_key_file, self.tls_client_ca_file)

    @property
    def channel_tls(self) -> ChannelTls | None:
        if self.tls_ca_file is None:
            return None
        return ChannelTls(self.tls_ca_file, self.tls_cert_file, self.tls_key_file)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, SecretFileSource(settings_cls), env_settings

    @field_validator("*", mode="before")
    @classmethod
    def _report_unusable_file(cls, value: object) -> object:
        if isinstance(value, UnusableFile):
            raise ValueError(value.problem)
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("data_dir")
    @classmethod
    def _independent_of_working_directory(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("database_url", "artifacts_url")
    @classmethod
    def _embedded_default(cls, value: str, info: ValidationInfo) -> str:
        if value or "data_dir" not in info.data:
            return value
        data_dir: Path = info.data["data_dir"]
        if info.field_name == "artifacts_url":
            return (data_dir / "artifacts").as_uri()
        return f"sqlite:///{data_dir / cls.service_name}.db"

    @field_validator(*_SCHEMES)
    @classmethod
    def _known_scheme(cls, value: str, info: ValidationInfo) -> str:
        schemes = _SCHEMES[str(info.field_name)]
        if value.partition("://")[0] not in schemes:
            raise ValueError(f"expected a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return value

    @field_validator("tls_key_file", "tls_client_ca_file")
    @classmethod
    def _with_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        certificate = info.data.get("tls_cert_file")
        if value is not None and certificate is None:
            raise ValueError("is of no use without FRAGUA_TLS_CERT_FILE; set both or neither")
        if info.field_name == "tls_key_file" and value is None and certificate is not None:
            raise ValueError("is missing: FRAGUA_TLS_CERT_FILE needs its key")
        return value

    @field_validator("*")
    @classmethod
    def _no_published_secret(cls, value: Any, info: ValidationInfo) -> Any:
        # An invalid environment is missing from the data; assume the stricter one.
        if info.data.get("environment") == "dev" or not _is_secret(cls.model_fields[str(info.field_name)]):
            return value
        secret = _secret_part(value)
        if any(example in secret.lower() for example in EXAMPLE_SECRETS):
            raise ValueError("is a published example password; set one of your own, or FRAGUA_ENVIRONMENT=dev")
        return value


class UnusableFile:
    """Stands for a secret whose file gave none, until validation reports it along with everything else."""

    def __init__(self, problem: str) -> None:
        self.problem = problem


class SecretFileSource(EnvSettingsSource):
    """`FRAGUA_X_FILE` names a file with the value of the secret setting `x`, as docker and Kubernetes mount them."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = _variable(field_name)
        path = self.env_vars.get(f"{variable}_FILE".lower()) if _is_secret(field) else None
        if not path:
            return None, field_name, False
        if self.env_vars.get(variable.lower()):
            return UnusableFile(f"both {variable} and {variable}_FILE are set; keep one"), field_name, False
        try:
            return Path(path).read_text("utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as unreadable:
            reason = unreadable.strerror if isinstance(unreadable, OSError) else "not UTF-8 text"
            return UnusableFile(f"cannot read {path}, which {variable}_FILE names: {reason}"), field_name, False


def _is_secret(field: FieldInfo) -> bool:
    return field.annotation is SecretStr or not field.repr


def _secret_part(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return unquote(urlsplit(str(value)).password or "")


def _variable(field_name: str) -> str:
    return f"{ENV_PREFIX}{field_name.upper()}"


def _violation(problem: Any) -> Violation:
    field = ".".join(str(step) for step in problem["loc"])
    return Violation(_variable(field), problem["msg"].removeprefix("Value error, "))
