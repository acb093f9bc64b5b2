"""The posture: the modes of this process, which every run header shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """The modes of this process, as its environment set them."""

    topology: str
    runtime_mode: str
    oc_mode: str
    oc_strict_mode: bool
    sbx_mode: str
    sbx_provider: str
    app_version: str
    claim_scope: str
