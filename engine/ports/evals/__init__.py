"""Evaluates checks of other authors in a separate process, which is ended after a time limit."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Final

from engine.core.evals import Artifact, Check, Finding

log = logging.getLogger(__name__)
PROGRAM: Final = (sys.executable, "-P", "-m", "engine.ports.evals.child")
CHECK_S: Final = 2  # processor time of one check: beyond it the check ends itself and fails
PATIENCE_S: Final = 120.0  # clock time of all checks, on a busy machine


class Evals:
    """Runs checks in the child process."""

    async def judge(self, checks: Sequence[Check], index: Sequence[Artifact]) -> list[Finding]:
        """The finding of each check. A check that takes too long, or is never reached, fails."""
        told = await self._ask_child(checks, index)
        unheard = (
            Finding(passed=False, reason=f"{check['kind']}:unanswered")
            for check in checks[len(told) :]
        )
        return [*told, *unheard]

    async def _ask_child(self, checks: Sequence[Check], index: Sequence[Artifact]) -> list[Finding]:
        asked = {
            "checks": list(checks),
            "index": [asdict(each) for each in index],
            "limit": CHECK_S,
        }
        child = await asyncio.create_subprocess_exec(
            *PROGRAM,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        said = b""
        try:
            async with asyncio.timeout(PATIENCE_S + CHECK_S * len(checks)):
                said, _ = await child.communicate(json.dumps(asked).encode())
        except TimeoutError:
            log.warning("checks were not looked at in time")
        finally:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        return [Finding(**json.loads(line)) for line in said.splitlines()]
