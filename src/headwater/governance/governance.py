"""All of governance, wired: what the server makes once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headwater.catalog.catalog import Catalog
from headwater.governance.access import Access
from headwater.governance.audit import AuditLog
from headwater.governance.authority import Authority
from headwater.governance.bootstrap import ensure_admin
from headwater.governance.browse import Browser
from headwater.governance.grants import Grants
from headwater.governance.identity import Directory
from headwater.governance.policies import Policies
from headwater.governance.resolve import Paths
from headwater.governance.state import PolicyStore
from headwater.governance.statements import GovernanceStatements
from headwater.governance.tokens import Tokens
from headwater.model.principal import Principal
from headwater.store.database import Database


@dataclass(frozen=True, slots=True)
class Governance:
    """The services of governance over one metastore and catalog."""

    admin: Principal
    store: PolicyStore
    audit: AuditLog
    directory: Directory
    tokens: Tokens
    access: Access
    statements: GovernanceStatements

    @property
    def browser(self) -> Browser:
        """What callers may see."""
        return self.access.browser


def open_governance(
    database: Database, catalog: Catalog, audit: AuditLog, key_path: Path
) -> Governance:
    """Governance of a catalog; on a new metastore makes the first administrator.

    The catalog's journal must be a `journal.GovernanceJournal` over the same `audit`. `key_path` is
    the file of the key that signs tokens, made when missing.
    """
    admin = ensure_admin(database, audit)
    store = PolicyStore(database)
    paths = Paths(catalog)
    directory = Directory(database, store, audit)
    authority = Authority(database, catalog, paths, audit)
    return Governance(
        admin=admin,
        store=store,
        audit=audit,
        directory=directory,
        tokens=Tokens(key_path, store),
        access=Access(catalog, store, audit, paths),
        statements=GovernanceStatements(
            catalog, directory, authority, Grants(authority), Policies(authority)
        ),
    )
