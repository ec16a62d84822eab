from dataclasses import dataclass
from datetime import date

import pytest

from headwater.catalog.layout import partition_values
from headwater.catalog.manifests import Entry, Status


@dataclass(frozen=True)
class Case:
    transform: str
    value: object
    text: str | None


@pytest.mark.parametrize(
    "case",
    [
        Case("year", 54, "2024"),
        Case("month", 650, "2024-03"),
        Case("month", -1, "1969-12"),
        Case("day", date(2024, 3, 1), "2024-03-01"),
        Case("day", -1, "1969-12-31"),
        Case("hour", 25, "1970-01-02-01"),
        Case("identity", True, "true"),
        Case("identity", b"\x01\xff", "01ff"),
        Case("bucket[4]", 3, "3"),
        Case("identity", None, None),
    ],
)
def test_partition_values_are_written_as_people_read_them(case):
    metadata = {
        "partition-specs": [{"spec-id": 1, "fields": [{"name": "p", "transform": case.transform}]}]
    }
    entry = Entry(Status.ADDED, 1, 1, 1, 1, {"partition": {"p": case.value}})
    assert partition_values(metadata, entry) == {"p": case.text}
