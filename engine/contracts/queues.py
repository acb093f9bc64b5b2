"""Bodies of queues."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.contracts.base import Millis, View, Wire


class DepthQuery(Wire):
    """The number of rows."""

    limit: Annotated[int, Field(ge=1, le=200)] = 100


class DepthRow(View):
    """How many workflows of one queue have one status."""

    queue_name: str | None
    status: str
    workflow_count: Annotated[int, Field(ge=0)]
    oldest_created_at: Millis
    newest_created_at: Millis
