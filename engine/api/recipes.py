"""The recipe registry, read only."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.api import http
from engine.contracts.base import millis
from engine.contracts.recipes import RecipeRow, RecipeVersionRow
from engine.store.recipes import Entry, Version
from engine.usecases import recipes


async def listed(request: Request) -> Response:
    """``GET /api/recipes``: each at its newest version in natural order."""
    async with http.ports(request).pool.connection() as tx:
        found = await recipes.newest(tx)
    return http.reply_list([_row(entry) for entry in found])


async def versions(request: Request) -> Response:
    """``GET /api/recipes/:id/versions``: natural order, newest first."""
    async with http.ports(request).pool.connection() as tx:
        found = await recipes.versions(tx, request.path_params["id"])
    return http.reply_list([_version(version) for version in found])


def _row(entry: Entry) -> RecipeRow:
    return RecipeRow.model_validate(
        {
            "id": entry.id,
            "name": entry.name,
            "latest_v": entry.v,
            "status": entry.status,
            "updated_at": millis(entry.created_at),
        }
    )


def _version(version: Version) -> RecipeVersionRow:
    return RecipeVersionRow.model_validate(
        {
            "id": version.id,
            "v": version.v,
            "hash": version.hash,
            "status": version.status,
            "created_at": millis(version.created_at),
            "eval_count": len(version.spec["eval"]),
            "fixture_count": len(version.spec["fixtures"]),
        }
    )
