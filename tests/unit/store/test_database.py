"""The metastore on SQLite and Postgres: transactions, migrations, damage, a newer version."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from headwater.errors import ErrorCode, HeadwaterError
from headwater.store.database import Database
from headwater.store.metadata import metadata
from headwater.store.migrate import migrate
from headwater.store.settings_table import get_setting, set_setting


def test_a_transaction_commits_or_leaves_nothing(database: Database) -> None:
    with database.write() as connection:
        set_setting(connection, "kept", "1")
    with pytest.raises(RuntimeError), database.write() as connection:
        set_setting(connection, "lost", "1")
        raise RuntimeError
    with database.read() as connection:
        assert get_setting(connection, "kept") == "1"
        assert get_setting(connection, "lost") is None


def test_setting_a_name_again_replaces_its_value(database: Database) -> None:
    for value in ("1", "2"):
        with database.write() as connection:
            set_setting(connection, "name", value)
    with database.read() as connection:
        assert get_setting(connection, "name") == "2"


def test_concurrent_writers_lose_no_update(database: Database) -> None:
    with database.write() as connection:
        set_setting(connection, "count", "0")

    def increment(connection: sqlalchemy.Connection) -> None:
        if not database.is_sqlite:
            connection.execute(sqlalchemy.text("LOCK TABLE metastore_setting"))
        set_setting(connection, "count", str(int(get_setting(connection, "count") or 0) + 1))

    def work() -> None:
        for _ in range(10):
            database.retrying(increment)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert get_setting(connection, "count") == "60"


def test_migrating_twice_changes_nothing(database: Database) -> None:
    with database.write() as connection:
        set_setting(connection, "kept", "1")
    migrate(database)
    with database.read() as connection:
        assert get_setting(connection, "kept") == "1"


def test_migrations_make_exactly_the_declared_tables(database: Database) -> None:
    _import_every_package()
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_log_has_its_size_before_it_is_needed_and_nothing_else_changes(tmp_path: Path) -> None:
    file = tmp_path / "metastore.db"
    database = Database(f"sqlite:///{file}")
    migrate(database)
    size = file.stat().st_size
    database.reserve_log()
    log = tmp_path / "metastore.db-wal"
    reserved = log.stat().st_size
    assert reserved > 4_000_000
    for number in range(50):
        with database.write() as connection:
            set_setting(connection, "name", str(number))
    assert log.stat().st_size == reserved
    assert file.stat().st_size == size
    with database.read() as connection:
        assert sqlalchemy.inspect(connection).has_table("reserved") is False
    database.close()


def test_a_newer_metastore_is_refused_and_left_alone(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(HeadwaterError) as caught:
        migrate(database)
    assert caught.value.code is ErrorCode.METASTORE_TOO_NEW
    with database.read() as connection:
        version = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version"))
        assert version.scalar() == "9999"


def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "metastore.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(HeadwaterError) as caught:
        migrate(Database(f"sqlite:///{path}"))
    assert caught.value.code is ErrorCode.METASTORE_CORRUPT
    assert "backup" in (caught.value.hint or "")
    assert path.read_bytes().startswith(b"not a database")


def test_an_unreachable_postgres_is_a_clear_error() -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(HeadwaterError) as caught:
        database.ping()
    assert caught.value.code is ErrorCode.METASTORE_UNAVAILABLE
    assert "--metastore" in (caught.value.hint or "")


def _import_every_package() -> None:
    import importlib
    import pkgutil

    import headwater

    for name in ("catalog", "governance", "query", "jobs"):
        if importlib.util.find_spec(f"headwater.{name}") is None:
            continue
        package = importlib.import_module(f"headwater.{name}")
        for module in pkgutil.walk_packages(package.__path__, f"headwater.{name}."):
            importlib.import_module(module.name)
    assert headwater.__version__
