"""`df.mergeInto(table, condition)`: the system's MERGE, fed with the frame's rows."""

from __future__ import annotations

from collections.abc import Iterable

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans.expression_text import expression_text
from headwater.gateway.spark_connect.plans.model import Message
from headwater.gateway.spark_connect.plans.names import split_identifier, table_name
from headwater.gateway.spark_connect.protocol import messages
from headwater.query.arrow_writes import SOURCE, WriteMode, WriteTarget
from headwater.query.linking import quoted
from headwater.sql.statements import Name

_MATCHED, _MISSING, _LEFT = (
    "WHEN MATCHED",
    "WHEN NOT MATCHED",
    "WHEN NOT MATCHED BY SOURCE",
)


def merge_target(command: Message) -> WriteTarget:
    """The MERGE statement that a command stands for; its source is called `hw_source` in it."""
    target = table_name(split_identifier(command.target_table_name))
    written = ".".join(quoted(part) for part in target.parts)
    source = command.source_table_plan
    while source.WhichOneof("rel_type") == "hint":
        source = source.hint.input
    alias = source.subquery_alias.alias if source.HasField("subquery_alias") else SOURCE
    text = _Clauses(alias, target)
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
    takes_all = any(clause.endswith(("UPDATE SET *", "INSERT *")) for clause in clauses)
    widened = target if command.with_schema_evolution and takes_all else None
    return WriteTarget(WriteMode.STATEMENT, statement=statement, widened=widened)


class _Clauses:
    """The parts of a MERGE as Spark SQL."""

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
        """An expression; columns of frames are the source's."""
        return expression_text(expression, self._source)

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
