"""Every setting, and the only reader of the environment.

A setting comes from the command line, from `HEADWATER_<NAME>` (nested:
`HEADWATER_LIMITS__SECONDS`), or from its default here. `docs/reference/settings.md` documents each.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

GIB = 1024**3
MIB = 1024**2


class LimitSettings(BaseModel):
    """What one statement may use at most, and how many run and wait."""

    seconds: float = Field(3600.0, gt=0, description="Wall time of a statement, in seconds.")
    memory_bytes: int = Field(
        0, ge=0, description="Memory of one engine worker; 0 shares 60 % of the machine's."
    )
    result_bytes: int = Field(4 * GIB, gt=0, description="Arrow bytes of one result.")
    scan_bytes: int = Field(0, ge=0, description="Bytes that one statement may scan; 0: any.")
    statement_bytes: int = Field(MIB, gt=0, description="UTF-8 bytes of one statement's text.")
    queue_length: int = Field(200, gt=0, description="Statements that may wait for a worker.")
    queue_length_per_principal: int = Field(50, gt=0, description="The same, of one principal.")
    client_seconds: float = Field(
        300.0, gt=0, description="A statement whose client asks no more for so long is canceled."
    )
    result_seconds: float = Field(
        900.0, gt=0, description="How long a result is kept after it was last asked for."
    )
    upload_bytes: int = Field(64 * GIB, gt=0, description="Bytes of one file that is sent.")
    history_days: int = Field(90, gt=0, description="How long the query history is kept.")


class EngineSettings(BaseModel):
    """The pool of DuckDB worker processes."""

    workers: int = Field(2, ge=1, le=64, description="Engine worker processes.")
    threads: int = Field(0, ge=0, description="Threads of one worker; 0: the machine's cores.")
    spill_bytes: int = Field(50 * GIB, gt=0, description="Disk that one worker may spill to.")


class UserEngineSettings(BaseModel):
    """The processes that run users' Spark code: Sail and Spark, in the sandbox."""

    sail_release: str = Field("sail", description="Release that Sail comes from.")
    spark_release: str = Field("spark-4.1", description="Release that Spark comes from.")
    memory_bytes: int = Field(
        0, ge=0, description="Memory of one process; 0: a third of the machine's."
    )
    disk_bytes: int = Field(50 * GIB, gt=0, description="Disk that one process may fill.")
    processes: int = Field(1024, gt=0, description="Processes and threads of one.")
    max_processes: int = Field(8, gt=0, description="How many of them run at once.")
    idle_seconds: float = Field(900.0, gt=0, description="One that is idle so long is ended.")
    start_seconds: float = Field(120.0, gt=0, description="How long one may take to start.")
    watch_seconds: float = Field(0.5, gt=0, description="Time between looks at their memory.")
    spare_sail: int = Field(1, ge=0, description="Sail processes kept ready for the next user.")
    spare_spark: int = Field(0, ge=0, description="The same of Spark.")

    def release(self, engine: str) -> str:
        """The release that an engine comes from by default."""
        return self.sail_release if engine == "sail" else self.spark_release

    def memory(self) -> int:
        """Bytes that one process may use."""
        if self.memory_bytes:
            return self.memory_bytes
        return max(GIB, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 3)


class JobSettings(BaseModel):
    """What job runs may use, and how long they are kept."""

    vcpu: float = Field(0.0, ge=0, description="CPUs of all running runs; 0: the machine's.")
    memory_bytes: int = Field(
        0, ge=0, description="Memory of all running runs; 0: half of the machine's."
    )
    runs_per_principal: int = Field(8, gt=0, description="Runs of one principal that may run.")
    waiting_per_principal: int = Field(
        500, gt=0, description="Runs of one principal that may have not ended."
    )
    seconds: float = Field(
        12 * 3600.0, gt=0, description="Wall time of a run's attempt that names none."
    )
    grace_seconds: float = Field(
        10.0, ge=0, description="Time between a polite request to end and the kill."
    )
    processes: int = Field(512, gt=0, description="Processes and threads of one run.")
    disk_bytes: int = Field(20 * GIB, gt=0, description="Files that one run may write.")
    log_bytes: int = Field(
        32 * MIB, ge=64 * 1024, description="What is kept of each stream of an attempt."
    )
    entry_bytes: int = Field(512 * MIB, gt=0, description="Size of one uploaded program.")
    keep_days: int = Field(90, gt=0, description="How long ended runs and their logs are kept.")
    unconfined: bool = Field(
        False, description="Run user code where no sandbox works; it then sees all of the home."
    )


class BackendSettings(BaseModel):
    """Where Spark runs go: this machine or a cluster. Each backend reads the part that it needs."""

    name: Literal["local", "spark-standalone", "spark-connect", "kubernetes", "yarn"] = Field(
        "local", description="Where runs go that do not say."
    )
    master: str = Field("", description="The cluster: spark://HOST:7077 or k8s://https://HOST.")
    connect: str = Field("", description="A remote Spark Connect endpoint, sc://HOST:15002.")
    connect_token_file: Path | None = Field(None, description="The file that holds its token.")
    driver_host: str = Field("", description="This machine's address as the cluster reaches it.")
    catalog: str = Field(
        "",
        description="This server's Iceberg catalog as a driver in the cluster reaches it: "
        "https://HOST/iceberg; drivers on this machine need none.",
    )
    python: str = Field("", description="The Python of executors, as the cluster finds it.")
    user: str = Field("", description="The user name that the cluster is told.")
    image: str = Field("", description="Kubernetes: the container image of the release.")
    namespace: str = Field("", description="Kubernetes: the namespace.")
    service_account: str = Field("", description="Kubernetes: the driver's service account.")
    upload_path: str = Field("", description="Kubernetes: where a run's files are uploaded to.")
    hadoop_conf: Path | None = Field(None, description="YARN: the folder of its configuration.")
    queue: str = Field("", description="YARN: the queue.")
    conf: dict[str, str] = Field(
        default_factory=dict, description="Spark settings of every run there, as JSON."
    )
    unreachable_seconds: float = Field(
        60.0, gt=0, description="A run is lost when its cluster does not answer for so long."
    )


class SweepSettings(BaseModel):
    """When files that no table refers to are removed from the warehouse."""

    interval_seconds: float = Field(3600.0, ge=0, description="Time between sweeps; 0: none.")
    grace_seconds: float = Field(
        86400.0,
        ge=0,
        description="Age from which such a file is removed; more than any write may take.",
    )


class S3Settings(BaseModel):
    """An S3 that is already there; `--storage s3` without an endpoint starts the embedded one."""

    endpoint: str | None = Field(None, description="URL of the S3 API.")
    bucket: str = Field("lake", description="Bucket of the warehouse.")
    prefix: str = Field("warehouse", description="Key prefix of the warehouse in the bucket.")
    region: str = Field("us-east-1", description="Region that requests are signed for.")
    access_key_id: SecretStr | None = Field(None, description="The server's own key.")
    secret_access_key: SecretStr | None = Field(None, description="The server's own secret.")
    role_arn: str | None = Field(None, description="Role assumed for scoped credentials.")
    credential_seconds: int = Field(3600, ge=900, le=43200, description="Life of vended keys.")


class LocationSettings(BaseModel):
    """How the server reaches the files of one S3 location."""

    endpoint: str | None = Field(None, description="URL of the S3 API; left out: AWS's own.")
    region: str = Field("us-east-1", description="Region that requests are signed for.")
    access_key_id: SecretStr = Field(description="A key that may list and read the location.")
    secret_access_key: SecretStr = Field(description="Its secret.")


class Settings(BaseSettings):
    """All of Headwater's settings; made once, in `headwater.server.compose` or by the CLI."""

    model_config = SettingsConfigDict(
        env_prefix="HEADWATER_", env_nested_delimiter="__", extra="ignore"
    )

    home: Path = Field(Path("~/.headwater"), description="Where Headwater keeps everything.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8420, ge=0, le=65535, description="HTTP port; 0 picks a free one.")
    metastore: str | None = Field(None, description="Database URL; default: SQLite in the home.")
    storage: Literal["local", "s3"] = Field("local", description="Where tables' files live.")
    samples: bool = Field(True, description="Load the sample lake on first start.")
    allowed_hosts: list[str] = Field(
        default_factory=list, description="Host names accepted beside the loopback ones."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What is logged."
    )
    limits: LimitSettings = LimitSettings()
    engine: EngineSettings = EngineSettings()
    releases: Path | None = Field(
        None, description="Where releases are installed; default: in the home."
    )
    user_engines: UserEngineSettings = UserEngineSettings()
    jobs: JobSettings = JobSettings()
    backend: BackendSettings = BackendSettings()
    sweep: SweepSettings = SweepSettings()
    s3: S3Settings = S3Settings()
    locations: dict[str, LocationSettings] = Field(
        default_factory=dict,
        description="Endpoint and keys of S3 locations that those of `s3` do not reach, as JSON.",
    )

    @property
    def home_path(self) -> Path:
        """The home as an absolute path."""
        return self.home.expanduser().absolute()

    @property
    def releases_path(self) -> Path:
        """Where releases are installed, as an absolute path."""
        return (self.releases or self.home / "releases").expanduser().absolute()

    @property
    def metastore_url(self) -> str:
        """The metadata database's URL, as SQLAlchemy writes it."""
        if self.metastore is None:
            return f"sqlite:///{self.home_path / 'metastore.db'}"
        for scheme in ("postgresql://", "postgres://"):
            if self.metastore.startswith(scheme):
                return "postgresql+psycopg://" + self.metastore.removeprefix(scheme)
        return self.metastore


def child_environment(**extra: str) -> dict[str, str]:
    """The environment that a child process of the server gets: no secret, nothing of the user's.

    Only what a process needs to start is passed on (path, locale, temporary folder); `extra` adds
    to it and must hold no secret either.
    """
    passed = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH")
    return {name: os.environ[name] for name in passed if name in os.environ} | extra


def installer_environment() -> dict[str, str]:
    """The environment of the programs that fetch packages and jars, as their user set it.

    Those name mirrors, proxies and certificates; none of it reaches a run or a session.
    """
    passed = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "JAVA_HOME", "USER", "LOGNAME")
    families = ("UV_", "PIP_", "MAVEN_", "XDG_", "SSL_CERT_", "REQUESTS_CA_")
    proxies = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
    return {
        name: value
        for name, value in os.environ.items()
        if name in passed or name.startswith(families) or name.lower() in proxies
    }


def secret_from_environment(name: str) -> str | None:
    """The value of a variable that a user names as the place of a secret; None when it is unset."""
    return os.environ.get(name)
