"""What the doubles answer when nothing is wrong: one plan, and one build of it."""

from __future__ import annotations

from typing import Any

PLAN: dict[str, Any] = {
    "design": ["what the double proposes"],
    "files": [],
    "risks": ["it is a double"],
    "tests": ["smoke"],
}
BUILD: dict[str, Any] = {"patch": [], "tests": ["smoke"], "test_command": "run-test"}
