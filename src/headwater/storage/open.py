"""Opens the storage that the settings name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headwater.errors import ErrorCode, error
from headwater.settings import Settings
from headwater.storage.credentials import CredentialVendor, EngineStorage, NoVendor
from headwater.storage.fileio import FILE_SCHEME, LocalFileIO
from headwater.storage.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Storage:
    """An open warehouse, who vends credentials to it, and what engine workers get."""

    warehouse: Warehouse
    vendor: CredentialVendor
    engine: EngineStorage


def open_storage(settings: Settings, home: Path) -> Storage:
    """The storage of a home; makes the local folder when it is missing.

    Raises HOME_NOT_WRITABLE, INVALID_LOCATION (a home whose path cannot name a warehouse) or
    STORAGE_UNAVAILABLE.
    """
    return _open_local(home / "warehouse")


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
    return Storage(Warehouse(root, LocalFileIO(folder)), NoVendor(), EngineStorage("local", root))
