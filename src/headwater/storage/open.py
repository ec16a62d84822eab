"""Opens the storage that the settings name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.errors import ErrorCode, error
from headwater.settings import LocationSettings, S3Settings, Settings
from headwater.storage.credentials import CredentialVendor, EngineStorage, NoVendor, S3Endpoint
from headwater.storage.fileio import FILE_SCHEME, LocalFileIO
from headwater.storage.s3_objects import S3Objects
from headwater.storage.warehouse import Warehouse

if TYPE_CHECKING:
    from headwater.storage.seaweed import EmbeddedS3


@dataclass(frozen=True, slots=True)
class Storage:
    """An open warehouse, who vends credentials to it, and what engine workers get.

    `client_config` is what every Iceberg client is told of the storage, without secrets.
    `embedded` is the embedded S3 that runs for it, if one does. `objects` reads S3 locations.
    """

    warehouse: Warehouse
    vendor: CredentialVendor
    engine: EngineStorage
    client_config: dict[str, str] = field(default_factory=dict)
    embedded: EmbeddedS3 | None = None
    objects: S3Objects = field(default_factory=lambda: S3Objects(None))

    def close(self) -> None:
        """Stops the embedded S3, if there is one, and waits for its end."""
        if self.embedded is not None:
            self.embedded.stop()


def open_storage(settings: Settings, home: Path) -> Storage:
    """The storage of a home: a local folder, the embedded S3 (started), or an S3 elsewhere.

    Raises HOME_NOT_WRITABLE, INVALID_LOCATION (a path that cannot name a warehouse),
    INVALID_ARGUMENT (an S3 endpoint without keys) or STORAGE_UNAVAILABLE.
    """
    if settings.storage == "local":
        storage, own = _open_local(home / "warehouse"), _own_endpoint(settings.s3)
    elif settings.s3.endpoint is None:
        storage = _open_embedded(settings.s3, home)
        own = storage.embedded.endpoint if storage.embedded else None
    else:
        storage, own = _open_s3(settings.s3), _own_endpoint(settings.s3)
    return replace(storage, objects=S3Objects(own, _places(settings.locations)))


def _own_endpoint(settings: S3Settings) -> S3Endpoint | None:
    """The S3 of the settings; None when they name none, or no keys for it."""
    if not (settings.endpoint and settings.access_key_id and settings.secret_access_key):
        return None
    return S3Endpoint(
        url=settings.endpoint,
        region=settings.region,
        access_key_id=settings.access_key_id.get_secret_value(),
        secret_access_key=settings.secret_access_key.get_secret_value(),
    )


def _places(locations: Mapping[str, LocationSettings]) -> dict[str, S3Endpoint]:
    return {
        uri: S3Endpoint(
            url=each.endpoint or f"https://s3.{each.region}.amazonaws.com",
            region=each.region,
            access_key_id=each.access_key_id.get_secret_value(),
            secret_access_key=each.secret_access_key.get_secret_value(),
            path_style=each.endpoint is not None,
        )
        for uri, each in locations.items()
    }


def _open_local(folder: Path) -> Storage:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = folder.resolve(strict=True)
    except OSError as exc:
        raise error(
            ErrorCode.HOME_NOT_WRITABLE,
            f"the folder {str(folder)!r} cannot be made: {exc.strerror}",
            hint="choose another --home, or make it writable",
        ) from exc
    root = FILE_SCHEME + str(folder)
    warehouse = Warehouse(root, LocalFileIO(folder))
    return Storage(warehouse, NoVendor(), EngineStorage("local", root))


def _open_embedded(settings: S3Settings, home: Path) -> Storage:
    from headwater.storage.s3 import S3FileIO, s3_client, sts_client
    from headwater.storage.seaweed import EmbeddedS3
    from headwater.storage.sts import StsVendor

    embedded = EmbeddedS3(home, settings.bucket)
    embedded.start()
    endpoint = embedded.endpoint
    root = _root(settings)
    warehouse = Warehouse(root, S3FileIO(s3_client(endpoint), root))
    vendor = StsVendor(
        sts_client(endpoint), endpoint, warehouse, embedded.role_arn, settings.credential_seconds
    )
    engine = embedded.engine_storage(root)
    return Storage(warehouse, vendor, engine, endpoint.client_config(), embedded)


def _open_s3(settings: S3Settings) -> Storage:
    from headwater.storage.s3 import S3FileIO, s3_client, sts_client
    from headwater.storage.sts import StsVendor

    endpoint = _own_endpoint(settings)
    if endpoint is None:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            "an S3 endpoint needs the server's own keys",
            hint="set HEADWATER_S3__ACCESS_KEY_ID and HEADWATER_S3__SECRET_ACCESS_KEY",
        )
    root = _root(settings)
    io = S3FileIO(s3_client(endpoint), root)
    warehouse = Warehouse(root, io)
    io.check_bucket()
    vendor: CredentialVendor = NoVendor()
    if settings.role_arn:
        vendor = StsVendor(
            sts_client(endpoint),
            endpoint,
            warehouse,
            settings.role_arn,
            settings.credential_seconds,
        )
    engine = EngineStorage(
        kind="s3",
        root=root,
        endpoint=endpoint.url,
        region=endpoint.region,
        access_key_id=endpoint.access_key_id,
        secret_access_key=endpoint.secret_access_key,
    )
    return Storage(warehouse, vendor, engine, endpoint.client_config())


def _root(settings: S3Settings) -> str:
    prefix = settings.prefix.strip("/")
    return f"s3://{settings.bucket}/{prefix}" if prefix else f"s3://{settings.bucket}"
