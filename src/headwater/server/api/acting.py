"""In whose name and role a statement runs: the caller's own, or what it may take on."""

from __future__ import annotations

from dataclasses import replace

from headwater.errors import ErrorCode, error
from headwater.model.principal import Identity
from headwater.server.parts import Parts


def acting(
    running: Parts, caller: Identity, request_id: str, *, role: str | None, user: str | None
) -> Identity:
    """The identity to act as: a role that the caller holds, or another user.

    Another user needs IMPERSONATE, and every record of what is done names both. A token that was
    issued for one role acts in that role alone. Raises PERMISSION_DENIED.
    """
    identity = caller
    if user is not None:
        identity = running.access.impersonate(caller, user, request_id=request_id)
    if role is None:
        return identity
    if identity.impersonator is None and caller.role not in (None, role):
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"this session acts in the role {caller.role} alone",
            hint="log in with a token that is not bound to a role",
        )
    identity = replace(identity, role=role)
    running.policies.current().subject(identity)
    return identity
