"""Which engines a statement may ask for."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from headwater.model.statement import Dialect, EngineChoice
from headwater.server.api.context import Caller, Running

router = APIRouter(tags=["statements"])

_TITLES = {
    EngineChoice.DUCKDB: "System engine (DuckDB)",
    EngineChoice.SAIL: "Sail",
    EngineChoice.SPARK: "Apache Spark",
}


class EngineView(BaseModel):
    """An engine; one that is not installed yet is when a statement first asks for it."""

    name: EngineChoice
    title: str
    release: str | None = Field(description="None: it is the server's own.")
    installed: bool
    dialects: list[Dialect] = Field(description="What statements for it may be written in.")


@router.get("/engines")
def engines(caller: Caller, running: Running) -> list[EngineView]:
    """The system engine, and Sail and Spark where the server has them."""
    duckdb = EngineChoice.DUCKDB
    found = [
        EngineView(
            name=duckdb, title=_TITLES[duckdb], release=None, installed=True, dialects=list(Dialect)
        )
    ]
    others = running.others.attached
    for other in others.engines() if others is not None else ():
        name = EngineChoice(other.name)
        found.append(
            EngineView(
                name=name,
                title=_TITLES[name],
                release=other.release,
                installed=other.installed,
                dialects=[Dialect.SPARK],
            )
        )
    return found
