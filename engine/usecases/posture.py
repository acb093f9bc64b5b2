"""What this process is configured to be, as every header says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """The environment's words that a reader of a header must know."""

    topology: str
    runtime_mode: str
    oc_mode: str
    sbx_mode: str
    sbx_provider: str
    oc_strict_mode: bool
    app_version: str
    claim_scope: str

    def as_header(self) -> dict[str, object]:
        """The fields of the run header that it fills."""
        return asdict(self)
