"""Brings the metastore to this version's schema, and refuses one that a newer version made."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from headwater.errors import ErrorCode, error
from headwater.store.database import Database

_SCRIPTS = Path(__file__).parent / "migrations"


def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    return ScriptDirectory.from_config(config)


def migrate(database: Database) -> None:
    """Applies the missing migrations, all in one transaction.

    Raises METASTORE_TOO_NEW when the database holds a revision that this version does not know.
    """
    script = _script()
    known = {revision.revision for revision in script.walk_revisions()}
    head = script.get_current_head()
    with database.read() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found == head:
        return
    if found is not None and found not in known:
        raise error(
            ErrorCode.METASTORE_TOO_NEW,
            f"the metastore was written by a newer Headwater (revision {found})",
            hint="upgrade Headwater, or point --home or --metastore at another one",
        )
    environment = EnvironmentContext(
        Config(), script, fn=lambda rev, _context: script._upgrade_revs("head", rev)
    )
    with database.write() as connection, environment:
        environment.configure(connection=connection, target_metadata=None)
        environment.run_migrations()
