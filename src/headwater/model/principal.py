"""Who acts: principals, the identity of one session, and the actor that a change records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PrincipalKind(StrEnum):
    """What a principal is; users and service accounts log in, roles are granted to them."""

    USER = "user"
    ROLE = "role"
    SERVICE_ACCOUNT = "service_account"


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, role or service account; `id` is an opaque UUID that survives a rename."""

    id: str
    name: str
    kind: PrincipalKind


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified caller: principal, the one role acted in (None: all roles held), and its session.

    Memberships are resolved when a decision is taken, never stored here, so that revoking one
    takes effect at once. `engine_worker` is set only for the token of an engine worker; such an
    identity may do what the statement leased to that worker may do, and nothing else.
    `impersonator` is who acts in this principal's name: the rights are the principal's, the records
    name both, and what is made belongs to the impersonator.
    """

    principal: Principal
    role: str | None = None
    session_id: str = ""
    client: str = ""
    purpose: str | None = None
    engine_worker: str | None = None
    impersonator: Principal | None = None

    @property
    def owner(self) -> Principal:
        """Who gets to see what this identity ran: the impersonator if there is one."""
        return self.impersonator or self.principal


@dataclass(frozen=True, slots=True)
class Actor:
    """Who a catalog change is recorded for, and the decision (audit id) that allowed it.

    `impersonator` is the name of who made it in the principal's name, if anybody did.
    """

    principal_id: str
    principal_name: str
    request_id: str = ""
    decision_id: str | None = None
    client: str = ""
    impersonator: str | None = None


SYSTEM = Actor(principal_id="system", principal_name="system")
"""The server itself: migrations, the sample lake, the sweeper."""
