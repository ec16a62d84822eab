"""What Spark makes of operands whose types are known, where Sail makes something else of them.

Spark 4 in ANSI mode: SQL reference, "ANSI Compliance"; Sail 0.7.2 was measured against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headwater.gateway.spark_connect.types import simple_string
from headwater.sql.spark_types import MOST_DIGITS, Size, adjusted, quotient

_DIGITS = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 20}
"""Digits of the decimal that an integer becomes beside a decimal."""

QUOTIENTS = frozenset({"/", "try_divide"})
SUMS = frozenset({"+", "-", "*", "%", "mod", "pmod"})
CHOICES = frozenset(
    {"coalesce", "nvl", "ifnull", "greatest", "least", "nvl2", "if", "iff", "when", "nullif"}
)
_BRANCHES = frozenset({"when", "if", "iff", "nvl2"})
"""Of these Sail's result has the type of the first branch, where that is an integer."""

ROUND = "round"
TO_DECIMAL, TO_STRING = "cast to decimal", "cast to string"
"""No functions' names: casts, of floating point perhaps."""

COMPARISONS = frozenset({"==", "=", "<", ">", "<=", ">=", "!=", "<>", "<=>"})
"""Asked where one side is a string written out."""

SAME_AS_COALESCE = frozenset({"nvl", "ifnull"})
"""To Sail these are of floating point, whatever they are given."""

ASKED = QUOTIENTS | SUMS | CHOICES | COMPARISONS | {ROUND, TO_DECIMAL, TO_STRING}
"""Functions and operators whose operands' types matter."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The types that a plan may meet anywhere."""

    decimal: bool
    single: bool
    date: bool

    @property
    def numbers(self) -> bool:
        """True when numbers are met that Sail puts together otherwise than Spark."""
        return self.decimal or self.single


def matters(function: str, literals: Sequence[int | None], reach: Reach) -> bool:
    """True when a result may depend on operands' types in a way of Sail's own."""
    if function in QUOTIENTS or function in COMPARISONS or function in (ROUND, TO_DECIMAL):
        return reach.decimal
    constants = any(value is not None for value in literals)
    if function == TO_STRING:
        return not constants
    if function == "-" and reach.date and not constants:
        return True
    if function in SUMS:
        return reach.single or (reach.decimal and (constants or function == "pmod"))
    if function in _BRANCHES:
        return len(literals) > 1 and None in literals
    return function in CHOICES and reach.numbers


def places(function: str, count: int) -> list[int]:
    """Which operands a result's type comes from."""
    if function == ROUND:
        return [0]
    if function == "when":
        return [*range(1, count, 2), *([count - 1] if count % 2 else [])]
    return list(range(1 if function in ("if", "iff", "nvl2") else 0, count))


class DoubtError(Exception):
    """Sail would answer otherwise, and no other words for it are known."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type: its name as Spark writes it, and of a decimal its size."""

    name: str
    precision: int = 0
    scale: int = 0

    @property
    def text(self) -> str:
        """The type as SQL text."""
        is_decimal = self.name == "decimal"
        return f"DECIMAL({self.precision},{self.scale})" if is_decimal else self.name.upper()

    @property
    def is_numeric(self) -> bool:
        """True for a number."""
        return self.name in _DIGITS or self.name in ("decimal", "float", "double")


def kind_of(told: Any) -> Kind:
    """The kind of a `DataType`."""
    if told.WhichOneof("kind") == "decimal":
        return Kind("decimal", told.decimal.precision, told.decimal.scale)
    return Kind(simple_string(told))


Casts = tuple[list[str | None], str | None]
"""The types that operands are cast to, each where it must be, and the type of the result."""


def casts(function: str, kinds: Sequence[Kind], literals: Sequence[int | None]) -> Casts:
    """The casts that make Sail's result Spark's; raises DoubtError where there are none.

    `literals` are the values of those operands that are integers written out; of `round`, the
    number of digits.
    """
    if function == ROUND:
        return [None], _rounded(kinds[0], literals[0])
    if function in QUOTIENTS:
        return _quotient(function, kinds, literals)
    if function == TO_DECIMAL:
        # Spark goes by the shortest digits that mean the number, and rounds 1.005 to 1.01.
        return ["STRING" if kinds[0].name in ("float", "double") else None], None
    if function == TO_STRING:
        if kinds[0].name in ("float", "double"):
            raise DoubtError("floating point as text, which Spark writes as 1.0E10")
        return [None], None
    if function in COMPARISONS:
        # Sail rounds the string to the digits of the decimal beside it.
        mixed = {kind.name for kind in kinds} == {"decimal", "string"}
        return ["DOUBLE" if mixed else None for _ in kinds], None
    return _operands(function, kinds, literals), None


def _operands(
    function: str, kinds: Sequence[Kind], literals: Sequence[int | None]
) -> list[str | None]:
    names = {kind.name for kind in kinds}
    unchanged: list[str | None] = [None] * len(kinds)
    if function in SUMS:
        return _sum(function, kinds, literals)
    names.discard("void")
    if len({kind for kind in kinds if kind.name != "void"}) < 2:
        return unchanged
    if not all(kind.is_numeric or kind.name == "void" for kind in kinds):
        raise DoubtError("values of several types")
    if function == "nullif" or (names <= set(_DIGITS) and function not in _BRANCHES):
        if names <= set(_DIGITS):
            return unchanged
        raise DoubtError("nullif of several types")
    wanted = _common([kind for kind in kinds if kind.name != "void"])
    return [None if kind in (wanted, Kind("void")) else wanted.text for kind in kinds]


def _quotient(function: str, kinds: Sequence[Kind], literals: Sequence[int | None]) -> Casts:
    """Sail keeps four digits more than the dividend has, and cuts off the rest.

    So it gets a dividend with as many digits as make one more than Spark's result has, which is
    rounded then. The dividend times the power of ten that Sail makes of it must have room.
    """
    names = {kind.name for kind in kinds}
    if "decimal" not in names or names & {"double", "void"}:
        return [None] * len(kinds), None
    if "float" in names:
        return ["DOUBLE" if kind.name == "float" else None for kind in kinds], None
    sizes = [_size(kind, value) for kind, value in zip(kinds, literals, strict=True)]
    if function != "/" or len(sizes) != 2 or None in sizes:
        raise DoubtError("a quotient of decimals")
    left, right = (size for size in sizes if size is not None)
    (precision, scale), (given, digits) = quotient(left, right), left
    needed = scale - 3
    whole = given - digits
    if needed < digits or whole + scale + 1 + right[1] > MOST_DIGITS:
        raise DoubtError("a quotient of large decimals")
    divisor = None if kinds[1].name == "decimal" else f"DECIMAL({right[0]},0)"
    return [f"DECIMAL({whole + needed},{needed})", divisor], f"DECIMAL({precision},{scale})"


def _rounded(kind: Kind, digits: int | None) -> str | None:
    if kind.name != "decimal":
        return None
    if digits is None or digits < 0:
        raise DoubtError("a decimal rounded to digits that are not known")
    scale = min(kind.scale, digits)
    return f"DECIMAL({min(kind.precision - kind.scale + 1 + scale, MOST_DIGITS)},{scale})"


def _size(kind: Kind, literal: int | None) -> Size | None:
    if literal is not None:
        return len(str(abs(literal))), 0
    if kind.name in _DIGITS:
        return _DIGITS[kind.name], 0
    return (kind.precision, kind.scale) if kind.name == "decimal" else None


def _sum(function: str, kinds: Sequence[Kind], literals: Sequence[int | None]) -> list[str | None]:
    names = {kind.name for kind in kinds}
    if function == "-" and names == {"date"}:
        raise DoubtError("a difference of dates")
    if "float" in names and names - {"float", "double"} and all(k.is_numeric for k in kinds):
        return ["DOUBLE" if kind.name == "float" else None for kind in kinds]
    if "decimal" not in names or names & {"double", "float"}:
        return [None] * len(kinds)
    if function == "pmod":
        raise DoubtError("a remainder of decimals")
    return [None if value is None else f"DECIMAL({len(str(abs(value)))},0)" for value in literals]


def _common(kinds: Sequence[Kind]) -> Kind:
    names = {kind.name for kind in kinds}
    if names & {"double", "float"}:
        return Kind("float") if names == {"float"} else Kind("double")
    if "decimal" not in names:
        return max(kinds, key=lambda kind: _DIGITS[kind.name])
    sizes = [
        (kind.precision, kind.scale) if kind.name == "decimal" else (_DIGITS[kind.name], 0)
        for kind in kinds
    ]
    scale = max(s for _, s in sizes)
    whole = max(p - s for p, s in sizes)
    return Kind("decimal", *adjusted(whole + scale, scale))
