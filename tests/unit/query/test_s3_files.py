"""Patterns over names of objects."""

from __future__ import annotations

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.query.s3_files import is_s3, matches, split_pattern


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "x/a.csv", False),
        ("*", "_SUCCESS", False),
        ("_*", "_SUCCESS", True),
        ("*.csv", ".hidden.csv", False),
        ("[ab]?.csv", "a1.csv", True),
        ("[!ab]*.csv", "a1.csv", False),
        ("*/*.csv", "x/a.csv", True),
        ("*/*.csv", "_tmp/a.csv", False),
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "x/y/z/a.csv", True),
        ("**/*.csv", "x/_tmp/a.csv", False),
        ("x/**", "x/y/a.csv", True),
        ("**/y/**/a.csv", "x/y/a.csv", True),
        ("**/y/**/a.csv", "x/z/a.csv", False),
        ("a.csv*", "aXcsv", False),
        ("*.csv", "a\nb.csv", True),
        ("A*.csv", "a.csv", False),
        ("**/**/**/**/**/**/**/**/*x", "/".join("a" * 40), False),
    ],
)
def test_patterns(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


def test_the_folder_before_a_pattern() -> None:
    assert split_pattern("s3://b/in/x.csv") == ("s3://b/in/x.csv", None)
    assert split_pattern("s3://b/in/*/x?.csv") == ("s3://b/in", "*/x?.csv")
    assert split_pattern("s3://b*/in/x.csv") == ("s3:/", "b*/in/x.csv")
    for path in ("s3://b/*/../x", "s3://b/*/./x", "s3://b/*//x", "/a/*/"):
        with pytest.raises(HeadwaterError) as refused:
            split_pattern(path)
        assert refused.value.code is ErrorCode.INVALID_LOCATION


def test_what_is_on_s3() -> None:
    assert all(is_s3(path) for path in ("s3://b", "s3a://b/x", "s3n://b/x"))
    assert not any(is_s3(path) for path in ("S3://b", "/s3://b", "file:///s3", "s3:/b", "s33://b"))
