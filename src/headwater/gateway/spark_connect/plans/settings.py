"""Which settings and artifacts a Spark session may have."""

from __future__ import annotations

from headwater.errors import ErrorCode, error


def check_setting(key: str, value: str | None = None) -> None:
    """Raises PERMISSION_DENIED for a setting that is not on the list (Config.set, unset; SET)."""
    raise error(ErrorCode.PERMISSION_DENIED, f"the setting {key} cannot be changed")


def check_artifact(name: str) -> None:
    """Raises PERMISSION_DENIED for an artifact that is neither data nor Python of the caller's."""
    raise error(ErrorCode.PERMISSION_DENIED, f"the artifact {name} is not accepted")
