"""Records, once, that nobody answered a gate in time."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.canon import Json
from engine.core.workflows import ESCALATION
from engine.store import Tx
from engine.store import gates as store
from engine.store.pool import Pool
from engine.usecases import step_artifacts
from engine.usecases.step_artifacts import Made


@dataclass(frozen=True, slots=True)
class Escalation:
    """Escalations, over one pool of connections."""

    pool: Pool

    async def tell(self, run_id: str, gate_key: str) -> None:
        """Write the artifact. Its time is the deadline, so a repeat has the same bytes."""
        await self.pool.insist(_record_escalation, run_id, gate_key)


async def _record_escalation(tx: Tx, run_id: str, gate_key: str) -> None:
    at = await store.overdue_at(tx, run_id, gate_key)
    said: Json = {
        "event": "TIMEOUT_ESCALATION",
        "gateKey": gate_key,
        "at": at.isoformat(),
        "reason": "Human gate timed out",
    }
    made = Made("ops", "escalation.json", said)
    artifact = step_artifacts.one(run_id, ESCALATION, made, gate_key, step_artifacts.LAST)
    await store.keep_escalation(tx, run_id, gate_key, artifact)
