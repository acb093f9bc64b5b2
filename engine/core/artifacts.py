"""The bytes and media types of artifacts, and the order of steps."""

from __future__ import annotations

from typing import Any, Final

from engine.core.canon import canonical

STEPS: Final = ("CompileST", "ApplyPatchST", "DecideST", "ExecuteST")
TEXT_KINDS: Final = frozenset({"text", "stdout", "stderr", "file", "svg", "none"})
NO_ERROR: Final = "NONE"


def content(kind: str, inline: Any) -> bytes:
    """The bytes under an artifact's sha256: the text of a text kind, otherwise canonical JSON."""
    return str(inline["text"]).encode() if kind in TEXT_KINDS else canonical(inline)


def uri(run_id: str, step_id: str, task_key: str, name: str) -> str:
    """The uri of an artifact; without a task the task key is empty."""
    return f"artifact://run/{run_id}/step/{step_id}/task/{task_key}/{name}"


def media_type(kind: str) -> str:
    """The media type of those bytes (B41)."""
    if kind == "svg":
        return "image/svg+xml"
    return "text/plain; charset=utf-8" if kind in TEXT_KINDS else "application/json"


def place(step_id: str) -> int:
    """The place of a step among the four; other steps come after them."""
    return STEPS.index(step_id) if step_id in STEPS else len(STEPS)


def has_succeeded(output: Any) -> bool:
    """Whether a recorded step succeeded: it has no error code."""
    return not isinstance(output, dict) or output.get("errCode", NO_ERROR) == NO_ERROR
