"""The one sandbox that the settings name: no other ever stands in for it (D35)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from engine.ports.sbx import Sandbox
from engine.ports.sbx.e2b import E2b
from engine.ports.sbx.hosted import Hosted
from engine.ports.sbx.local import Local
from engine.ports.sbx.microsandbox import Microsandbox
from engine.ports.sbx.mock import Mock
from engine.ports.sbx.slow import Slow
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


def sandbox(settings: Settings) -> Sandbox:
    """The sandbox, which waits first if it is to."""
    chosen = Mock() if settings.mode == "mock" else _live(settings)
    return Slow(chosen, settings.pause_ms / 1000) if settings.pause_ms else chosen


def _live(settings: Settings) -> Sandbox:
    wall_ms, net = settings.limits.wall_ms, settings.net
    match settings.provider:
        case "e2b":
            key, template = settings.e2b_key, settings.e2b_template
            return Hosted(E2b(key=key, template=template, wall_ms=wall_ms, net=net))
        case "microsandbox":
            image, memory_mb = settings.microsandbox_image, settings.limits.memory_mb
            return Hosted(Microsandbox(image=image, memory_mb=memory_mb, wall_ms=wall_ms, net=net))
        case _:
            base, shared = settings.base, settings.shared
            return Local(limits=settings.limits, base=base, shared=shared, net=net)
