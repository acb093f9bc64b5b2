"""Loads the sandbox that the settings name. No other replaces it (D35).

Only the named provider is loaded, because most processes need no provider at all.
"""

from __future__ import annotations

from engine.ports.sbx import Sandbox
from engine.ports.sbx.mock import Mock
from engine.ports.sbx.settings import Settings
from engine.ports.sbx.slow import Slow


def sandbox(settings: Settings) -> Sandbox:
    """The sandbox, which waits first if it is to."""
    chosen = Mock() if settings.mode == "mock" else _live(settings)
    return Slow(chosen, settings.pause_ms / 1000) if settings.pause_ms else chosen


def _live(settings: Settings) -> Sandbox:
    match settings.provider:
        case "e2b" | "microsandbox":
            return _make_hosted(settings)
        case _:
            from engine.ports.sbx.local import Local  # noqa: PLC0415  # see the module

            base, shared = settings.base, settings.shared
            return Local(limits=settings.limits, base=base, shared=shared, net=settings.net)


def _make_hosted(settings: Settings) -> Sandbox:
    from engine.ports.sbx.e2b import E2b  # noqa: PLC0415  # see the module
    from engine.ports.sbx.hosted import Hosted  # noqa: PLC0415  # as above
    from engine.ports.sbx.microsandbox import Microsandbox  # noqa: PLC0415  # as above

    wall_ms, net = settings.limits.wall_ms, settings.net
    if settings.provider == "e2b":
        key, template = settings.e2b_key, settings.e2b_template
        return Hosted(E2b(key=key, template=template, wall_ms=wall_ms, net=net))
    image, memory_mb = settings.microsandbox_image, settings.limits.memory_mb
    return Hosted(Microsandbox(image=image, memory_mb=memory_mb, wall_ms=wall_ms, net=net))
