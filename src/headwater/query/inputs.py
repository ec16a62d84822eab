"""The Arrow tables that one statement's plan carries to the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from headwater.sql.relations import InputRelation


@dataclass(slots=True)
class Inputs:
    """The Arrow tables that a statement names, by the name that its plan gives them."""

    builders: dict[str, Callable[[], pa.Table]] = field(default_factory=dict)

    def add(self, schema: pa.Schema, build: Callable[[], pa.Table]) -> InputRelation:
        """Registers a table; `build` makes it when the plan is made."""
        name = f"input_{len(self.builders)}"
        self.builders[name] = build
        return InputRelation(name, schema)

    def tables(self, relations: Iterable[InputRelation]) -> dict[str, pa.Table]:
        """The tables of the relations that the bound statement still reads."""
        return {
            relation.name: self.builders[relation.name]()
            for relation in relations
            if not relation.files
        }
