"""Asks the running target which build it is, the way the target declares."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Final

import httpx

from pytest_spec11.target import Identity

_DEADLINE_S: Final = 30.0
_KEPT: Final = 200


def ask_identity(identity: Identity, base_url: str) -> str:
    """What the target tells: a commit or a version; otherwise why it tells nothing."""
    try:
        told = _run_command(identity) if identity.command else _get_route(identity, base_url)
    except (httpx.HTTPError, OSError, ValueError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"[:_KEPT]
    return told.strip()[:_KEPT]


def _run_command(identity: Identity) -> str:
    done = subprocess.run(  # noqa: S603  # the target's own command, no shell
        identity.command,
        env=dict(identity.env) or dict(os.environ),  # noqa: TID251  # not the engine's
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=_DEADLINE_S,
    )
    return _pick(done.stdout.decode(), identity.key)


def _get_route(identity: Identity, base_url: str) -> str:
    with httpx.Client(trust_env=False, timeout=_DEADLINE_S) as client:
        reply = client.get(base_url.rstrip("/") + identity.route)
    return _pick(reply.text, identity.key)


def _pick(text: str, key: str) -> str:
    """The text, or the value of this key in it. Raises ValueError."""
    if not key:
        return text
    value: Any = json.loads(text)
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise ValueError(f"its answer has no {key}")
        value = value[part]
    if not isinstance(value, str):
        raise ValueError(f"{key} in its answer is no text")  # noqa: TRY004  # as for a missing one
    return value
