"""The metadata engine: every update, the rules of the format versions, and what never changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pyiceberg.table.metadata import TableMetadataUtil
from pyiceberg.table.update import TableUpdate, update_table_metadata

from headwater.catalog.creation import new_table, staged_table
from headwater.catalog.requirements import check_requirements
from headwater.catalog.updates import apply_updates
from headwater.errors import ErrorCode, HeadwaterError

UUID = "7d9b8e6e-0d3a-4f6a-9a5e-6f1f2d3c4b5a"
HOME = "file:///w/t"
NOW = 1_800_000_000_000

ID = {"id": 1, "name": "id", "type": "long", "required": True}
CITY = {"id": 2, "name": "city", "type": "string", "required": False}
AT = {"id": 3, "name": "at", "type": "timestamptz", "required": False}


def schema(*fields: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return {"type": "struct", "fields": list(fields), **extra}


def table(version: int = 2, **request: Any) -> dict[str, Any]:
    properties = {"format-version": str(version), **request.pop("properties", {})}
    asked = {"schema": schema(ID, CITY, AT), "properties": properties, **request}
    return new_table(asked, UUID, HOME)


def snapshot(number: int, version: int = 2, **extra: Any) -> dict[str, Any]:
    made = {
        "snapshot-id": 100 + number,
        "timestamp-ms": NOW + number,
        "manifest-list": f"{HOME}/metadata/snap-{number}.avro",
        "summary": {"operation": "append"},
        "schema-id": 0,
    }
    if number > 1:
        made["parent-snapshot-id"] = 99 + number
    if version >= 2:
        made["sequence-number"] = number
    if version >= 3:
        made |= {"first-row-id": 10 * (number - 1), "added-rows": 10}
    return made | extra


def add(number: int, version: int = 2, **extra: Any) -> list[dict[str, Any]]:
    return [
        {"action": "add-snapshot", "snapshot": snapshot(number, version, **extra)},
        to_main(100 + number),
    ]


def to_main(snapshot_id: int) -> dict[str, Any]:
    return {
        "action": "set-snapshot-ref",
        "ref-name": "main",
        "type": "branch",
        "snapshot-id": snapshot_id,
    }


def apply(metadata: dict[str, Any], *updates: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return apply_updates(metadata, updates, now_ms=NOW, **extra)


def refused(code: ErrorCode = ErrorCode.INVALID_METADATA, match: str | None = None) -> Any:
    return pytest.raises(HeadwaterError, match=match, check=lambda exc: exc.code is code)


# --- creating -----------------------------------------------------------------------------------


def test_field_ids_are_assigned_level_by_level() -> None:
    nested = schema(
        {"id": 9, "name": "a", "type": schema({"id": 8, "name": "b", "type": "int"})},
        {
            "id": 7,
            "name": "m",
            "type": {
                "type": "map",
                "key-id": 5,
                "key": "string",
                "value-id": 4,
                "value": {"type": "list", "element-id": 3, "element": "int"},
            },
        },
        {"id": 2, "name": "id", "type": "long", "required": True},
        **{"identifier-field-ids": [2]},
    )
    spec = {"fields": [{"source-id": 2, "name": "id_bucket", "transform": "bucket[4]"}]}
    order = {
        "fields": [
            {
                "source-id": 2,
                "transform": "identity",
                "direction": "asc",
                "null-order": "nulls-first",
            }
        ]
    }
    made = new_table({"schema": nested, "partition-spec": spec, "write-order": order}, UUID, HOME)
    fields = made["schemas"][0]["fields"]
    assert [f["id"] for f in fields] == [1, 2, 3]
    assert fields[0]["type"]["fields"][0]["id"] == 4
    assert (fields[1]["type"]["key-id"], fields[1]["type"]["value-id"]) == (5, 6)
    assert fields[1]["type"]["value"]["element-id"] == 7
    assert made["schemas"][0]["identifier-field-ids"] == [3]
    assert made["last-column-id"] == 7
    assert made["partition-specs"][0]["fields"] == [
        {"source-id": 3, "name": "id_bucket", "transform": "bucket[4]", "field-id": 1000}
    ]
    assert made["last-partition-id"] == 1000
    assert made["sort-orders"][0]["order-id"] == 1
    assert made["sort-orders"][0]["fields"][0]["source-id"] == 3


@pytest.mark.parametrize("version", [1, 2, 3])
def test_each_format_version_has_its_own_fields(version: int) -> None:
    made = table(version)
    assert made["format-version"] == version
    assert ("last-sequence-number" in made) == (version >= 2)
    assert ("next-row-id" in made) == (version >= 3)
    assert ("partition-spec" in made) == (version == 1)
    assert made["current-snapshot-id"] == (None if version == 3 else -1)
    assert TableMetadataUtil.parse_obj(made).table_uuid.hex == UUID.replace("-", "")


def test_a_staged_table_needs_no_spec_and_any_order_of_updates() -> None:
    made = staged_table(
        [
            {"action": "assign-uuid", "uuid": UUID},
            {"action": "add-schema", "schema": schema(ID | {"type": "variant", "required": False})},
            {"action": "add-spec", "spec": {"spec-id": 0, "fields": []}},
            {"action": "set-default-spec", "spec-id": 0},
            {"action": "upgrade-format-version", "format-version": 3},
            {"action": "set-location", "location": HOME},
            {"action": "set-current-schema", "schema-id": 0},
        ],
        "other",
        "file:///w/other",
    )
    assert (made["table-uuid"], made["location"], made["format-version"]) == (UUID, HOME, 3)
    assert made["sort-orders"] == [{"order-id": 0, "fields": []}]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([ID, CITY | {"id": 1}], "used twice"),
        ([ID, CITY | {"type": "text"}], "unknown type"),
        ([ID, CITY | {"type": "decimal(40, 2)"}], "out of range"),
        ([ID, CITY | {"type": "timestamp_ns"}], "until format version 3"),
        ([ID, CITY | {"write-default": "x"}], "until format version 3"),
        ([ID, CITY | {"type": None}], "no type"),
        ([ID, {"id": 2, "type": "int"}], "have a name"),
        ([ID, {"id": "2", "name": "x", "type": "int"}], "have an id"),
    ],
)
def test_a_schema_that_breaks_a_rule_is_refused(fields: list[dict[str, Any]], message: str) -> None:
    with refused(match=message):
        new_table({"schema": schema(*fields)}, UUID, HOME)


def test_columns_differ_by_more_than_case() -> None:
    with refused(ErrorCode.DUPLICATE_COLUMN_NAME):
        new_table({"schema": schema(ID, CITY | {"name": "ID"})}, UUID, HOME)


def test_version_3_defaults_must_fit_their_type() -> None:
    good = CITY | {"initial-default": "x", "write-default": "y"}
    assert table(3, schema=schema(ID, good))["schemas"][0]["fields"][1] == good
    for bad in (
        ID | {"write-default": "x"},
        ID | {"write-default": 2**63},
        CITY | {"type": "variant", "initial-default": 1},
        CITY | {"type": "boolean", "write-default": 1},
    ):
        with refused(match="default"):
            table(3, schema=schema(bad))


# --- schemas, specs, orders ---------------------------------------------------------------------


def test_an_equal_schema_is_reused_and_minus_one_means_the_last_added() -> None:
    base = table()
    wider = schema(ID, CITY, AT, {"id": 4, "name": "x", "type": "int"})
    added = apply(
        base,
        {"action": "add-schema", "schema": wider},
        {"action": "set-current-schema", "schema-id": -1},
    )
    assert (added["current-schema-id"], added["last-column-id"]) == (1, 4)
    back = apply(
        added,
        {"action": "add-schema", "schema": schema(ID, CITY, AT)},
        {"action": "set-current-schema", "schema-id": -1},
    )
    assert (back["current-schema-id"], len(back["schemas"])) == (0, 2)
    with refused(match="none was added"):
        apply(base, {"action": "set-current-schema", "schema-id": -1})
    with refused(match="no schema 9"):
        apply(base, {"action": "set-current-schema", "schema-id": 9})
    with refused(match="current schema"):
        apply(base, {"action": "remove-schemas", "schema-ids": [0]})
    assert len(apply(back, {"action": "remove-schemas", "schema-ids": [1]})["schemas"]) == 1


def spec(*fields: tuple[int, str, str]) -> dict[str, Any]:
    listed = [{"source-id": s, "transform": t, "name": n} for s, t, n in fields]
    return {"action": "add-spec", "spec": {"fields": listed}}


USE_SPEC = {"action": "set-default-spec", "spec-id": -1}


def test_partition_fields_keep_their_ids_across_specs() -> None:
    one = apply(table(), spec((3, "day", "at_day")), USE_SPEC)
    two = apply(one, spec((2, "identity", "city"), (3, "day", "at_day")), USE_SPEC)
    ids = [[f["field-id"] for f in s["fields"]] for s in two["partition-specs"]]
    assert ids == [[], [1000], [1001, 1000]]
    assert (two["default-spec-id"], two["last-partition-id"]) == (2, 1001)
    again = apply(two, spec((3, "day", "at_day")), USE_SPEC)
    assert (again["default-spec-id"], len(again["partition-specs"])) == (1, 3)
    assert (
        len(apply(two, {"action": "remove-partition-specs", "spec-ids": [1]})["partition-specs"])
        == 2
    )
    with refused(match="default partition spec"):
        apply(two, {"action": "remove-partition-specs", "spec-ids": [2]})


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ((9, "identity", "x"), "Cannot find source column"),
        ((2, "bucket[0]", "x"), "width"),
        ((2, "hash[3]", "x"), "unknown transform"),
        ((3, "day", "city"), "name of another column"),
    ],
)
def test_a_spec_that_breaks_a_rule_is_refused(field: tuple[int, str, str], message: str) -> None:
    with refused(match=message):
        apply(table(), spec(field))


def test_a_column_that_partitions_the_table_cannot_be_dropped() -> None:
    base = apply(table(), spec((2, "identity", "city")), USE_SPEC)
    with refused(match="Cannot find source column"):
        apply(
            base,
            {"action": "add-schema", "schema": schema(ID, AT)},
            {"action": "set-current-schema", "schema-id": -1},
        )


# --- snapshots ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2, 3])
def test_snapshots_move_main_the_log_and_the_counters(version: int) -> None:
    base = apply(table(version), *add(1, version))
    after = apply(base, *add(2, version), metadata_location=f"{HOME}/metadata/1.metadata.json")
    assert after["current-snapshot-id"] == 102
    assert after["refs"] == {"main": {"type": "branch", "snapshot-id": 102}}
    assert after["snapshot-log"] == [
        {"snapshot-id": 101, "timestamp-ms": NOW + 1},
        {"snapshot-id": 102, "timestamp-ms": NOW + 2},
    ]
    assert after["last-updated-ms"] == NOW + 2
    assert after["metadata-log"] == [
        {"metadata-file": f"{HOME}/metadata/1.metadata.json", "timestamp-ms": NOW + 1}
    ]
    if version >= 2:
        assert after["last-sequence-number"] == 2
    if version >= 3:
        assert after["next-row-id"] == 20


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"sequence-number": 1}, ErrorCode.COMMIT_CONFLICT),
        ({"first-row-id": 5}, ErrorCode.COMMIT_CONFLICT),
        ({"first-row-id": None}, ErrorCode.INVALID_METADATA),
        ({"added-rows": -1}, ErrorCode.INVALID_METADATA),
        ({"snapshot-id": 101}, ErrorCode.INVALID_METADATA),
        ({"schema-id": 7}, ErrorCode.INVALID_METADATA),
        ({"sequence-number": None}, ErrorCode.INVALID_METADATA),
    ],
)
def test_a_snapshot_that_breaks_a_rule_is_refused(extra: dict[str, Any], code: ErrorCode) -> None:
    base = apply(table(3), *add(1, 3))
    with refused(code):
        apply(base, *add(2, 3, **extra))


def test_a_clock_that_goes_back_does_not_take_the_tables_times_along() -> None:
    """Iceberg's Java reader refuses a table whose logs are out of order by more than a minute."""
    first = apply(table(), *add(1))
    day = 24 * 3600 * 1000
    second = apply_updates(
        first, add(2, **{"timestamp-ms": NOW - day}), metadata_location="m1", now_ms=NOW - day
    )
    third = apply_updates(
        second,
        [{"action": "set-properties", "updates": {"a": "b"}}],
        metadata_location="m2",
        now_ms=NOW - 2 * day,
    )
    times = [snapshot["timestamp-ms"] for snapshot in third["snapshots"]]
    assert times == [NOW + 1, NOW + 1]
    assert [entry["timestamp-ms"] for entry in third["snapshot-log"]] == times
    assert [entry["timestamp-ms"] for entry in third["metadata-log"]] == times
    assert third["last-updated-ms"] == NOW + 1
    later = apply_updates(third, add(3, **{"timestamp-ms": NOW + day}), now_ms=NOW + day)
    assert later["snapshots"][-1]["timestamp-ms"] == NOW + day


def test_only_the_last_of_several_states_was_ever_current() -> None:
    base = apply(table(), *add(1), *add(2))
    assert [entry["snapshot-id"] for entry in base["snapshot-log"]] == [102]
    rolled = apply(base, to_main(101))
    assert [entry["snapshot-id"] for entry in rolled["snapshot-log"]] == [102, 101]


def test_removing_snapshots_removes_what_hangs_on_them() -> None:
    statistics = {
        "snapshot-id": 101,
        "statistics-path": f"{HOME}/metadata/1.stats",
        "file-size-in-bytes": 1,
        "file-footer-size-in-bytes": 1,
        "blob-metadata": [],
    }
    tag = {"action": "set-snapshot-ref", "ref-name": "t", "type": "tag", "snapshot-id": 101}
    base = apply(table(), *add(1), {"action": "set-statistics", "statistics": statistics}, tag)
    base = apply(base, *add(2))
    after = apply(base, {"action": "remove-snapshots", "snapshot-ids": [101, 999]})
    assert [s["snapshot-id"] for s in after["snapshots"]] == [102]
    assert [*after["refs"]] == ["main"]
    assert after["statistics"] == []
    assert [entry["snapshot-id"] for entry in after["snapshot-log"]] == [102]
    gone = apply(after, {"action": "remove-snapshots", "snapshot-ids": [102]})
    assert (gone["current-snapshot-id"], gone["refs"], gone["snapshot-log"]) == (-1, {}, [])


@pytest.mark.parametrize(
    "ref",
    [
        {"type": "tag", "ref-name": "main"},
        {"type": "other"},
        {"type": "tag", "min-snapshots-to-keep": 1},
        {"type": "branch", "max-ref-age-ms": 0},
        {"type": "branch", "snapshot-id": 5},
    ],
)
def test_a_ref_that_breaks_a_rule_is_refused(ref: dict[str, Any]) -> None:
    base = apply(table(), *add(1))
    with refused():
        apply(base, {"action": "set-snapshot-ref", "ref-name": "r", "snapshot-id": 101, **ref})


# --- versions, properties, the unknown ----------------------------------------------------------


def test_versions_go_up_only() -> None:
    two = apply(
        apply(table(1), *add(1, 1)), {"action": "upgrade-format-version", "format-version": 2}
    )
    assert (two["last-sequence-number"], "schema" in two) == (0, False)
    three = apply(two, {"action": "upgrade-format-version", "format-version": 3})
    assert three["next-row-id"] == 0
    for version in (2, 4, "3", True):
        with refused():
            apply(three, {"action": "upgrade-format-version", "format-version": version})


def test_the_metadata_log_keeps_as_many_as_the_property_says() -> None:
    base = table(properties={"write.metadata.previous-versions-max": "2"})
    for number in range(4):
        update = {"action": "set-properties", "updates": {"n": str(number)}}
        base = apply(base, update, metadata_location=f"{HOME}/metadata/{number}.metadata.json")
    files = [entry["metadata-file"] for entry in base["metadata-log"]]
    assert files == [f"{HOME}/metadata/{number}.metadata.json" for number in (2, 3)]


def test_encryption_keys_come_with_version_3() -> None:
    key = {"key-id": "k", "encrypted-key-metadata": "AAAA"}
    update = {"action": "add-encryption-key", "encryption-key": key}
    assert apply(table(3), update)["encryption-keys"] == [key]
    removed = apply(table(3), update, {"action": "remove-encryption-key", "key-id": "k"})
    assert removed["encryption-keys"] == []
    with refused():
        apply(table(2), update)


def test_a_newer_clients_fields_survive_at_every_level() -> None:
    base = table() | {"x-top": {"deep": [1]}}
    base["schemas"][0]["x-schema"] = 1
    base["schemas"][0]["fields"][0]["x-field"] = [True]
    wider = schema(ID, {"id": 4, "name": "n", "type": "int", "x-new": 1}, **{"x-s": 2})
    after = apply(
        base,
        *add(1, **{"x-snapshot": "y"}),
        {"action": "add-schema", "schema": wider},
        to_main(101) | {"ref-name": "b", "x-ref": 3},
    )
    assert after["x-top"] == {"deep": [1]}
    assert after["schemas"][0]["x-schema"] == 1
    assert after["schemas"][0]["fields"][0]["x-field"] == [True]
    assert after["schemas"][1]["fields"][1]["x-new"] == 1
    assert after["schemas"][1]["x-s"] == 2
    assert after["snapshots"][0]["x-snapshot"] == "y"
    assert after["refs"]["b"]["x-ref"] == 3


@pytest.mark.parametrize(
    "update",
    [
        {},
        {"action": "unheard-of"},
        {"action": ["add-schema"]},
        {"action": "add-schema"},
        {"action": "add-snapshot", "snapshot": None},
        {"action": "set-properties", "updates": [1]},
        {"action": "remove-snapshots"},
        {"action": "set-snapshot-ref"},
        {"action": "set-statistics", "statistics": {}},
    ],
)
def test_a_malformed_update_is_refused_by_name(update: dict[str, Any]) -> None:
    with refused(ErrorCode.INVALID_ARGUMENT):
        apply(table(), update)


def test_requirements_say_what_changed() -> None:
    base = apply(table(), *add(1))
    check_requirements(
        base,
        [
            {"type": "assert-table-uuid", "uuid": UUID.upper()},
            {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 101},
            {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 101},
            {"type": "assert-ref-snapshot-id", "ref": "other", "snapshot-id": None},
            {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 3},
            {"type": "assert-current-schema-id", "current-schema-id": 0},
            {"type": "assert-last-assigned-partition-id", "last-assigned-partition-id": 999},
            {"type": "assert-default-spec-id", "default-spec-id": 0},
            {"type": "assert-default-sort-order-id", "default-sort-order-id": 0},
        ],
    )
    check_requirements(None, [{"type": "assert-create"}])
    for requirement in (
        {"type": "assert-create"},
        {"type": "assert-table-uuid", "uuid": "x"},
        {"type": "assert-ref-snapshot-id", "ref": "main"},
        {"type": "assert-ref-snapshot-id", "ref": "gone", "snapshot-id": 1},
        {"type": "assert-default-spec-id", "default-spec-id": 1},
        {"type": "assert-current-schema-id"},
    ):
        with refused(ErrorCode.COMMIT_CONFLICT, "Requirement failed"):
            check_requirements(base, [requirement])
    with refused(ErrorCode.INVALID_ARGUMENT):
        check_requirements(base, [{"type": "assert-weather"}])


# --- properties of the engine -------------------------------------------------------------------

_UPDATE = TypeAdapter(TableUpdate)
KINDS = ("snapshot", "column", "property", "tag", "unset")
SAME = (
    *("schemas", "current_schema_id", "last_column_id", "snapshots", "current_snapshot_id"),
    *("refs", "properties", "last_sequence_number", "partition_specs", "sort_orders"),
    "default_spec_id",
)


@st.composite
def histories(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """Commits that any client could send: each a list of updates that PyIceberg knows, too."""
    commits, snapshots, columns, properties = [], 0, 3, set()
    for _ in range(draw(st.integers(1, 6))):
        commit: list[dict[str, Any]] = []
        for kind in draw(st.lists(st.sampled_from(KINDS), max_size=4)):
            if kind == "snapshot":
                snapshots += 1
                commit += add(snapshots)
            elif kind == "column" and not any(u["action"] == "add-schema" for u in commit):
                columns += 1
                extra = [
                    {"id": n, "name": f"c{n}", "type": "int", "required": False}
                    for n in range(4, columns + 1)
                ]
                wider = schema(ID, CITY, AT, *extra, **{"schema-id": columns - 3})
                commit += [
                    {"action": "add-schema", "schema": wider | {"identifier-field-ids": []}},
                    {"action": "set-current-schema", "schema-id": -1},
                ]
            elif kind == "property":
                name = draw(st.sampled_from("abc"))
                properties.add(name)
                commit.append(
                    {
                        "action": "set-properties",
                        "updates": {name: draw(st.sampled_from(["", "1", "ü"]))},
                    }
                )
            elif kind == "unset" and properties:
                name = properties.pop()
                commit.append({"action": "remove-properties", "removals": [name]})
            elif kind == "tag" and snapshots:
                commit.append(to_main(100 + snapshots) | {"ref-name": "t", "type": "tag"})
        commits.append(commit)
    return commits


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_pyiceberg_comes_to_the_same_metadata(commits: list[list[dict[str, Any]]]) -> None:
    ours = table()
    theirs = TableMetadataUtil.parse_obj(copy.deepcopy(ours))
    for commit in commits:
        before = copy.deepcopy(ours)
        after = apply(ours, *commit)
        assert ours == before, "arguments are never changed"
        ours = after
        theirs = update_table_metadata(
            theirs, tuple(_UPDATE.validate_python(copy.deepcopy(update)) for update in commit)
        )
    parsed = TableMetadataUtil.parse_obj(copy.deepcopy(ours))
    for field in SAME:
        assert getattr(parsed, field) == getattr(theirs, field), field


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_applying_is_the_same_in_one_go_or_in_steps(commits: list[list[dict[str, Any]]]) -> None:
    stepwise = table()
    for commit in commits:
        stepwise = apply(stepwise, *commit)
    at_once = apply(table(), *(update for commit in commits for update in commit))
    for volatile in ("snapshot-log", "last-updated-ms"):
        stepwise.pop(volatile)
        at_once.pop(volatile)
    assert at_once == stepwise
