"""Saved queries: versions, owners, sharing by role."""

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.governance.audit import AuditLog
from headwater.governance.bootstrap import ensure_admin
from headwater.governance.identity import Directory
from headwater.governance.state import PolicyStore
from headwater.model.principal import Actor, Identity, PrincipalKind
from headwater.query.saved import QueryContent, SavedQueries
from headwater.store.database import Database


class People:
    """A metastore with alice and bob, who holds the role team."""

    def __init__(self, database: Database) -> None:
        store, audit = PolicyStore(database), AuditLog(database)
        admin = ensure_admin(database, audit)
        directory = Directory(database, store, audit)
        actor = Actor(admin.id, admin.name)
        self.directory, self.actor = directory, actor
        self.alice = Identity(directory.create(PrincipalKind.USER, "alice", actor))
        self.bob = Identity(directory.create(PrincipalKind.USER, "bob", actor))
        self.team = directory.create(PrincipalKind.ROLE, "team", actor)
        for one in (self.alice, self.bob):
            directory.grant_role(self.team, one.principal, actor)
        self.saved = SavedQueries(database, store)


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


def code_of(caught: pytest.ExceptionInfo[HeadwaterError]) -> ErrorCode:
    return caught.value.code


def test_a_query_is_kept_as_it_was_written(people: People) -> None:
    content = QueryContent("trips 🚕", "SELECT 'x'", schema="s", chart={"kind": "bar"})
    made = people.saved.create(people.alice, content)
    assert (made.version, made.mine, made.owner) == (1, True, "alice")
    assert people.saved.get(people.alice, made.id).content == content
    assert [found.id for found in people.saved.all(people.alice)] == [made.id]


def test_a_save_on_an_old_version_changes_nothing(people: People) -> None:
    made = people.saved.create(people.alice, QueryContent("q", "SELECT 1"))
    first, done = people.saved.change(people.alice, made.id, 1, QueryContent("q", "SELECT 2"))
    assert (done, first.version) == (True, 2)
    stored, done = people.saved.change(people.alice, made.id, 1, QueryContent("q", "SELECT 3"))
    assert (done, stored.content.sql, stored.version) == (False, "SELECT 2", 2)
    assert people.saved.drop(people.alice, made.id, 1) == stored
    assert people.saved.drop(people.alice, made.id, 2) is None
    with pytest.raises(HeadwaterError) as caught:
        people.saved.get(people.alice, made.id)
    assert code_of(caught) is ErrorCode.SAVED_QUERY_NOT_FOUND


def test_others_see_what_is_shared_with_their_active_role(people: People) -> None:
    saved, alice, bob = people.saved, people.alice, people.bob
    private = saved.create(alice, QueryContent("private", "SELECT 1"))
    shared = saved.create(alice, QueryContent("shared", "SELECT 2", share="team"))
    assert [found.id for found in saved.all(bob)] == [shared.id]
    assert not saved.get(bob, shared.id).mine
    with pytest.raises(HeadwaterError) as caught:
        saved.get(bob, private.id)
    assert code_of(caught) is ErrorCode.SAVED_QUERY_NOT_FOUND
    for attempt in (
        lambda: saved.change(bob, shared.id, 1, QueryContent("mine now", "SELECT 3")),
        lambda: saved.drop(bob, shared.id, None),
    ):
        with pytest.raises(HeadwaterError) as caught:
            attempt()
        assert code_of(caught) is ErrorCode.PERMISSION_DENIED
    people.directory.revoke_role(people.team, bob.principal, people.actor)
    assert saved.all(bob) == []


def test_sharing_needs_the_role(people: People) -> None:
    people.directory.create(PrincipalKind.ROLE, "others", people.actor)
    for role in ("others", "nobody"):
        with pytest.raises(HeadwaterError) as caught:
            people.saved.create(people.alice, QueryContent("q", "SELECT 1", share=role))
        assert code_of(caught) is ErrorCode.PERMISSION_DENIED


def test_what_is_saved_in_another_s_name_is_the_impersonator_s(people: People) -> None:
    acting = Identity(people.bob.principal, impersonator=people.alice.principal)
    made = people.saved.create(acting, QueryContent("q", "SELECT 1"))
    assert made.owner == "alice"
    assert people.saved.all(people.bob) == []
