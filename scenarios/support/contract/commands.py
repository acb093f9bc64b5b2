"""The engine's own commands, run against one stack."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from pytest_spec11.oracles.proc import Exit
from pytest_spec11.stacks import Control, Stack
from pytest_spec11.target import Process

_NUMBERS = count(1)


def engine(
    stack: Stack, *words: str, env: Mapping[str, str] | None = None, deadline_s: float = 30
) -> Exit:
    """Run ``spec11-engine WORDS`` in the environment of the stack's api-shim; return its exit."""
    made = _process(stack, words, env or {})
    return stack.proc.run(made.command, env=made.env, deadline_s=deadline_s)


def engine_process(stack: Stack, *words: str) -> Control:
    """Start ``spec11-engine WORDS`` in the environment of the stack's api-shim."""
    return stack.spawn(_process(stack, words, {}))


def _process(stack: Stack, words: tuple[str, ...], env: Mapping[str, str]) -> Process:
    """The api-shim's command with other arguments."""
    shim = stack.fill_process("api")
    assert shim.command[-1] == "api"
    return Process(
        name=f"{words[-1].strip('-')}-{next(_NUMBERS)}",
        command=(*shim.command[:-1], *words),
        env={**shim.env, **env},
    )
