"""The gates that wait for people, and how urgent each is."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core import identity
from engine.core.gates import Sla, sla
from engine.store import Tx
from engine.store import inbox as store
from engine.store.inbox import OpenGate


@dataclass(frozen=True, slots=True)
class Waiting:
    """An open gate, and the workflow that escalates its deadline, if it exists."""

    gate: OpenGate
    escalation_id: str | None

    @property
    def sla(self) -> Sla:
        """How soon it needs an answer."""
        return sla(self.gate.left_s)

    @property
    def mismatch_risk(self) -> bool:
        """Whether an answer under the gate's own name does not reach its topic."""
        return self.gate.topic != identity.topic(self.gate.gate_key)


async def list_inbox(tx: Tx, limit: int) -> list[Waiting]:
    """The open gates, the most urgent first."""
    gates = await store.open_gates(tx, limit)
    there = await store.workflows(tx, [gate.escalation_id for gate in gates])
    return [
        Waiting(gate, gate.escalation_id if gate.escalation_id in there else None) for gate in gates
    ]
