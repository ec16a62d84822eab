"""Values of both engines in one form that JSON can hold and tests compare."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal


def canonical(value: object) -> object:
    """Text for numbers, dates and times; lists for arrays and rows."""
    match value:
        case None | bool():
            return value
        case int():
            return str(value)
        case float():
            if math.isnan(value):
                return "NaN"
            # The order of additions is nobody's promise: twelve digits are compared.
            return "0.0" if value == 0 else f"{value:.12g}"
        case Decimal():
            return format(value.normalize() if value else Decimal(0), "f")
        case datetime.datetime():
            return value.replace(tzinfo=None).isoformat(" ")
        case datetime.date():
            return value.isoformat()
        case bytes() | bytearray():
            return bytes(value).hex()
        case list() | tuple():
            return [canonical(each) for each in value]
        case _:
            return str(value)
