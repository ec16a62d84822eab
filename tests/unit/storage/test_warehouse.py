"""Location checks: nothing but the one normal form below the root gets through."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ErrorCode, HeadwaterError
from headwater.storage.fileio import LocalFileIO
from headwater.storage.warehouse import PATH_PROPERTIES, Warehouse, overlap

ROOTS = ("file:///srv/lake/warehouse", "s3://lake/warehouse", "s3://lake")


def warehouse(root: str = ROOTS[0]) -> Warehouse:
    return Warehouse(root, LocalFileIO(Path("/srv/lake/warehouse")))


def refused(call: Any, *arguments: Any) -> bool:
    with pytest.raises(HeadwaterError) as caught:
        call(*arguments)
    return caught.value.code is ErrorCode.INVALID_LOCATION


BAD_TAILS = [
    "",
    "/",
    "//a",
    "/a//b",
    "/a//",
    "/.",
    "/..",
    "/a/..",
    "/a/../b",
    "/a/./b",
    "/.hidden",
    "/a/.hidden",
    "/%2e%2e/b",
    "/a%2fb",
    "/a%00",
    "/a\\..\\b",
    "/a\\b",
    "/*",
    "/a*",
    "/a?",
    "/a?x=1",
    "/a#x",
    "/${aws:username}",
    "/$a",
    "/{a,b}",
    "/[ab]",
    "/a'b",
    '/a"b',
    "/a`b",
    "/a b",
    "/a\n",
    "/a\x00",
    "/a\x7f",
    "/a\u202e",
    "/a\u200b",
    "/\u2024\u2024/a",
    "/\uff0e\uff0e/a",
    "/a\uff0fb",
    "/caf\u00e9",
    "/a;b",
    "/a@b",
    "/a:b",
    "/" + "a" * 2000,
    "x/a",
    "-other/a",
]


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("tail", BAD_TAILS)
def test_what_is_not_plain_is_refused(root: str, tail: str) -> None:
    assert refused(warehouse(root).check, root + tail)


@pytest.mark.parametrize(
    "location",
    [
        "relative/a",
        "/srv/lake/warehouse/a",
        "file:/srv/lake/warehouse/a",
        "file://localhost/srv/lake/warehouse/a",
        "file://srv/lake/warehouse/a",
        "FILE:///srv/lake/warehouse/a",
        "file:///srv/lake/warehouse2/a",
        "file:///srv/lake/a",
        "file:///etc/passwd",
        "s3://lake/warehouse/a",
        "s3a://lake/warehouse/a",
        "http://127.0.0.1/srv/lake/warehouse/a",
        " file:///srv/lake/warehouse/a",
        "",
    ],
)
def test_other_roots_and_schemes_are_refused(location: str) -> None:
    assert refused(warehouse().check, location)


@pytest.mark.parametrize(
    "other", ["s3://lake2/warehouse/a", "s3://other/warehouse/a", "s3://LAKE/warehouse/a"]
)
def test_other_buckets_are_refused(other: str) -> None:
    assert refused(warehouse("s3://lake/warehouse").check, other)


@pytest.mark.parametrize("value", [None, 3, ["file:///srv/lake/warehouse/a"], {}, b"x"])
def test_what_is_no_text_is_refused(value: Any) -> None:
    assert refused(warehouse().check, value)


def test_a_location_has_one_normal_form() -> None:
    found = warehouse()
    location = found.new_location("0a1b-2c")
    assert location == "file:///srv/lake/warehouse/0a1b-2c"
    assert found.check(location + "/") == location
    assert found.check(location + "/sub_folder/p=1") == location + "/sub_folder/p=1"


SEGMENT = st.from_regex(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]{0,12}", fullmatch=True)
NASTY = st.text(
    alphabet=st.sampled_from(list("ab./\\%*?${}'\"`#:;@ \n\x00\u2024\uff0e\u202e0")), max_size=24
)


@given(st.sampled_from(ROOTS), st.lists(SEGMENT, min_size=1, max_size=5))
def test_plain_segments_pass_and_stay_below_the_root(root: str, segments: list[str]) -> None:
    location = "/".join((root, *segments))
    assert warehouse(root).check(location) == location


@given(st.sampled_from(ROOTS), st.one_of(NASTY, st.text(max_size=30)))
def test_whatever_passes_is_below_the_root_and_plain(root: str, tail: str) -> None:
    try:
        found = warehouse(root).check(root + "/" + tail)
    except HeadwaterError:
        assert refused(warehouse(root).check, root + "/" + tail)
        return
    path = found.partition("://")[2]
    assert found.startswith(root + "/")
    assert os.path.normpath(path) == path
    assert path.isascii()
    assert not set(path) & set("%*?${}'\"\\`#;:@ \n\x00")


@given(NASTY)
def test_a_file_inside_a_table_stays_inside(tail: str) -> None:
    found = warehouse()
    location = found.new_location("t")
    try:
        uri = found.check_inside(location, f"{location}/{tail}")
    except HeadwaterError:
        assert refused(found.check_inside, location, f"{location}/{tail}")
        return
    path = uri.removeprefix("file://")
    assert os.path.normpath(path) == path
    assert path.startswith("/srv/lake/warehouse/t/")


@pytest.mark.parametrize("name", ["data/p=a%2Fb/f.parquet", "data/p=a b*c/f", "metadata/v1.json"])
def test_files_may_have_names_that_tables_may_not(name: str) -> None:
    found = warehouse()
    location = found.new_location("t")
    assert found.check_inside(location, f"{location}/{name}") == f"{location}/{name}"


@pytest.mark.parametrize(
    "uri",
    ["", "/a", "x", "{t}", "{t}/", "{t}b/f", "{t}/../u/f", "{t}//f", "{t}/a\\..\\f", "{t}/\x00"],
)
def test_files_outside_their_table_are_refused(uri: str) -> None:
    found = warehouse()
    location = found.new_location("t")
    assert refused(found.check_inside, location, uri.replace("{t}", location))


def metadata(**extra: Any) -> dict[str, Any]:
    return {"location": f"{ROOTS[0]}/a", "properties": {}, **extra}


@pytest.mark.parametrize("name", PATH_PROPERTIES)
@pytest.mark.parametrize(
    "value",
    [f"{ROOTS[0]}/b", f"{ROOTS[0]}/ab", f"{ROOTS[0]}/a/../b", ROOTS[0], "s3://x/y", "data", ""],
)
def test_path_properties_stay_inside_the_table(name: str, value: str) -> None:
    assert refused(warehouse().check_table, metadata(properties={name: value}))
    warehouse().check_table(metadata(properties={name: f"{ROOTS[0]}/a/elsewhere"}))


@pytest.mark.parametrize(
    "extra",
    [
        {"snapshots": [{"snapshot-id": 1, "manifest-list": f"{ROOTS[0]}/b/metadata/s.avro"}]},
        {"snapshots": [{"snapshot-id": 1, "manifests": [f"{ROOTS[0]}/b/metadata/m.avro"]}]},
        {"statistics": [{"snapshot-id": 1, "statistics-path": "file:///etc/passwd"}]},
        {"partition-statistics": [{"snapshot-id": 1, "statistics-path": f"{ROOTS[0]}/b/p"}]},
        {"metadata-log": [{"timestamp-ms": 1, "metadata-file": f"{ROOTS[0]}/b/m.json"}]},
    ],
)
def test_files_named_in_metadata_stay_inside_the_table(extra: dict[str, Any]) -> None:
    assert refused(warehouse().check_table, metadata(**extra))


@pytest.mark.parametrize("other", ["/a", "/a/b", "/a/b/c"])
def test_tables_do_not_overlap(other: str) -> None:
    assert refused(warehouse().check_table, metadata(), [f"{ROOTS[0]}{other}"])


def test_siblings_with_a_common_prefix_do_not_overlap() -> None:
    warehouse().check_table(metadata(), [f"{ROOTS[0]}/ab", f"{ROOTS[0]}/b"])


@given(st.lists(SEGMENT, min_size=1, max_size=4), st.lists(SEGMENT, min_size=1, max_size=4))
def test_ancestors_find_every_overlap(one: list[str], other: list[str]) -> None:
    found = warehouse()
    first, second = ("/".join((found.root, *parts)) for parts in (one, other))
    by_ancestors = first in found.ancestors(second) or second in found.ancestors(first)
    assert overlap(first, second) == by_ancestors == overlap(second, first)


@pytest.mark.parametrize(
    "root",
    [
        "file:///srv/la*ke",
        "file:///srv/%2e",
        "file:///srv/../x",
        "file:///srv//x",
        "file:///srv/caf\u00e9",
        "file://relative",
        "file:///srv/a'b",
        "s3://",
        "s3://UPPER/x",
        "s3://lake/a/../b",
        "http://lake/a",
        "/srv/lake",
    ],
)
def test_a_warehouse_needs_a_plain_root(root: str) -> None:
    assert refused(Warehouse, root, LocalFileIO(Path("/srv")))


def test_a_home_may_have_a_space() -> None:
    found = Warehouse("file:///home/my lake", LocalFileIO(Path("/home/my lake")))
    assert found.check("file:///home/my lake/a") == "file:///home/my lake/a"
