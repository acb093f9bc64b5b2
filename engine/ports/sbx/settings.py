"""What the environment says of sandboxes; no provider is loaded to read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from engine.ports.supervisor.cage import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that the environment says of sandboxes."""

    mode: str
    provider: str
    limits: Limits
    net: bool
    base: Path | None
    shared: Path | None
    e2b_key: str | None = field(repr=False)
    e2b_template: str | None
    microsandbox_image: str
    pause_ms: int
