"""The Arrow tables that one statement's plan carries to the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from headwater.sql.fixed import Fixed, fixed_values
from headwater.sql.relations import Bound, InputRelation


@dataclass(slots=True)
class Inputs:
    """The Arrow tables that a statement names, by the name that its plan gives them."""

    builders: dict[str, Callable[[Fixed], pa.Table]] = field(default_factory=dict)

    def add(self, schema: pa.Schema, build: Callable[[Fixed], pa.Table]) -> InputRelation:
        """Registers a table; `build` makes it when the plan is made.

        It is told what the query fixes columns to, and may leave out rows with anything else.
        """
        name = f"input_{len(self.builders)}"
        self.builders[name] = build
        return InputRelation(name, schema)

    def tables(self, bound: Bound) -> dict[str, pa.Table]:
        """The tables of the relations that the bound statement still reads."""
        if not self.builders:
            return {}
        fixed = fixed_values(bound)
        return {
            leaf.relation.name: self.builders[leaf.relation.name](fixed.get(leaf.key, {}))
            for leaf in bound.leaves
            if isinstance(leaf.relation, InputRelation) and not leaf.relation.files
        }
