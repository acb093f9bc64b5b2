"""The sign-off board."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from engine.api import http
from engine.contracts.signoff import SignoffBoard, SignoffPosture, SignoffReason, SignoffTile
from engine.core.signoff import Tile


async def board(request: Request) -> Response:
    """``GET /api/ops/signoff``: GO or NO_GO, with tiles, triggers and reasons."""
    lent = http.ports(request)
    found = await lent.signoff.board(lent.pool)
    return http.reply(
        SignoffBoard(
            verdict=found.verdict,
            posture=SignoffPosture(**asdict(lent.posture)),
            pf_tiles=[*map(_view_tile, found.pf_tiles)],
            proof_tiles=[*map(_view_tile, found.proof_tiles)],
            rollback_triggers=[*map(_view_tile, found.triggers)],
            reasons=[SignoffReason(**asdict(each)) for each in found.reasons],
            ts=found.ts,
        )
    )


def _view_tile(tile: Tile) -> SignoffTile:
    values = {name: value for name, value in asdict(tile).items() if value is not None}
    return SignoffTile(evidence_refs=[*values.pop("evidence")], **values)
