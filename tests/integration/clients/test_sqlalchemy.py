"""SQLAlchemy with Trino's dialect: reflection, queries, writes, and what an analyst is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
import sqlalchemy as sa
from trino.auth import JWTAuthentication
from trino.sqlalchemy import URL

from integration.clients.lake import ADMIN_CARDS, ANALYST, ANALYST_CARDS, Lake

Connect = Callable[[str], sa.Engine]


@pytest.fixture
def connect(lake: Lake) -> Iterator[Connect]:
    engines = []

    def make(user: str) -> sa.Engine:
        url = URL(host=lake.host, port=lake.port, user=user, catalog="lake", schema="shop")
        arguments = {
            "auth": JWTAuthentication(lake.tokens[user]),
            "http_scheme": "https",
            "verify": str(lake.ca),
        }
        engines.append(sa.create_engine(url, connect_args=arguments))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


def test_reflection(connect: Connect) -> None:
    inspector = sa.inspect(connect("admin"))
    assert "shop" in inspector.get_schema_names()
    assert set(inspector.get_table_names(schema="shop")) >= {"orders", "secret"}
    assert inspector.get_view_names(schema="shop") == ["totals"]
    assert "FROM" in inspector.get_view_definition("totals", schema="shop").upper()
    assert inspector.get_table_comment("orders", schema="shop") == {"text": "one row an order"}
    assert inspector.get_indexes("orders", schema="shop") == []
    assert inspector.get_pk_constraint("orders", schema="shop")["constrained_columns"] == []
    columns = {column["name"]: column for column in inspector.get_columns("orders", schema="shop")}
    assert list(columns) == ["id", "region", "card", "amount", "placed", "tags"]
    assert not columns["id"]["nullable"]
    assert columns["region"]["comment"] == "where"
    assert (columns["amount"]["type"].precision, columns["amount"]["type"].scale) == (10, 2)
    assert not inspector.has_table("nothing", schema="shop")


def test_reflection_as_an_analyst_shows_what_is_granted(connect: Connect) -> None:
    inspector = sa.inspect(connect(ANALYST))
    assert inspector.get_table_names(schema="shop") == ["orders"]
    assert inspector.get_view_names(schema="shop") == []
    assert not inspector.has_table("secret", schema="shop")
    with pytest.raises(sa.exc.NoSuchTableError):
        inspector.get_columns("secret", schema="shop")


@pytest.mark.parametrize(("user", "cards"), [("admin", ADMIN_CARDS), (ANALYST, ANALYST_CARDS)])
def test_select_from_a_reflected_table(connect: Connect, user: str, cards: list[str]) -> None:
    engine = connect(user)
    orders = sa.Table("orders", sa.MetaData(), schema="shop", autoload_with=engine)
    with engine.connect() as connection:
        query = sa.select(orders.c.card).where(orders.c.amount > 5).order_by(orders.c.id)
        assert list(connection.execute(query).scalars()) == cards


def test_create_insert_select_drop(connect: Connect) -> None:
    engine = connect("admin")
    metadata = sa.MetaData(schema="shop")
    table = sa.Table(
        "made",
        metadata,
        sa.Column("n", sa.BigInteger),
        sa.Column("t", sa.String),
        sa.Column("d", sa.DECIMAL(10, 2)),
    )
    metadata.create_all(engine)
    try:
        with engine.connect() as connection:
            rows = [{"n": 1, "t": "it's", "d": Decimal("1.25")}, {"n": 2, "t": None, "d": None}]
            connection.execute(sa.insert(table), rows)
            found = connection.execute(sa.select(table).order_by(table.c.n)).all()
            assert found == [(1, "it's", Decimal("1.25")), (2, None, None)]
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 2
    finally:
        metadata.drop_all(engine)
    assert not sa.inspect(engine).has_table("made", schema="shop")


def test_the_servers_version(connect: Connect) -> None:
    with connect("admin").connect() as connection:
        assert connection.execute(sa.text("SELECT version()")).scalar()


def test_partitions_are_no_indexes(lake: Lake, connect: Connect) -> None:
    lake.rows("CREATE TABLE shop.parted (a bigint, g varchar) WITH (partitioning = ARRAY['g'])")
    lake.rows("INSERT INTO shop.parted VALUES (1, 'x')")
    assert sa.inspect(connect("admin")).get_indexes("parted", schema="shop") == []
    lake.rows("DROP TABLE shop.parted")
