"""What a run records of its target: the code that it ran, and the build that it tells."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pytest_spec11.errors import Spec11Error
from pytest_spec11.launch import origins
from pytest_spec11.session.runtime import Runtime
from pytest_spec11.session.target_identity import ask_identity


def describe_target(runtime: Runtime, bound: Collection[str]) -> dict[str, Any]:
    """The part ``target`` of the record ``surroundings``."""
    target = runtime.target
    found = origins.describe(target, runtime.config.rootpath, bound)
    if target.identity is None:
        return {**found, "asked": "", "told": ""}
    try:
        told = ask_identity(target.identity, runtime.lease.main().base_url)
    except Spec11Error as error:
        told = f"{error}"[:200]
    return {**found, "asked": target.identity.text, "told": told}
