"""Bodies of proofs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.contracts.base import View


class ProofCard(View):
    """One claim about a run, computed again from its rows; ``ts`` is the time of the rows."""

    id: str
    claim: str
    evidence: str
    verdict: Literal["PASS", "FAIL", "UNKNOWN"]
    source: Literal["sql", "api", "dbos", "artifact", "k6", "policy", "test"]
    ts: int = Field(description="epoch milliseconds; what a row says, be it before 1970")
    provenance: str
    raw_ref: str
