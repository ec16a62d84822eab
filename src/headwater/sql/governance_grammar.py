"""Grammar of the governance statements: principals, roles, grants, denies, filters, masks.

CREATE | DROP  ROLE | USER | SERVICE ACCOUNT  [IF [NOT] EXISTS] name
ALTER  ROLE | USER | SERVICE ACCOUNT  name  DISABLE | ENABLE
GRANT role, … TO principal, …            REVOKE role, … FROM principal, …
GRANT | DENY privilege [(column, …)], … ON object TO principal, … [WITH GRANT OPTION]
REVOKE [DENY] [GRANT OPTION FOR] privilege [(column, …)], … ON object FROM principal, …
CREATE [OR REPLACE] ROW FILTER name ON table USING (predicate) TO … [EXCEPT …]
CREATE [OR REPLACE] COLUMN MASK name ON table (column) USING action | (expression) TO … [EXCEPT …]
DROP ROW FILTER | COLUMN MASK [IF EXISTS] name ON table
SHOW GRANTS [ON object] [TO | FOR principal]
    an object may be LOCATION 'uri', for READ FILES and WRITE FILES
SHOW ROLES | USERS | CURRENT ROLES | ROLE GRANTS [FOR principal] | POLICIES [ON table]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from headwater.model.privilege import Privilege
from headwater.model.scan import MaskAction
from headwater.sql.hints import did_you_mean
from headwater.sql.statements import (
    AlterPrincipal,
    CreateColumnMask,
    CreatePrincipal,
    CreateRowFilter,
    DropPolicy,
    DropPrincipal,
    GrantPrivileges,
    GrantRoles,
    Name,
    ParsedStatement,
    PrincipalName,
    PrivilegeColumns,
    SecurableName,
    ShowGovernance,
)
from headwater.sql.tokens import Cursor
from headwater.sql.trees import parse_expression

Item = TypeVar("Item")

_Kinds = dict[tuple[str, ...], str]

_PRINCIPALS: _Kinds = {
    ("ROLE",): "role",
    ("USER",): "user",
    ("SERVICE", "ACCOUNT"): "service_account",
}
_POLICIES: _Kinds = {("ROW", "FILTER"): "row_filter", ("COLUMN", "MASK"): "column_mask"}
_OBJECTS = (*_PRINCIPALS, *_POLICIES)
_SHOWS: _Kinds = {
    ("GRANTS",): "grants",
    ("ROLES",): "roles",
    ("ROLE", "GRANTS"): "role_grants",
    ("CURRENT", "ROLES"): "current_roles",
    ("USERS",): "users",
    ("POLICIES",): "policies",
}
_PRIVILEGES: dict[str, Privilege] = {
    **{privilege.value: privilege for privilege in Privilege},
    "ALL": Privilege.ALL,
    "CREATE": Privilege.CREATE_TABLE,
}


def is_governance(cursor: Cursor) -> bool:
    """True when the statement at the cursor is one of governance; nothing is read."""
    if any(cursor.looking_at(word) for word in ("GRANT", "REVOKE", "DENY")):
        return True
    for verb in (("CREATE",), ("CREATE", "OR", "REPLACE"), ("DROP",), ("ALTER",)):
        if cursor.looking_at(*verb):
            for words in _OBJECTS:
                if cursor.looking_at(*words, ahead=len(verb)):
                    return True
    return cursor.looking_at("SHOW") and any(cursor.looking_at(*words, ahead=1) for words in _SHOWS)


def parse_governance(cursor: Cursor) -> ParsedStatement:
    """The governance statement at the cursor; SYNTAX_ERROR with a place and a hint."""
    if cursor.match("CREATE"):
        statement = _create(cursor)
    elif cursor.match("DROP"):
        statement = _drop(cursor)
    elif cursor.match("ALTER"):
        statement = _alter(cursor)
    elif cursor.match("SHOW"):
        statement = _show(cursor)
    else:
        statement = _grant(cursor)
    cursor.expect_end()
    return statement


def _create(cursor: Cursor) -> ParsedStatement:
    replace = cursor.match("OR", "REPLACE")
    kind = _kind(cursor, _PRINCIPALS)
    if kind is not None:
        if replace:
            raise cursor.fail(f"a {_words(kind)} cannot be replaced", hint="use IF NOT EXISTS")
        if_not_exists = cursor.match("IF", "NOT", "EXISTS")
        name = cursor.identifier(f"the name of the {_words(kind)}")
        return CreatePrincipal(kind, name, if_not_exists)
    policy = _kind(cursor, _POLICIES)
    if policy is None:
        raise cursor.fail("expected ROLE, USER, SERVICE ACCOUNT, ROW FILTER or COLUMN MASK")
    name = cursor.identifier(f"the name of the {_words(policy)}")
    cursor.expect("ON")
    cursor.match("TABLE")
    table = cursor.name("the name of a table")
    if policy == "row_filter":
        cursor.expect("USING")
        predicate = parse_expression(cursor.bracketed(), cursor.dialect)
        return CreateRowFilter(name, table, predicate, *_bound(cursor), or_replace=replace)
    cursor.expect("(")
    column = cursor.identifier("the name of the column")
    cursor.expect(")")
    cursor.expect("USING")
    if cursor.looking_at("("):
        action = MaskAction.EXPRESSION.value
        expression = parse_expression(cursor.bracketed(), cursor.dialect)
    else:
        action, expression = _action(cursor), None
    to, spared = _bound(cursor)
    return CreateColumnMask(name, table, column, action, expression, to, spared, replace)


def _drop(cursor: Cursor) -> ParsedStatement:
    kind = _kind(cursor, _PRINCIPALS)
    if kind is not None:
        if_exists = cursor.match("IF", "EXISTS")
        return DropPrincipal(kind, cursor.identifier(f"the name of the {_words(kind)}"), if_exists)
    policy = _kind(cursor, _POLICIES)
    if policy is None:
        raise cursor.fail("expected ROLE, USER, SERVICE ACCOUNT, ROW FILTER or COLUMN MASK")
    if_exists = cursor.match("IF", "EXISTS")
    name = cursor.identifier(f"the name of the {_words(policy)}")
    cursor.expect("ON")
    cursor.match("TABLE")
    return DropPolicy(policy, name, cursor.name("the name of a table"), if_exists)


def _alter(cursor: Cursor) -> ParsedStatement:
    kind = _kind(cursor, _PRINCIPALS)
    if kind is None:
        raise cursor.fail(
            "filters and masks cannot be altered", hint="use CREATE OR REPLACE ROW FILTER"
        )
    name = cursor.identifier(f"the name of the {_words(kind)}")
    change = cursor.match_any("DISABLE", "ENABLE")
    if change is None:
        raise cursor.fail("expected DISABLE or ENABLE")
    return AlterPrincipal(kind, name, change == "ENABLE")


def _show(cursor: Cursor) -> ParsedStatement:
    what = _kind(cursor, _SHOWS)
    assert what is not None, "is_governance saw one of these"
    on, principal = None, None
    if what in ("grants", "policies") and cursor.match("ON"):
        on = _securable(cursor)
    if what in ("grants", "role_grants") and cursor.match_any("TO", "FOR"):
        principal = _principal(cursor)
    return ShowGovernance(what, on, principal)


def _grant(cursor: Cursor) -> ParsedStatement:
    verb = cursor.match_any("GRANT", "REVOKE", "DENY")
    revoke = verb == "REVOKE"
    effect = {"GRANT": "grant", "DENY": "deny", "REVOKE": "revoke"}[verb or ""]
    if revoke and cursor.match("DENY"):
        effect = "revoke_deny"
    option = revoke and cursor.match("GRANT", "OPTION", "FOR")
    preposition = "FROM" if revoke else "TO"
    if not _grants_privileges(cursor, preposition):
        return _roles(cursor, effect, preposition)
    privileges = _list(cursor, _privilege)
    cursor.expect("ON")
    on = _securable(cursor)
    cursor.expect(preposition)
    to = _list(cursor, _principal)
    if effect == "grant":
        option = cursor.match("WITH", "GRANT", "OPTION")
    return GrantPrivileges(effect, privileges, on, to, option)


def _grants_privileges(cursor: Cursor, preposition: str) -> bool:
    """True for a grant of privileges on something, False for one of roles."""
    if any(cursor.looking_at(*words.split()) for words in _PRIVILEGES):
        return True
    ahead = 0
    while cursor.peek(ahead) is not None and not cursor.looking_at(preposition, ahead=ahead):
        if cursor.looking_at("ON", ahead=ahead):
            return True
        ahead += 1
    return False


def _roles(cursor: Cursor, effect: str, preposition: str) -> ParsedStatement:
    if effect not in ("grant", "revoke"):
        raise cursor.fail("a role cannot be denied", hint="DENY takes privileges ON an object")
    cursor.match("ROLE")
    roles = _list(cursor, lambda at: at.identifier("the name of a role"))
    cursor.expect(preposition)
    to = _list(cursor, _principal)
    if cursor.looking_at("WITH", "ADMIN"):
        raise cursor.fail(
            "ADMIN OPTION is not supported", hint="GRANT MANAGE GRANTS ON CATALOG lake TO … instead"
        )
    return GrantRoles(roles, to, effect == "revoke")


def _privilege(cursor: Cursor) -> PrivilegeColumns:
    for words in sorted(_PRIVILEGES, key=len, reverse=True):
        if cursor.match(*words.split()):
            columns = cursor.names_in_brackets() if cursor.looking_at("(") else ()
            return PrivilegeColumns(_PRIVILEGES[words], columns)
    token = cursor.peek()
    raise cursor.fail(
        "expected a privilege",
        hint=did_you_mean(token.text, _PRIVILEGES) if token else "such as SELECT, INSERT or ALTER",
    )


def _securable(cursor: Cursor) -> SecurableName:
    if cursor.match("CATALOG"):
        at_end = cursor.at_end or cursor.looking_at("TO") or cursor.looking_at("FROM")
        return SecurableName("catalog", None if at_end else cursor.name("the catalog's name"))
    for kind in ("SCHEMA", "TABLE", "VIEW"):
        if cursor.match(kind):
            return SecurableName(kind.lower(), cursor.name(f"the name of a {kind.lower()}"))
    if cursor.match("LOCATION"):
        return SecurableName("location", Name((cursor.string("a location"),)))
    kind_of_principal = _kind(cursor, _PRINCIPALS)
    if kind_of_principal is not None:
        return SecurableName(kind_of_principal, cursor.name("the name of a principal"))
    return SecurableName(None, cursor.name("the name of a table, view, schema or catalog"))


def _principal(cursor: Cursor) -> PrincipalName:
    kind = _kind(cursor, _PRINCIPALS)
    return PrincipalName(cursor.identifier("the name of a user, role or service account"), kind)


def _bound(cursor: Cursor) -> tuple[tuple[PrincipalName, ...], tuple[PrincipalName, ...]]:
    cursor.expect("TO")
    to = _list(cursor, _principal)
    spared = _list(cursor, _principal) if cursor.match("EXCEPT") else ()
    return to, spared


def _action(cursor: Cursor) -> str:
    """The name of a mask action: `show-last-4`, `show_last_4` or `'show-last-4'`."""
    start = cursor.index
    parts: list[str] = []
    # The TO of `mask-to-fixed-value` follows a hyphen, the one that ends the action does not.
    while not cursor.at_end and (parts[-1:] == ["-"] or not cursor.looking_at("TO")):
        token = cursor.peek()
        assert token is not None
        parts.append(token.text)
        cursor.index += 1
    action = "".join(parts).lower().replace("_", "-")
    actions = [known.value for known in MaskAction if known is not MaskAction.EXPRESSION]
    if action not in actions:
        cursor.index = start
        raise cursor.fail(
            "expected a mask action or an expression in brackets",
            hint=did_you_mean(action, actions) or "actions: " + ", ".join(actions),
        )
    return action


def _kind(cursor: Cursor, kinds: _Kinds) -> str | None:
    """Reads the keywords of one of the kinds, if they come next and something follows."""
    for words, kind in kinds.items():
        if cursor.match(*words):
            return kind
    return None


def _list(cursor: Cursor, item: Callable[[Cursor], Item]) -> tuple[Item, ...]:
    items = [item(cursor)]
    while cursor.match(","):
        items.append(item(cursor))
    return tuple(items)


def _words(kind: str) -> str:
    return kind.replace("_", " ")
