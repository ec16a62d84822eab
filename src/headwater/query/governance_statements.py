"""GRANT, DENY, REVOKE, CREATE ROLE, CREATE ROW FILTER and the like, and their SHOW."""

from __future__ import annotations

from headwater.governance.statements import GovernanceStatements
from headwater.model.identifiers import parse_namespace
from headwater.query.work import Outcome, Task, Work
from headwater.sql import statements as s

GOVERNANCE = (
    s.CreatePrincipal,
    s.DropPrincipal,
    s.AlterPrincipal,
    s.GrantRoles,
    s.GrantPrivileges,
    s.CreateRowFilter,
    s.CreateColumnMask,
    s.DropPolicy,
    s.ShowGovernance,
)
"""The statements that governance itself checks, carries out and audits."""

_UPDATE_TYPES = {
    s.CreatePrincipal: "CREATE ROLE",
    s.DropPrincipal: "DROP ROLE",
    s.AlterPrincipal: "ALTER ROLE",
    s.CreateRowFilter: "CREATE ROW FILTER",
    s.CreateColumnMask: "CREATE COLUMN MASK",
    s.DropPolicy: "DROP POLICY",
}


def governance_task(work: Work, statement: s.ParsedStatement) -> Task:
    """The statement, to be carried out for the caller of the work."""
    runner = GovernanceStatements(work.parts.access)
    schema = parse_namespace(work.session.schema) if work.session.schema else None

    def run() -> Outcome:
        table = runner.run(statement, work.request, schema=schema)
        return Outcome(table=table, update_type=None if table is not None else _name(statement))

    return run


def _name(statement: s.ParsedStatement) -> str:
    if isinstance(statement, s.GrantPrivileges):
        return statement.effect.replace("_", " ").upper()
    if isinstance(statement, s.GrantRoles):
        return "REVOKE ROLE" if statement.revoke else "GRANT ROLE"
    return _UPDATE_TYPES[type(statement)]
