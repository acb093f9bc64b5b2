"""The recipe registry: list, import, export, and promote a version."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from engine.api import http, parsing
from engine.contracts.base import millis
from engine.contracts.recipes import (
    ImportedVersion,
    Promoted,
    RecipeBundle,
    RecipeExportRequest,
    RecipeImported,
    RecipeRow,
    RecipeVersionRow,
)
from engine.core.canon import canonical
from engine.core.recipes import Recipe
from engine.store.recipes import Entry, Version
from engine.usecases import recipes, specs
from engine.usecases.promotion import Step


async def list_recipes(request: Request) -> Response:
    """``GET /api/recipes``: each at its newest version in natural order."""
    async with http.ports(request).pool.connection() as tx:
        found = await recipes.newest(tx)
    return http.reply_list([_row(entry) for entry in found])


async def versions(request: Request) -> Response:
    """``GET /api/recipes/:id/versions``: natural order, newest first."""
    async with http.ports(request).pool.connection() as tx:
        found = await recipes.versions(tx, request.path_params["id"])
    return http.reply_list([_version(version) for version in found])


async def bring_in(request: Request) -> Response:
    """``POST /api/recipes/import``: the whole bundle as drafts, or nothing."""
    bundle = await parsing.body(request, RecipeBundle)
    wanted = [version.to_core() for version in bundle.versions]
    if faults := await asyncio.to_thread(specs.faults, wanted):  # it may take a second
        raise parsing.make_refusal("RecipeBundle", faults)
    async with http.ports(request).pool.connection() as tx:
        kept = await recipes.bring_in(tx, wanted)
    came_in = RecipeImported(id=bundle.id, versions=[_view_import(recipe) for recipe in kept])
    return http.reply(came_in, HTTPStatus.CREATED)


async def export_recipe(request: Request) -> Response:
    """``POST /api/recipes/export``: every version of a recipe, in canonical JSON."""
    wanted = await parsing.body(request, RecipeExportRequest)
    async with http.ports(request).pool.connection() as tx:
        found = await recipes.export_specs(tx, wanted.id)
    return Response(canonical({"id": wanted.id, "versions": [*found]}), media_type=http.JSON)


async def promote(request: Request) -> Response:
    """``POST /api/recipes/:id/versions/:v/promote``: 202 while its fixtures run."""
    await parsing.nothing(request)
    names = request.path_params
    step = await http.ports(request).promotions.promote(names["id"], names["v"])
    return http.reply(_view_promotion(step), HTTPStatus.OK if step.is_over else HTTPStatus.ACCEPTED)


def _view_import(recipe: Recipe) -> ImportedVersion:
    return ImportedVersion.model_validate(
        {"id": recipe.id, "v": recipe.v, "hash": recipe.hash, "status": recipe.status}
    )


def _view_promotion(step: Step) -> Promoted:
    return Promoted.model_validate(
        {
            "id": step.recipe.id,
            "v": step.recipe.v,
            "hash": step.recipe.hash,
            "status": step.recipe.status,
            "active_v": step.active_v,
            "promotion_id": step.promotion_id,
            "outcome_hash": step.outcome_hash,
        }
    )


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
