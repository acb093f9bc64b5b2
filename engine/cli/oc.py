"""`spec11-engine oc smoke`: one strict question to the agents' server, and what it proves."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Final

from engine.config import Config
from engine.contracts.plans import PlanAnswer
from engine.core import plans
from engine.core.canon import Json
from engine.errors import AgentsUnavailable, Misconfigured, RunFailed
from engine.ports.oc import Answer, Question
from engine.ports.oc.daemon import Daemon
from engine.ports.oc.live import Live

FAILED: Final = 1
SMALL_GOAL: Final = {"goal": "Say that you are there: one line of design, one test."}
EPILOG: Final = """
Asks the server at OC_BASE_URL (default http://127.0.0.1:4096) with OC_MODE=live: its health, its
agents, a session, and one answer in the shape of a plan. It is always strict, whatever
OC_STRICT_MODE says: no stub answers. It prints one JSON object, and writes the same to --out.

exit status: 0 the strict path worked once; 1 it did not (standard error says why); 2 wrong usage
or environment
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    parser.add_argument("verb", choices=["smoke"], help="ask the live server one question")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the evidence here")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 when the strict path worked, 1 when not. Raises Misconfigured."""
    if config.agents.mode != "live":
        raise Misconfigured(f"OC_MODE={config.agents.mode!r}: the smoke asks the live server")
    began = time.monotonic()
    found: dict[str, Json] = {"mode": config.agents.mode, "strict": True, "ok": False}
    try:
        found |= asyncio.run(_ask_server(config))
    except RunFailed as error:
        found["reason"] = str(error)
    found["ms"] = round((time.monotonic() - began) * 1000)
    _say(found, arguments.out)
    if not found["ok"]:
        print(f"spec11-engine oc smoke: {found['reason']}", file=sys.stderr)
        return FAILED
    return 0


async def _ask_server(config: Config) -> dict[str, Json]:
    daemon = Daemon(config.agents.base_url)
    try:
        health = await daemon.health()
        _require_agents(await daemon.agents())
        answer = await Live(daemon, config.agents.timeout_ms / 1000).ask(_question())
    finally:
        await daemon.close()
    plans.require_tools(plans.PLAN, answer.tools)
    server: dict[str, Json] = {"kind": health.server, "version": health.version}
    return {"ok": True, "server": server, **_state_claim(answer)}


def _state_claim(answer: Answer) -> dict[str, Json]:
    """No more than was seen."""
    return {
        "servedBy": answer.served_by,
        "sessionID": answer.session_id,
        "samples": 1,
        "claim": "this strict path worked 1 time",
    }


def _require_agents(names: list[str]) -> None:
    if missing := {plans.PLAN, plans.BUILD} - {*names}:
        raise AgentsUnavailable.of("agents", f"no agent {', '.join(sorted(missing))}")


def _question() -> Question:
    return Question(
        agent=plans.PLAN,
        title="spec11 smoke",
        recipe_id="smoke",
        recipe_v="v1",
        inputs={},
        prompt=plans.plan_prompt(SMALL_GOAL),
        schema=PlanAnswer.model_json_schema(),
    )


def _say(found: dict[str, Json], out: Path | None) -> None:
    text = json.dumps(found, ensure_ascii=False)
    print(text)
    if out is not None:
        out.write_text(f"{text}\n", encoding="utf-8")
