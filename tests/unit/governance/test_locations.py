"""The one normal form of a location, and what lies above it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ErrorCode, HeadwaterError
from headwater.governance.locations import check_free, location_path, location_uri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("/data/in", "file:///data/in"),
        ("/data/in/", "file:///data/in"),
        ("file:///data/in", "file:///data/in"),
        ("file:/data/in", "file:///data/in"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3a://bucket/a/b/", "s3://bucket/a/b"),
        ("/data/day=2026-01-01/ä b", "file:///data/day=2026-01-01/ä b"),
    ],
)
def test_normal_forms(text: str, uri: str) -> None:
    assert location_uri(text) == uri
    assert location_uri(uri) == uri


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "data", "./data", "/data/../etc", "/data/./x", "/data//x", "/data/..", "//data",
        "/data/%2e%2e/etc", "/data/*", "/data/[a]", "/data/{a,b}", "/data\\x", "/data/\0", "/a\nb",
        "file://host/x", "file:///", "http://x/y", "s3://", "s3://UPPER/x", "s3://b/../c",
        "s3://b//c", "s3://b/%2e", "hdfs://n/x", "/" + "a" * 5000, "~/x", "$HOME/x/..",
    ],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(HeadwaterError) as refused:
        location_uri(text)
    assert refused.value.code is ErrorCode.INVALID_LOCATION


def test_paths_go_by_whole_components() -> None:
    labels = [node.label for node in location_path("s3://b/data/in")]
    assert labels == [
        "location s3://b/data/in",
        "location s3://b/data",
        "location s3://b",
        "catalog lake",
    ]
    local = [node.id for node in location_path("file:///data/in")]
    assert local[:2] == ["location:file:///data/in", "location:file:///data"]
    above = {node.id for node in location_path("file:///data/in2")}
    assert "location:file:///data/in" not in above


@given(st.text(max_size=40))
def test_nothing_gets_out(text: str) -> None:
    """Whatever is accepted stays below what its path says."""
    try:
        uri = location_uri("/granted/" + text)
    except HeadwaterError:
        return
    assert "location:file:///granted" in {node.id for node in location_path(uri)}
    assert ".." not in uri.split("/")


def test_folders_of_the_server_are_no_locations(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "warehouse").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(home)
    for path in (home, home / "warehouse", tmp_path, home / "warehouse" / "t", link, link / "x"):
        with pytest.raises(HeadwaterError):
            check_free(location_uri(str(path)), (str(home),))
    check_free(location_uri(str(tmp_path / "homes")), (str(home),))
    for system in ("/etc", "/etc/ssl", "/proc/self", "/usr/local", "/var"):
        with pytest.raises(HeadwaterError):
            check_free(location_uri(system), ())
    check_free("s3://bucket/x", (str(home), "s3://other"))
    with pytest.raises(HeadwaterError):
        check_free("s3://bucket", ("s3://bucket/warehouse",))
