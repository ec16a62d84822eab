"""AnalyzePlan: what a plan would answer, without running it."""

from __future__ import annotations

import json
from typing import Any

from headwater.gateway.spark_connect.ddl import parse_ddl
from headwater.gateway.spark_connect.elsewhere import Elsewhere
from headwater.gateway.spark_connect.essence import essence, hash_of
from headwater.gateway.spark_connect.failures import illegal_argument, invalid_plan, unsupported
from headwater.gateway.spark_connect.local import local_rows
from headwater.gateway.spark_connect.sessions import SparkSession
from headwater.gateway.spark_connect.statements import Text
from headwater.gateway.spark_connect.tools import Tools
from headwater.gateway.spark_connect.types import simple_string, tree_string
from headwater.gateway.spark_connect.wire import unpacked

_LONGEST_DDL = 1 << 20


class Analysis:
    """Answers one request of one session."""

    def __init__(self, tools: Tools, session: SparkSession) -> None:
        self._tools = tools
        self._session = session
        self._pb = tools.pb

    def answer(self, request: Any, answer: Any) -> None:
        """Fills in the response to an AnalyzePlanRequest."""
        kind = request.WhichOneof("analyze")
        if kind is None:
            raise invalid_plan("The request says not what to analyze.")
        asked = getattr(request, kind)
        match kind:
            case "spark_version":
                answer.spark_version.version = self._session.conf.spark_version()
            case "schema":
                answer.schema.schema.CopyFrom(self.schema(asked.plan))
            case "tree_string":
                level = asked.level if asked.HasField("level") else None
                answer.tree_string.tree_string = tree_string(self.schema(asked.plan), level)
            case "explain":
                answer.explain.explain_string = self._explain(asked)
            case "is_local":
                answer.is_local.is_local = self._is_local(asked.plan)
            case "is_streaming":
                answer.is_streaming.is_streaming = False
            case "input_files":
                # Where tables keep their files is nobody's business.
                answer.input_files.SetInParent()
            case "ddl_parse":
                if len(asked.ddl_string) > _LONGEST_DDL:
                    raise invalid_plan("The schema is too long.")
                answer.ddl_parse.parsed.CopyFrom(parse_ddl(asked.ddl_string, self._pb))
            case "json_to_ddl":
                answer.json_to_ddl.ddl_string = _json_to_ddl(asked.json_string, self._pb)
            case "same_semantics":
                same = essence(asked.target_plan) == essence(asked.other_plan)
                answer.same_semantics.result = same
            case "semantic_hash":
                answer.semantic_hash.result = hash_of(essence(asked.plan))
            case "persist":
                self._persist(asked)
                answer.persist.SetInParent()
            case "unpersist":
                self._session.persisted.pop(hash_of(essence(asked.relation)), None)
                answer.unpersist.SetInParent()
            case "get_storage_level":
                kept = self._session.persisted.get(hash_of(essence(asked.relation)))
                level = self._pb.StorageLevel(replication=1)
                answer.get_storage_level.storage_level.CopyFrom(
                    level if kept is None else self._pb.StorageLevel.FromString(kept)
                )
            case _:
                raise unsupported(f"This analysis is not supported: {kind}.")

    def schema(self, plan: Any) -> Any:
        """The Spark schema of a plan's rows."""
        plan = unpacked(plan, self._pb)
        if plan.WhichOneof("op_type") == "root":
            text = self._text(plan.root)
            if text is not None:
                return self._tools.statements.schema(text, self._session)
            local = local_rows(plan.root, self._session.conf.time_zone, self._pb)
            if local is not None:
                return local[0]
        request = self._pb.AnalyzePlanRequest()
        request.schema.plan.CopyFrom(plan)
        return self._elsewhere(request).schema.schema

    def _explain(self, asked: Any) -> str:
        plan = unpacked(asked.plan, self._pb)
        text = self._text(plan.root)
        if text is not None:
            return self._tools.statements.explain(text, self._session)
        request = self._pb.AnalyzePlanRequest(explain=asked)
        request.explain.plan.CopyFrom(plan)
        told: str = self._elsewhere(request).explain.explain_string
        return told

    def _elsewhere(self, request: Any) -> Any:
        side = self._tools.user_side
        if side is None:
            raise unsupported("only SQL over tables of the catalog runs here")
        return Elsewhere(side, self._session).analyze(request)

    def _text(self, relation: Any) -> Text | None:
        return self._tools.statements.text_of(relation, self._session)

    def _is_local(self, plan: Any) -> bool:
        return bool(unpacked(plan, self._pb).root.WhichOneof("rel_type") == "local_relation")

    def _persist(self, asked: Any) -> None:
        if len(self._session.persisted) >= 1000:
            self._session.persisted.clear()
        level = asked.storage_level
        if not asked.HasField("storage_level"):
            level = self._pb.StorageLevel(
                use_disk=True, use_memory=True, deserialized=True, replication=1
            )
        self._session.persisted[hash_of(essence(asked.relation))] = level.SerializeToString()


def _json_to_ddl(text: str, pb: Any) -> str:
    """The DDL of a schema in Spark's JSON."""
    try:
        fields = json.loads(text)["fields"]
        told = [_json_field(field, " ") for field in fields]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise illegal_argument("The schema is no JSON of Spark's.") from exc
    for each in fields:
        simple_string(parse_ddl(_json_type(each["type"]), pb))
    return ",".join(told)


def _json_field(field: Any, between: str) -> str:
    told = f"{_quoted(field['name'])}{between}{_json_type(field['type'])}"
    if not field.get("nullable", True):
        told += " NOT NULL"
    comment = (field.get("metadata") or {}).get("comment")
    if isinstance(comment, str):
        told += " COMMENT '" + comment.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return told


def _json_type(kind: Any) -> str:
    if isinstance(kind, str):
        names = {"integer": "INT", "long": "BIGINT", "short": "SMALLINT", "byte": "TINYINT"}
        return names.get(kind, kind.upper())
    if kind["type"] == "array":
        return f"ARRAY<{_json_type(kind['elementType'])}>"
    if kind["type"] == "map":
        return f"MAP<{_json_type(kind['keyType'])}, {_json_type(kind['valueType'])}>"
    return f"STRUCT<{', '.join(_json_field(field, ': ') for field in kind['fields'])}>"


def _quoted(name: str) -> str:
    return name if name.isidentifier() else "`" + name.replace("`", "``") + "`"
