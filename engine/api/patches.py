"""The files that a step of a run wrote."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.api import http
from engine.contracts.base import millis
from engine.contracts.patches import PatchView
from engine.core.patches import Entry
from engine.usecases import patches


async def list_patches(request: Request) -> Response:
    """``GET /api/runs/:wid/steps/:stepId/patches``: by index, without contents."""
    wid, step_id = request.path_params["wid"], request.path_params["stepId"]
    async with http.ports(request).pool.connection() as tx:
        found = await patches.list_step_patches(tx, wid, step_id)
    return http.reply_list([_view(entry) for entry in found])


def _view(entry: Entry) -> PatchView:
    return PatchView(
        patch_index=entry.patch_index,
        target_path=entry.target_path,
        preimage_hash=entry.preimage_hash,
        postimage_hash=entry.postimage_hash,
        diff_hash=entry.diff_hash,
        applied_at=None if entry.applied_at is None else millis(entry.applied_at),
        rolled_back_at=None if entry.rolled_back_at is None else millis(entry.rolled_back_at),
        created_at=millis(entry.created_at),
    )
