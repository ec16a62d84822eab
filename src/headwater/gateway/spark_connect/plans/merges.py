"""`df.mergeInto(table, condition)`: the system's MERGE, fed with the frame's rows.

Conditions and assignments are expressions of the protocol; they become Spark SQL, which goes
through the same checks as text that a client wrote.
"""

from __future__ import annotations

from collections.abc import Iterable

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans.model import Message
from headwater.gateway.spark_connect.plans.names import split_identifier, table_name
from headwater.gateway.spark_connect.plans.parts import literal_tree
from headwater.gateway.spark_connect.plans.sql_text import check_tree, emit, parse_expression
from headwater.gateway.spark_connect.protocol import messages
from headwater.query.arrow_writes import SOURCE, WriteMode, WriteTarget
from headwater.query.linking import quoted
from headwater.sql.statements import Name

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
_MATCHED, _MISSING, _LEFT = (
    "WHEN MATCHED",
    "WHEN NOT MATCHED",
    "WHEN NOT MATCHED BY SOURCE",
)


def merge_target(command: Message) -> WriteTarget:
    """The MERGE statement that a command stands for; its source is called `hw_source` in it."""
    if command.with_schema_evolution:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "withSchemaEvolution is not supported",
            hint="ALTER TABLE … ADD COLUMN first",
        )
    target = table_name(split_identifier(command.target_table_name))
    written = ".".join(quoted(part) for part in target.parts)
    source = command.source_table_plan
    while source.WhichOneof("rel_type") == "hint":
        source = source.hint.input
    alias = source.subquery_alias.alias if source.HasField("subquery_alias") else SOURCE
    text = _Text(alias, target)
    clauses = [
        *text.clauses(_MATCHED, command.match_actions),
        *text.clauses(_MISSING, command.not_matched_actions),
        *text.clauses(_LEFT, command.not_matched_by_source_actions),
    ]
    if not clauses:
        raise error(ErrorCode.INVALID_ARGUMENT, "mergeInto needs at least one action")
    statement = (
        f"MERGE INTO {written} AS {quoted(target.parts[-1])} USING {SOURCE} AS {quoted(alias)} "
        f"ON {text.of(command.merge_condition)} {' '.join(clauses)}"
    )
    return WriteTarget(WriteMode.STATEMENT, statement=statement)


class _Text:
    """Expressions as Spark SQL; NOT_SUPPORTED for what has no text of its own."""

    def __init__(self, source: str, target: Name) -> None:
        self._source = source
        self._target = target

    def clauses(self, when: str, actions: Iterable[Message]) -> list[str]:
        """The actions of one kind of row, in order."""
        found = []
        for each in actions:
            action = each.merge_action
            condition = f" AND {self.of(action.condition)}" if action.HasField("condition") else ""
            found.append(f"{when}{condition} THEN {self._action(action)}")
        return found

    def of(self, expression: Message) -> str:
        """An expression, checked like a client's own text, in parentheses."""
        tree = parse_expression(self._text(expression))
        check_tree(tree, frozenset(), lambda _name: None)
        return f"({emit(tree)})"

    def _action(self, action: Message) -> str:
        kinds = messages().MergeAction.ActionType
        match kinds.Name(action.action_type).removeprefix("ACTION_TYPE_"):
            case "DELETE":
                return "DELETE"
            case "UPDATE_STAR":
                return "UPDATE SET *"
            case "INSERT_STAR":
                return "INSERT *"
            case "UPDATE":
                pairs = [f"{self._column(a.key)} = {self.of(a.value)}" for a in action.assignments]
                return f"UPDATE SET {', '.join(pairs)}"
            case "INSERT":
                names = ", ".join(self._column(a.key) for a in action.assignments)
                values = ", ".join(self.of(a.value) for a in action.assignments)
                return f"INSERT ({names}) VALUES ({values})"
        raise error(ErrorCode.INVALID_ARGUMENT, "an action of a kind that does not exist")

    def _column(self, key: Message) -> str:
        """The target's column that an assignment names, perhaps with the table's name before it."""
        match key.WhichOneof("expr_type"):
            case "expression_string":
                parts = split_identifier(key.expression_string.expression)
            case "unresolved_attribute":
                parts = split_identifier(key.unresolved_attribute.unparsed_identifier)
            case _:
                raise error(ErrorCode.INVALID_ARGUMENT, "an assignment needs a column's name")
        if len(parts) not in (1, 2) or (
            len(parts) == 2 and parts[0].casefold() != self._target.parts[-1].casefold()
        ):
            raise error(ErrorCode.INVALID_ARGUMENT, f"{'.'.join(parts)[:100]} is no column of it")
        return quoted(parts[-1])

    def _text(self, expression: Message) -> str:
        match expression.WhichOneof("expr_type"):
            case "expression_string":
                return f"({emit(parse_expression(expression.expression_string.expression))})"
            case "literal":
                if (tree := literal_tree(expression.literal)) is not None:
                    return str(emit(tree))
            case "unresolved_attribute":
                found = expression.unresolved_attribute
                parts = [quoted(part) for part in split_identifier(found.unparsed_identifier)]
                if found.HasField("plan_id"):
                    parts.insert(0, quoted(self._source))
                return ".".join(parts)
            case "alias":
                return self._text(expression.alias.expr)
            case "cast" if expression.cast.type_str:
                return f"CAST({self._text(expression.cast.expr)} AS {expression.cast.type_str})"
            case "unresolved_function":
                return self._function(expression.unresolved_function)
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "this expression is not supported in mergeInto",
            hint="write it as SQL: F.expr('source.n > target.n'), or compute it in the frame",
        )

    def _function(self, call: Message) -> str:
        name, arguments = call.function_name, [self._text(each) for each in call.arguments]
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
            raise error(ErrorCode.NOT_SUPPORTED, f"{name[:60]!r} is not supported in mergeInto")
        return f"{name}({', '.join(arguments)})"
