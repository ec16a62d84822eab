"""Operations on namespaces."""

from __future__ import annotations

from headwater.catalog.catalog import Catalog
from headwater.catalog.names import namespace_of
from headwater.catalog.namespaces import no_namespace
from headwater.gateway.iceberg_rest.errors import WireError
from headwater.gateway.iceberg_rest.wire import (
    NOTHING,
    Call,
    Reply,
    bad_request,
    json_reply,
    namespace_in,
)
from headwater.governance.access import Access
from headwater.model.identifiers import Namespace
from headwater.model.privilege import Privilege, Securable


class NamespaceOperations:
    """Lists, makes, loads, changes and drops namespaces."""

    def __init__(self, catalog: Catalog, access: Access) -> None:
        self._catalog = catalog
        self._browser = access.browser

    def list(self, call: Call) -> Reply:
        """GET namespaces: those directly in `parent` that the caller may see."""
        parent: Namespace = namespace_of(call.query["parent"]) if call.query.get("parent") else ()
        if parent:
            self._see(call, parent)
        visible = self._browser.schemas(call.user.identity, parent)
        page, following = call.page(visible)
        body = {"namespaces": [list(namespace) for namespace in page]}
        return json_reply(body | ({} if following is None else {"next-page-token": following}))

    def create(self, call: Call) -> Reply:
        """POST namespaces."""
        body = call.json()
        namespace = namespace_in(body)
        if call.outcome is None:
            inside = Securable.schema(namespace[:-1]) if namespace[1:] else Securable.catalog()
            call.user.check(Privilege.CREATE_SCHEMA, inside)
            call.user.seal()
            properties = body.get("properties") or {}
            if not isinstance(properties, dict):
                raise bad_request("properties must be an object")
            self._catalog.create_namespace(namespace, properties, call.user.actor(), call.receipt)
        made = self._catalog.namespace(namespace)
        return json_reply({"namespace": list(namespace), "properties": made.properties})

    def load(self, call: Call) -> Reply:
        """GET a namespace; its properties are for those who hold a privilege on all of it."""
        self._see(call, call.namespace)
        found = self._catalog.namespace(call.namespace)
        whole = call.user.allows(Privilege.DESCRIBE, Securable.schema(call.namespace))
        properties = found.properties if whole else {}
        return json_reply({"namespace": list(found.namespace), "properties": properties})

    def exists(self, call: Call) -> Reply:
        """HEAD a namespace; engine workers look before they write to a table of it."""
        if call.access is None:
            self._catalog.namespace(call.namespace)
            return NOTHING
        self._see(call, call.namespace)
        return NOTHING

    def drop(self, call: Call) -> Reply:
        """DELETE a namespace."""
        if call.outcome is None:
            call.user.check(Privilege.DROP, Securable.schema(call.namespace))
            call.user.seal()
            self._catalog.drop_namespace(call.namespace, call.user.actor(), call.receipt)
        return NOTHING

    def update(self, call: Call) -> Reply:
        """POST a namespace's properties."""
        body = call.json()
        removals, updates = body.get("removals") or [], body.get("updates") or {}
        if not isinstance(removals, list) or not isinstance(updates, dict):
            raise bad_request("removals must be a list, updates an object")
        both = set(map(str, removals)) & set(updates)
        if both:
            raise WireError(
                422,
                "UnprocessableEntityException",
                f"properties cannot be set and removed at once: {', '.join(sorted(both))}",
            )
        call.user.check(Privilege.ALTER, Securable.schema(call.namespace))
        call.user.seal()
        before = self._catalog.namespace(call.namespace).properties
        if call.outcome is None:
            self._catalog.update_namespace(
                call.namespace, map(str, removals), updates, call.user.actor(), call.receipt
            )
            removed = [key for key in removals if key in before]
        else:
            # A repeated request finds its removals done.
            removed = [key for key in removals if key not in before]
        missing = [key for key in removals if key not in removed]
        return json_reply({"updated": list(updates), "removed": removed, "missing": missing})

    def _see(self, call: Call, namespace: Namespace) -> None:
        if not self._browser.sees_schema(call.user.identity, namespace):
            raise no_namespace(namespace)
