"""Brings the metastore to this version's schema, and refuses one that a newer version made."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy

from headwater.errors import ErrorCode, error
from headwater.store.database import Database

_SCRIPTS = Path(__file__).parent / "migrations"


def latest_revision() -> str:
    """The revision that this version migrates to: the number that its last file begins with."""
    return max(path.stem for path in (_SCRIPTS / "versions").glob("[0-9]*.py")).partition("_")[0]


def migrate(database: Database) -> None:
    """Applies the missing migrations, all in one transaction.

    Raises METASTORE_TOO_NEW when the database holds a revision that this version does not know.
    """
    found = _revision(database)
    if found == latest_revision():
        return
    # Imported when there is something to do: it is a fifth of the time that a start takes.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
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


def _revision(database: Database) -> str | None:
    with database.read() as connection:
        if not sqlalchemy.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(
            sqlalchemy.text("SELECT version_num FROM alembic_version")
        ).scalar()
