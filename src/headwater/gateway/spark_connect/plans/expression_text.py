"""Expressions of the protocol as Spark SQL, for statements that the system carries out."""

from __future__ import annotations

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans.model import Message
from headwater.gateway.spark_connect.plans.names import split_identifier
from headwater.gateway.spark_connect.plans.parts import literal_tree
from headwater.gateway.spark_connect.plans.sql_text import check_tree, emit, parse_expression
from headwater.query.linking import quoted

_INFIX = {
    "==": "=",
    "=": "=",
    "!=": "<>",
    "<=>": "<=>",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
    "and": "AND",
    "or": "OR",
    "+": "+",
    "-": "-",
    "*": "*",
    "/": "/",
    "%": "%",
}
_SUFFIX = {"isnull": "IS NULL", "isnotnull": "IS NOT NULL"}


def expression_text(expression: Message, frame: str | None = None) -> str:
    """An expression as text in parentheses, checked like a client's own.

    `frame` is what columns of frames (`df.a`) are of in the text; None: what they are called.
    Raises NOT_SUPPORTED for what has no text of its own.
    """
    tree = parse_expression(_Text(frame).of(expression))
    check_tree(tree, frozenset(), lambda _name: None)
    return f"({emit(tree)})"


class _Text:
    def __init__(self, frame: str | None) -> None:
        self._frame = frame

    def of(self, expression: Message) -> str:
        """An expression's text, not checked yet."""
        match expression.WhichOneof("expr_type"):
            case "expression_string":
                return f"({emit(parse_expression(expression.expression_string.expression))})"
            case "literal":
                if (tree := literal_tree(expression.literal)) is not None:
                    return str(emit(tree))
            case "unresolved_attribute":
                found = expression.unresolved_attribute
                parts = [quoted(part) for part in split_identifier(found.unparsed_identifier)]
                if self._frame and found.HasField("plan_id"):
                    parts.insert(0, quoted(self._frame))
                return ".".join(parts)
            case "alias":
                return self.of(expression.alias.expr)
            case "cast" if expression.cast.type_str:
                return f"CAST({self.of(expression.cast.expr)} AS {expression.cast.type_str})"
            case "unresolved_function":
                return self._function(expression.unresolved_function)
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "this expression has no text in SQL",
            hint="write it as SQL: F.expr('a > b'), or compute it in the frame",
        )

    def _function(self, call: Message) -> str:
        name, arguments = call.function_name, [self.of(each) for each in call.arguments]
        lowered = name.lower()
        if lowered in _INFIX and len(arguments) == 2:
            return f"({arguments[0]} {_INFIX[lowered]} {arguments[1]})"
        if lowered in _SUFFIX and len(arguments) == 1:
            return f"({arguments[0]} {_SUFFIX[lowered]})"
        if lowered in ("not", "!") and len(arguments) == 1:
            return f"(NOT {arguments[0]})"
        if lowered in ("negative", "-") and len(arguments) == 1:
            return f"(-{arguments[0]})"
        if lowered == "in" and len(arguments) > 1:
            return f"({arguments[0]} IN ({', '.join(arguments[1:])}))"
        if not name.isidentifier() or call.is_distinct or call.is_user_defined_function:
            raise error(ErrorCode.NOT_SUPPORTED, f"{name[:60]!r} is not supported here")
        return f"{name}({', '.join(arguments)})"
