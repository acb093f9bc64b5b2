"""The proof cards of a run, and the pack with everything that they are computed from."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.api import http
from engine.contracts.proofs import ProofCard
from engine.core.cards import Card
from engine.usecases import packs


async def cards(request: Request) -> Response:
    """``GET /api/runs/:wid/proofs``: each claim with its verdict (D24)."""
    lent = http.ports(request)
    async with lent.pool.connection() as tx:
        found = await packs.cards(tx, request.path_params["wid"], lent.secrets())
    return http.reply_list([_view(card) for card in found])


async def pack(request: Request) -> Response:
    """``GET /api/runs/:wid/repro``: the canonical bytes of the run's pack."""
    lent = http.ports(request)
    async with lent.pool.connection() as tx:
        made = await packs.pack(tx, request.path_params["wid"], lent.secrets())
    return Response(made, media_type=http.JSON)


def _view(card: Card) -> ProofCard:
    return ProofCard(
        id=card.id,
        claim=card.claim,
        evidence=card.evidence,
        verdict=card.verdict.value,
        source=card.source.value,
        ts=card.ts,
        provenance=card.provenance,
        raw_ref=card.raw_ref,
    )
