"""SQL statements of a session: what kind each is, and who carries it out."""

from __future__ import annotations

import re
from dataclasses import replace

from sqlglot import exp

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans.identifiers import resolved
from headwater.gateway.spark_connect.plans.model import (
    Action,
    DropFunction,
    DropView,
    Message,
    PlanContext,
    RewrittenPlan,
    SetSetting,
    Write,
)
from headwater.gateway.spark_connect.plans.names import GLOBAL, Names, split_identifier
from headwater.gateway.spark_connect.plans.parts import (
    constant_text,
    relation_plan,
    stage_columns,
    stage_relations,
)
from headwater.gateway.spark_connect.plans.settings import check_setting
from headwater.gateway.spark_connect.plans.sql_names import NamedTable, named_tables, rename
from headwater.gateway.spark_connect.plans.sql_text import emit, parse_statement
from headwater.gateway.spark_connect.plans.views import add_view
from headwater.gateway.spark_connect.plans.walk import Walk, check_fields
from headwater.gateway.spark_connect.protocol import messages
from headwater.model.statement import Dialect, Statement
from headwater.query.arrow_writes import WriteMode, WriteTarget
from headwater.query.names import names_files
from headwater.sql.statements import Name
from headwater.sql.tokens import Cursor

_QUERY_WORDS = frozenset({"SELECT", "WITH", "FROM", "VALUES", "TABLE", "("})
_CHANGES = frozenset({"INSERT", "MERGE", "UPDATE", "DELETE"})
_SYSTEM = frozenset(
    {"ALTER", "COMMENT", "CREATE", "DESC", "DESCRIBE", "DROP", "SHOW", "TRUNCATE", "USE", "CALL"}
    | {"GRANT", "REVOKE", "DENY", "ANALYZE"}
)


def rewrite_sql(command: Message, context: PlanContext) -> RewrittenPlan:
    """What `spark.sql` sends; see `rewrite`."""
    check_fields(command, "SqlCommand")
    relation = messages().Relation()
    if command.HasField("input"):
        relation.CopyFrom(command.input)
    else:
        sql = relation.sql
        sql.query = command.sql
        for key, value in command.args.items():
            sql.args[key].CopyFrom(value)
        for key, value in command.named_arguments.items():
            sql.named_arguments[key].CopyFrom(value)
        sql.pos_args.extend(command.pos_args)
        sql.pos_arguments.extend(command.pos_arguments)
    found = relation
    if found.WhichOneof("rel_type") == "with_relations":
        found = found.with_relations.root
    if found.WhichOneof("rel_type") != "sql":
        raise error(ErrorCode.NOT_SUPPORTED, "a SQL command without SQL")
    found.sql.CopyFrom(resolved(found.sql))
    return _Statement(relation, found.sql, context).rewritten()


class _Statement:
    """One statement: its text, the relation that brings it along, and a cursor over its words."""

    def __init__(self, relation: Message, sql: Message, context: PlanContext) -> None:
        self.relation = relation
        self.message = sql
        self.text: str = sql.query
        self.context = context
        self.cursor = Cursor.over(self.text, Dialect.SPARK)

    def rewritten(self) -> RewrittenPlan:
        """The statement's plan, by its first words."""
        cursor = self.cursor
        first = cursor.peek()
        word = "" if first is None else first.text.upper()
        if word in _QUERY_WORDS:
            if word in ("WITH", "FROM") and _is_change(self.text):
                return self._change()
            return self._query()
        if word in _CHANGES:
            return self._change()
        if word == "EXPLAIN":
            return self._explain()
        if word in ("SET", "RESET"):
            return self._setting()
        if word in ("CACHE", "UNCACHE", "CLEAR", "REFRESH"):
            return self._cache()
        if word == "CREATE":
            return self._create()
        if word == "DROP":
            return self._drop()
        if word in _SYSTEM:
            return self._system()
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"the statement {word[:40]} is not supported over Spark Connect",
        )

    def _query(self) -> RewrittenPlan:
        plan = messages().Plan()
        plan.root.CopyFrom(self.relation)
        checked = relation_plan(plan.root, self.context)
        text = constant_text(self.message) if self._is_plain and checked.only_tables else None
        return RewrittenPlan(
            Action.QUERY,
            sql=None if text is None else Statement(text),
            echo=self.relation,
            python=checked.python,
            tables=checked.tables,
            stage=lambda: stage_relations(plan, checked),
        )

    @property
    def _is_plain(self) -> bool:
        return bool(self.relation.WhichOneof("rel_type") == "sql")

    def _system(self) -> RewrittenPlan:
        """A statement that the system carries out on the catalog."""
        self._refuse_views()
        text = constant_text(self.message)
        if text is None:
            raise error(
                ErrorCode.NOT_SUPPORTED, "parameters of this statement must be plain constants"
            )
        return RewrittenPlan(Action.STATEMENT, sql=Statement(text))

    def _refuse_views(self) -> None:
        """A temporary view hides a table of its name: the table must not be changed instead."""
        for token in self.cursor.tokens[1:12]:
            if token.text.casefold() in self.context.views and self._names(token.text):
                raise error(
                    ErrorCode.NOT_SUPPORTED,
                    f"{token.text} is a temporary view; this statement needs a table",
                    hint="write schema.table for the table of that name",
                )

    def _names(self, name: str) -> bool:
        """True when the statement's object is the plain name, not a part of a longer one."""
        place = re.search(rf"(?<![.\w`])`?{re.escape(name)}`?(?![.\w])", self.text, re.IGNORECASE)
        before = self.text[: place.start()] if place else ""
        return place is not None and "." not in before[-2:]

    def _change(self) -> RewrittenPlan:
        """INSERT, UPDATE, DELETE, MERGE: the system's, fed by the user process where it must be."""
        tree = parse_statement(self.text)
        target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        if not isinstance(target, exp.Table) or not isinstance(
            tree, exp.Insert | exp.Update | exp.Delete | exp.Merge
        ):
            raise error(
                ErrorCode.NOT_SUPPORTED, "this statement is not supported over Spark Connect"
            )
        parts = tuple(part.name for part in target.parts)
        names = Names(self.context.session, self.context.views)
        if names.view(parts) is not None:
            raise error(ErrorCode.NOT_SUPPORTED, f"{parts[-1]} is a temporary view: it has no rows")
        foreign = [
            table
            for table in named_tables(tree)
            if table.node is not target and self._is_foreign(table)
        ]
        functions = self.context.functions | self.context.table_functions
        python = any(node.name.lower() in functions for node in tree.find_all(exp.Anonymous))
        text = constant_text(self.message)
        if not foreign and not python and text is not None:
            return RewrittenPlan(Action.STATEMENT, sql=Statement(text))
        if isinstance(tree, exp.Insert):
            return self._insert(tree)
        if python or text is None:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                "UPDATE, DELETE and MERGE cannot use registered functions or such parameters",
                hint="compute the rows into a temporary view first, and use that",
            )
        return self._fed(tree, foreign)

    def _is_foreign(self, table: NamedTable) -> bool:
        """True for what only the user process can read: temporary views, files, given relations."""
        if self.relation.WhichOneof("rel_type") == "with_relations":
            return True
        names = Names(self.context.session, self.context.views)
        return names.view(table.parts) is not None or names_files(table.parts)

    def _insert(self, tree: exp.Insert) -> RewrittenPlan:
        """INSERT whose query runs in the user process."""
        query = tree.expression
        if query is None or tree.args.get("where"):
            raise error(ErrorCode.NOT_SUPPORTED, "this form of INSERT is not supported here")
        query.pop()
        if (with_ := tree.args.get("with_")) is not None:
            tree.set("with_", None)
            query.set("with_", with_)
        source = self._subquery(emit(query))
        tree.set(
            "expression",
            exp.Select(expressions=[exp.Star()]).from_(exp.to_table("hw_source", dialect="spark")),
        )
        target = WriteTarget(WriteMode.STATEMENT, statement=emit(tree))
        return _write(target, {"hw_source": source}, source.tables)

    def _subquery(self, text: str) -> RewrittenPlan:
        plan = messages().Plan()
        plan.root.CopyFrom(self.relation)
        inner = plan.root.with_relations.root if not self._is_plain else plan.root
        inner.sql.query = text
        checked = relation_plan(plan.root, self.context)
        return RewrittenPlan(
            Action.RUN,
            python=checked.python,
            tables=checked.tables,
            stage=lambda: stage_relations(plan, checked),
        )

    def _fed(self, tree: exp.Expr, foreign: list[NamedTable]) -> RewrittenPlan:
        """UPDATE, DELETE or MERGE with some tables from the user process."""
        sources: dict[str, RewrittenPlan] = {}
        tables: tuple[Name, ...] = ()
        for number, table in enumerate(foreign):
            name = f"hw_source_{number}"
            written = ".".join(f"`{part.replace('`', '``')}`" for part in table.parts)
            sources[name] = self._subquery(f"SELECT * FROM {written}")
            tables += sources[name].tables
        rename(tree, list(zip(foreign, sources, strict=True)))
        return _write(WriteTarget(WriteMode.STATEMENT, statement=emit(tree)), sources, tables)

    def _explain(self) -> RewrittenPlan:
        cursor = self.cursor
        cursor.expect("EXPLAIN")
        mode = cursor.match_any("EXTENDED", "CODEGEN", "COST", "FORMATTED") or ""
        text = cursor.rest().strip()
        if _is_change(text):
            return self._system()
        return self._in_process(f"EXPLAIN {mode} ", text)

    def _in_process(self, prefix: str, text: str) -> RewrittenPlan:
        """A statement about a query, asked of the user process."""
        walk = Walk(self.context)
        plan = messages().Plan()
        sql = plan.command.sql_command.input.sql

        def put(emitted: str) -> None:
            sql.query = prefix + emitted

        walk.sql(text, Names(self.context.session, self.context.views), put)
        checked = relation_plan(messages().RelationCommon(), self.context)
        checked = replace(
            checked,
            fills=tuple(walk.fills),
            python=walk.python,
            tables=tuple(walk.tables),
            reads=walk.reads,
        )
        return RewrittenPlan(
            Action.RUN,
            python=walk.python,
            tables=checked.tables,
            stage=lambda: stage_columns(plan, checked),
        )

    def _setting(self) -> RewrittenPlan:
        text = self.text.strip().rstrip(";").strip()
        word, _, rest = text.partition(" ")
        rest = rest.strip()
        if word.upper() == "RESET":
            if rest:
                check_setting(_unquoted(rest))
                return _session(SetSetting(_unquoted(rest), None))
            return _session(*(SetSetting(key, None) for key in self.context.settings))
        zone = re.fullmatch(r"TIME\s+ZONE\s+(LOCAL|'[^']*'|\"[^\"]*\")", rest, re.IGNORECASE)
        if zone is not None:
            value = zone[1].strip("'\"")
            return _session(
                SetSetting(
                    "spark.sql.session.timeZone", None if value.upper() == "LOCAL" else value
                )
            )
        if re.match(r"(CATALOG|ROLE)\s", rest, re.IGNORECASE):
            return self._system()
        key, mark, value = rest.partition("=")
        key = _unquoted(key.strip())
        if not mark:
            known = sorted(self.context.settings.items()) if not key or key == "-v" else []
            if key and key != "-v":
                known = [(key, self.context.settings.get(key, "<undefined>"))]
            return replace(_session(), rows=(("key", "value"), tuple(known)))
        check_setting(key, _unquoted(value.strip()))
        return replace(
            _session(SetSetting(key, _unquoted(value.strip()))),
            rows=(("key", "value"), ((key, _unquoted(value.strip())),)),
        )

    def _cache(self) -> RewrittenPlan:
        """CACHE, UNCACHE, REFRESH: what is staged is cached by its content already."""
        cursor = self.cursor
        if cursor.match("CACHE"):
            cursor.match("LAZY")
            cursor.expect("TABLE")
            name = cursor.name("the name of a table")
            if cursor.match("OPTIONS"):
                cursor.bracketed()
            cursor.match("AS")
            if not cursor.at_end:
                if len(name.parts) != 1:
                    raise error(ErrorCode.INVALID_ARGUMENT, "a temporary view has a plain name")
                relation = messages().Relation()
                relation.CopyFrom(self.relation)
                sql = relation.sql if self._is_plain else relation.with_relations.root.sql
                sql.query = cursor.rest()
                return add_view(relation, name.parts[0], self.context, replaces=False)
            self._must_exist(name)
            return _session()
        if cursor.match("CLEAR", "CACHE"):
            cursor.expect_end()
            return _session()
        verb = cursor.match_any("UNCACHE", "REFRESH")
        if not cursor.match("TABLE"):
            raise error(ErrorCode.NOT_SUPPORTED, f"{verb} works on tables")
        if_exists = cursor.match("IF", "EXISTS")
        name = cursor.name("the name of a table")
        cursor.expect_end()
        if not if_exists:
            self._must_exist(name)
        return _session()

    def _must_exist(self, name: Name) -> None:
        names = Names(self.context.session, self.context.views)
        if names.view(name.parts) is None and not self.context.stager.exists(
            name, self.context.session
        ):
            raise error(ErrorCode.TABLE_NOT_FOUND, f"table or view {name} does not exist")

    def _create(self) -> RewrittenPlan:
        cursor = self.cursor
        cursor.expect("CREATE")
        replaces = cursor.match("OR", "REPLACE")
        is_global = cursor.match("GLOBAL")
        temporary = cursor.match_any("TEMPORARY", "TEMP") is not None
        if cursor.match("FUNCTION"):
            raise error(
                ErrorCode.NOT_SUPPORTED,
                "functions are not made by SQL here",
                hint="spark.udf.register makes one of Python",
            )
        if not temporary:
            return self._create_object()
        cursor.expect("VIEW")
        exists_is_fine = cursor.match("IF", "NOT", "EXISTS")
        name = cursor.name("the name of a view")
        if len(name.parts) != 1:
            raise error(ErrorCode.INVALID_ARGUMENT, "a temporary view has a plain name")
        if exists_is_fine and name.parts[0].casefold() in self.context.views:
            return _session()
        relation = messages().Relation()
        if cursor.looking_at("USING"):
            self._view_of_files(relation)
        else:
            columns = self._view_head()
            inner = messages().Relation()
            inner.CopyFrom(self.relation)
            sql = inner.sql if self._is_plain else inner.with_relations.root.sql
            sql.query = cursor.rest()
            if columns:
                relation.to_df.input.CopyFrom(inner)
                relation.to_df.column_names.extend(columns)
            else:
                relation.CopyFrom(inner)
        return add_view(
            relation, name.parts[0], self.context, replaces=replaces, is_global=is_global
        )

    def _view_head(self) -> list[str]:
        """Reads a view's columns, comment and properties up to its AS."""
        cursor = self.cursor
        columns: list[str] = []
        if cursor.match("("):
            while True:
                columns.append(cursor.identifier("a column name"))
                if cursor.match("COMMENT"):
                    cursor.string("a comment")
                if not cursor.match(","):
                    break
            cursor.expect(")")
        while not cursor.match("AS"):
            if cursor.match("COMMENT"):
                cursor.string("a comment")
            elif cursor.match("TBLPROPERTIES"):
                cursor.bracketed()
            else:
                raise cursor.fail("expected AS")
        return columns

    def _view_of_files(self, relation: Message) -> None:
        """CREATE TEMPORARY VIEW … USING format OPTIONS (key value, …)."""
        cursor = self.cursor
        cursor.expect("USING")
        source = relation.read.data_source
        source.format = cursor.identifier("a format")
        if cursor.match("OPTIONS"):
            cursor.expect("(")
            while True:
                key = cursor.identifier("an option") if not _is_text(cursor) else cursor.string()
                while cursor.match("."):
                    key += "." + cursor.identifier("an option")
                cursor.match("=")
                if _is_text(cursor):
                    value = cursor.string("a value")
                else:
                    token = cursor.peek()
                    value = "" if token is None else token.text
                    cursor.index += 1
                source.options[key] = value
                if not cursor.match(","):
                    break
            cursor.expect(")")
        cursor.expect_end()

    def _create_object(self) -> RewrittenPlan:
        """CREATE TABLE AS from the user process where it must be; all else is the system's."""
        split = self._as_query()
        if split is None or not self.cursor.looking_at("TABLE"):
            return self._system()
        head, query = split
        tree = parse_statement(query)
        functions = self.context.functions | self.context.table_functions
        needed = any(self._is_foreign(table) for table in named_tables(tree)) or any(
            node.name.lower() in functions for node in tree.find_all(exp.Anonymous)
        )
        if not needed and constant_text(self.message) is not None:
            return RewrittenPlan(Action.STATEMENT, sql=Statement(constant_text(self.message) or ""))
        source = self._subquery(query)
        statement = f"{head} AS SELECT * FROM `hw_source`"
        target = WriteTarget(WriteMode.STATEMENT, statement=statement)
        return _write(target, {"hw_source": source}, source.tables)

    def _as_query(self) -> tuple[str, str] | None:
        """What stands before and after the AS of CREATE … AS query."""
        cursor = self.cursor
        depth = 0
        for place, token in enumerate(cursor.tokens):
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            following = cursor.tokens[place + 1] if place + 1 < len(cursor.tokens) else None
            if (
                not depth
                and token.text.upper() == "AS"
                and following is not None
                and following.text.upper() in _QUERY_WORDS
            ):
                start = token.start - cursor.shift
                return self.text[:start], self.text[following.start - cursor.shift :]
        return None

    def _drop(self) -> RewrittenPlan:
        cursor = self.cursor
        cursor.expect("DROP")
        cursor.match_any("TEMPORARY", "TEMP")
        if cursor.match("FUNCTION"):
            return self._drop_function()
        if cursor.match_any("VIEW", "TABLE"):
            cursor.match("IF", "EXISTS")
            name = cursor.name("the name of a view")
            names = Names(self.context.session, self.context.views)
            is_global = len(name.parts) == 2 and name.parts[0].casefold() == GLOBAL
            if is_global or names.view(name.parts) is not None:
                return _session(DropView(name.parts[-1], is_global))
        return self._system()

    def _drop_function(self) -> RewrittenPlan:
        """Functions are the session's: those that it registered."""
        maybe = self.cursor.match("IF", "EXISTS")
        name = self.cursor.name("the name of a function").parts[-1].casefold()
        if name in self.context.functions | self.context.table_functions:
            return _session(DropFunction(name))
        if not maybe:
            raise error(ErrorCode.FUNCTION_NOT_FOUND, f"there is no function {name[:60]!r}")
        return _session()


def _session(*effects: SetSetting | DropView | DropFunction) -> RewrittenPlan:
    return RewrittenPlan(Action.SESSION, effects=effects)


def _write(
    target: WriteTarget, sources: dict[str, RewrittenPlan], tables: tuple[Name, ...]
) -> RewrittenPlan:
    return RewrittenPlan(
        Action.WRITE,
        write=Write(target, sources),
        python=any(source.python for source in sources.values()),
        tables=tables,
    )


def _is_change(text: str) -> bool:
    return isinstance(parse_statement(text), exp.Insert | exp.Update | exp.Delete | exp.Merge)


def _is_text(cursor: Cursor) -> bool:
    token = cursor.peek()
    return token is not None and token.token_type.name in ("STRING", "RAW_STRING")


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "`'\"":
        return text[1:-1]
    if text.startswith("`"):
        return ".".join(split_identifier(text))
    return text
