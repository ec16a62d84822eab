"""The running parts, by name: what `compose` made and what the API's routes use."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.catalog.catalog import Catalog
from headwater.engines.duckdb.engine import DuckDBEngine
from headwater.governance.access import Access
from headwater.governance.audit import AuditLog
from headwater.governance.browse import Browser
from headwater.governance.identity import Directory
from headwater.governance.state import PolicyStore
from headwater.governance.tokens import Tokens
from headwater.jobs.service import JobService
from headwater.query.completion import Completer
from headwater.query.location_files import LocationFiles
from headwater.query.other_engines import Others
from headwater.query.saved import SavedQueries
from headwater.query.service import QueryService
from headwater.query.stored import StoredResults
from headwater.server.administration import Administration
from headwater.server.home import Home
from headwater.server.inspection import Inspection
from headwater.server.load.loader import Loader
from headwater.server.load.staging import Stagings
from headwater.server.previews import Previews
from headwater.server.sweeping import Sweeping
from headwater.server.tls import Certificates
from headwater.settings import Settings
from headwater.storage.open import Storage
from headwater.store.database import Database


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that serves one home; made once, by `headwater.server.compose`."""

    settings: Settings
    home: Home
    certificates: Certificates
    database: Database
    storage: Storage
    catalog: Catalog
    policies: PolicyStore
    directory: Directory
    tokens: Tokens
    access: Access
    browser: Browser
    audit: AuditLog
    engine: DuckDBEngine
    queries: QueryService
    others: Others
    results: StoredResults
    saved: SavedQueries
    completer: Completer
    loader: Loader
    locations: LocationFiles
    stagings: Stagings
    inspection: Inspection
    sweeping: Sweeping
    jobs: JobService
    previews: Previews
    administration: Administration
