"""What the gateway's parts stand on."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.gateway.spark_connect.catalog import CatalogAnswers
from headwater.gateway.spark_connect.elsewhere import UserSide
from headwater.gateway.spark_connect.protocol import Messages
from headwater.gateway.spark_connect.statements import Statements


@dataclass(frozen=True, slots=True)
class Tools:
    """What operations stand on; made once. Without `user_side` only SQL runs."""

    pb: Messages
    statements: Statements
    catalog: CatalogAnswers
    user_side: UserSide | None = None
