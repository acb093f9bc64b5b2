"""What an artifact's bytes are, and in which order steps come."""

from __future__ import annotations

from typing import Any, Final

from engine.core.canon import canonical

STEPS: Final = ("CompileST", "ApplyPatchST", "DecideST", "ExecuteST")
TEXT_KINDS: Final = frozenset({"text", "stdout", "stderr", "file", "svg", "none"})
NO_ERROR: Final = "NONE"


def content(kind: str, inline: Any) -> bytes:
    """The bytes an artifact's sha256 is of: the text of a text kind, else canonical JSON."""
    return str(inline["text"]).encode() if kind in TEXT_KINDS else canonical(inline)


def uri(run_id: str, step_id: str, task_key: str, name: str) -> str:
    """Where an artifact is found; what belongs to no task has an empty key."""
    return f"artifact://run/{run_id}/step/{step_id}/task/{task_key}/{name}"


def media_type(kind: str) -> str:
    """How those bytes are labelled (B41)."""
    if kind == "svg":
        return "image/svg+xml"
    return "text/plain; charset=utf-8" if kind in TEXT_KINDS else "application/json"


def place(step_id: str) -> int:
    """Where a step stands among the four; anything else comes after them."""
    return STEPS.index(step_id) if step_id in STEPS else len(STEPS)


def has_succeeded(output: Any) -> bool:
    """Whether a recorded step did what it was for; one without an error code did."""
    return not isinstance(output, dict) or output.get("errCode", NO_ERROR) == NO_ERROR
