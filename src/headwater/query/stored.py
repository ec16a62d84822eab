"""Windows into a stored result: any rows of it, sorted and filtered by the system engine.

An arrangement is computed once, as the places of its rows; those are kept beside the result, like
it on disk when they are many, and end with it. The rows themselves never leave the spool until they
are asked for, and are read from where they lie.

Nothing here opens a table: the caller got these very rows when its statement was decided and
audited. Whose the statement is, its callers check.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from headwater.engines.engine import Engine, GovernedPlan
from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.model.principal import Principal
from headwater.model.statement import QueryState
from headwater.query.query import Query
from headwater.query.results import MIB, ResultSpool
from headwater.sql.arrange import GIVEN, PLACE, ROWS, Arrangement

MOST_ROWS = 10_000
"""Rows of one window at most."""

WINDOW_BYTES = 32 * MIB
"""What a window may weigh; it has fewer rows instead."""

ARRANGED_BYTES = 512 * MIB
"""What the columns that an arrangement looks at may weigh: they pass through memory."""

_KEPT = 4
_PLACES = pa.schema([pa.field(PLACE, pa.int64())])
_numbers = itertools.count(1)


class Slots(Protocol):
    """The engine's slots, shared fairly: what runs statements has them."""

    def slot(self, principal: Principal) -> AbstractContextManager[None]:
        """Holds one slot in the principal's name; raises QUERY_QUEUE_FULL."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """Some rows: `total` counts those of the view so far; it may grow until `final`."""

    table: pa.Table
    offset: int
    total: int
    final: bool


class StoredResults:
    """Answers for rows of ended and running statements; `folder` takes what is kept on disk."""

    def __init__(self, engine: Engine, slots: Slots, folder: Path) -> None:
        self._engine = engine
        self._slots = slots
        self._folder = folder

    def window(self, query: Query, arrangement: Arrangement, offset: int, limit: int) -> Window:
        """`limit` rows from `offset` on, fewer at the end or when they weigh too much.

        Raises the statement's error, INVALID_ARGUMENT for an arrangement that does not fit the
        result, and RESULT_EXPIRED when the result went away meanwhile.
        """
        final = query.state.is_final
        result = _result(query)
        if result is None:
            return Window(pa.table({}), offset, 0, final)
        arrangement.check(result.schema)
        limit = min(limit, MOST_ROWS)
        if arrangement.is_plain:
            total = result.rows
            return Window(_rows(result, offset, limit), offset, total, final)
        places = self._places(query, result, arrangement)
        wanted = _rows(places, offset, limit).column(0)
        return Window(_gather(result, wanted), offset, places.rows, final)

    def batches(self, query: Query, arrangement: Arrangement) -> Iterator[pa.RecordBatch]:
        """All rows, batch by batch, for downloads of ended statements."""
        result = _result(query)
        if result is None:
            return
        arrangement.check(result.schema)
        places = None if arrangement.is_plain else self._places(query, result, arrangement)
        source = result if places is None else places
        for index in range(source.pages_ready):
            page = source.page(index)
            if page is None:
                raise expired(query.id)
            query.touch()
            if places is None:
                yield page
                continue
            for start in range(0, page.num_rows, MOST_ROWS):
                found = _gather(result, page.column(0).slice(start, MOST_ROWS), whole=True)
                yield from found.to_batches()

    def _places(self, query: Query, result: ResultSpool, arrangement: Arrangement) -> ResultSpool:
        with query.arranging:
            known = query.kept(arrangement)
            if known is None:
                known = self._arrange(query, result, arrangement)
                query.keep(arrangement, known, most=_KEPT)
        assert isinstance(known, ResultSpool), "nothing else is kept"
        return known

    def _arrange(self, query: Query, result: ResultSpool, arrangement: Arrangement) -> ResultSpool:
        if query.state is not QueryState.FINISHED:
            raise error(
                ErrorCode.INVALID_ARGUMENT,
                "rows are sorted and filtered once the statement has ended",
                hint="wait for it, or write ORDER BY and WHERE into the statement",
            )
        given = arrangement.given(result.schema)
        plan = GovernedPlan(
            f"{query.id}_view{next(_numbers)}",
            query.session.identity,
            arrangement.sql(),
            inputs={ROWS: _keys(query, result, arrangement), GIVEN: given},
            limits=query.session.limits,
            time_zone=query.session.time_zone,
        )
        places = ResultSpool(_PLACES, self._folder)
        try:
            with self._slots.slot(query.session.identity.principal):
                stream = self._engine.execute(plan)
                try:
                    for batch in stream:
                        places.append(batch.cast(_PLACES))
                finally:
                    stream.close()
        except BaseException:
            places.close()
            raise
        return places


def expired(statement_id: str) -> HeadwaterError:
    """The error for a result that was there and is no more."""
    return error(
        ErrorCode.RESULT_EXPIRED,
        f"the result of statement {statement_id} is no longer kept",
        hint="run the statement again; results are kept for a while after they were last read",
    )


def _result(query: Query) -> ResultSpool | None:
    """The query's spool; None for statements without rows (yet). Raises the query's error."""
    query.touch()
    if query.error is not None:
        raise query.error
    result = query.results
    if result is None and query.state is QueryState.FINISHED and query.discarded:
        raise expired(query.id)
    assert result is None or isinstance(result, ResultSpool), "the pipeline makes nothing else"
    return result


def _keys(query: Query, result: ResultSpool, arrangement: Arrangement) -> pa.Table:
    """The columns that the arrangement looks at, and each row's place."""
    columns = arrangement.columns
    names = [f"c{column}" for column in columns]
    batches: list[pa.RecordBatch] = []
    start = weight = 0
    for index in range(result.pages_ready):
        page = result.peek(index)
        if page is None:
            raise expired(query.id)
        arrays = [page.column(column) for column in columns]
        weight += sum(array.nbytes for array in arrays) + 8 * page.num_rows
        if weight > ARRANGED_BYTES:
            raise error(
                ErrorCode.EXCEEDED_RESULT_SIZE,
                f"more than {ARRANGED_BYTES // MIB} MiB would be looked at to sort or filter this",
                hint="write ORDER BY and WHERE into the statement instead",
            )
        places = pa.array(range(start, start + page.num_rows), pa.int64())
        batches.append(pa.RecordBatch.from_arrays([*arrays, places], [*names, PLACE]))
        start += page.num_rows
    if not batches:
        kinds = [
            pa.field(n, result.schema.field(c).type) for n, c in zip(names, columns, strict=True)
        ]
        return pa.schema([*kinds, _PLACES.field(0)]).empty_table()
    return pa.Table.from_batches(batches)


def _rows(spool: ResultSpool, offset: int, limit: int) -> pa.Table:
    """Rows in the order of the spool."""
    found: list[pa.RecordBatch] = []
    weight = 0
    for index, start in spool.pages_from(offset):
        page = spool.peek(index)
        if page is None or limit <= 0:
            break
        page = page.slice(max(0, offset - start), limit)
        limit -= page.num_rows
        page, whole = _light(page, WINDOW_BYTES - weight, at_least=not found)
        weight += page.nbytes
        found.append(page)
        if not whole:
            break
    return pa.Table.from_batches(found, spool.schema)


def _light(page: pa.RecordBatch, most: int, *, at_least: bool) -> tuple[pa.RecordBatch, bool]:
    """As many of a page's first rows as weigh no more than that; whether these are all."""
    rows = page.num_rows
    while rows and page.slice(0, rows).nbytes > most:
        if rows == 1:
            rows = 1 if at_least else 0
            break
        rows //= 2
    return page.slice(0, rows), rows == page.num_rows


def _gather(result: ResultSpool, places: Any, *, whole: bool = False) -> pa.Table:
    """The rows at these places, in their order."""
    wanted: dict[int, list[int]] = {}
    found: list[tuple[int, int]] = []
    for place in places.to_pylist():
        index, start = result.page_of(place)
        rows = wanted.setdefault(index, [])
        found.append((index, len(rows)))
        rows.append(place - start)
    # Page by page: taking from all pages at once would copy each of them.
    taken: list[pa.RecordBatch] = []
    bases: dict[int, int] = {}
    count = 0
    for index, rows in wanted.items():
        page = result.peek(index)
        if page is None:
            return result.schema.empty_table()
        bases[index] = count
        count += len(rows)
        taken.append(page.take(pa.array(rows, pa.int64())))
    table = pa.Table.from_batches(taken, result.schema).combine_chunks()
    order = pa.array([bases[index] + rank for index, rank in found], pa.int64())
    batches = table.take(order).combine_chunks().to_batches()
    if not batches or whole:
        return pa.Table.from_batches(batches, result.schema)
    light, _ = _light(batches[0], WINDOW_BYTES, at_least=True)
    return pa.Table.from_batches([light])


def cut_texts(table: pa.Table, characters: int) -> pa.Table:
    """The table with longer texts cut and an ellipsis after them, and long binary values cut."""
    for index, field in enumerate(table.schema):
        column: Any = table.column(index)
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            length: Any = pc.utf8_length(column)
            if (pc.max(length).as_py() or 0) <= characters:
                continue
            short = pc.utf8_slice_codeunits(column, 0, characters)
            ellipsis: Any = pa.scalar("…", field.type)
            marked: Any = pc.binary_join_element_wise(short, ellipsis, "")
            most: Any = pa.scalar(characters)
            short = pc.if_else(pc.greater(length, most), marked, column)
            table = table.set_column(index, field, short.cast(field.type))
        elif pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            table = table.set_column(index, field, pc.binary_slice(column, 0, characters))
    return table
