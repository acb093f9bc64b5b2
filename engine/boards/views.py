"""The view model of each board: what the API answers, and what a page needs to show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from engine.api.http import ports
from engine.boards.feeds import Answer, ask
from engine.usecases import recipes, triage

BOARDS: Final = {
    "run": "Run",
    "hitl-inbox": "Inbox",
    "ops": "Operations",
    "throughput": "Throughput",
    "recipe": "Recipes",
    "signoff": "Sign-off",
}
TABS: Final = {
    "timeline": "Timeline",
    "gate": "Gate",
    "artifacts": "Artifacts",
    "patches": "Patches",
    "proof": "Proof",
    "ops": "Operations",
    "repro": "Repro",
}
ENDED: Final = frozenset({"SUCCESS", "ERROR", "CANCELLED"})
ORIGINS: Final = (
    "manual",
    "engine-dbos",
    "api-shim",
    "webhook",
    "webhook-ci",
    "external",
    "unknown",
)
ENGINE_WORDS: Final = ("ENQUEUED", "PENDING", "SUCCESS", "ERROR", "CANCELLED")
# Where an operation is legal, by the word of the durable engine; the API has the last word.
LEGAL: Final[Mapping[str, frozenset[str]]] = {
    "cancel": frozenset({"ENQUEUED", "DELAYED", "PENDING"}),
    "resume": frozenset({"CANCELLED"}),
    "fork": frozenset({"ENQUEUED", "DELAYED", "PENDING", "SUCCESS", "ERROR", "CANCELLED"}),
}
RUN: Final = "/api/runs/{wid}"
STEPS: Final = f"{RUN}/steps"
GATES: Final = f"{RUN}/gates"
PATCHES: Final = f"{STEPS}/{{stepId}}/patches"
WORKFLOW: Final = "/api/ops/wf/{id}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page is: its board, and what the address names."""

    board: str
    tab: str
    query: Mapping[str, str]

    @property
    def wid(self) -> str:
        """The run that the address names; empty if it names none."""
        return self.query.get("wid", "").strip()

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Place:
        """The place of an address; an unknown board or tab is the first one."""
        board, tab = query.get("board", ""), query.get("tab", "")
        return cls(
            board if board in BOARDS else "run", tab if tab in TABS else "timeline", dict(query)
        )


async def build(request: Request, place: Place) -> dict[str, Any]:
    """The facts of a page. ``feed`` is the answer that decides the page's status."""
    health = await ask(request, ("GET", "/healthz"))
    facts = await _BUILDERS[place.board](request, place)
    form = await load_start_form(request, place) if place.board in {"run", "recipe"} else None
    return {"health": health, "start": form, **facts}


async def load_start_form(request: Request, place: Place) -> dict[str, Any] | None:
    """What the start form is made from: the recipe's own JSON Schema, and its limits."""
    chosen = place.query.get("recipe") or "compile-default"
    listed = await ask(request, ("GET", "/api/recipes/{id}/versions"), id=chosen)
    if not listed.is_ok:
        return None
    async with ports(request).pool.connection() as tx:
        found = await recipes.versions(tx, chosen)
    wanted = place.query.get("v", "")
    stable = [each for each in found if each.status == "stable"]
    own = next((each for each in found if each.v == wanted), (*stable, *found)[0])
    return {
        "recipe": own.id,
        "v": own.v,
        "schema": own.spec["formSchema"],
        "limits": own.spec["limits"],
    }


async def _build_run(request: Request, place: Place) -> dict[str, Any]:
    if not place.wid:
        return {"feed": await ask(request, ("GET", "/api/recipes")), "header": None}
    header = await ask(request, ("GET", RUN), wid=place.wid)
    facts: dict[str, Any] = {"feed": header, "header": header.data if header.is_ok else None}
    if header.is_ok:
        place_id = header.data["workflowID"]
        facts |= await _TABS[place.tab](request, place_id, header.data)
    return facts


async def _build_timeline(request: Request, wid: str, header: Mapping[str, Any]) -> dict[str, Any]:
    steps = await ask(request, ("GET", STEPS), wid=wid)
    gates = await ask(request, ("GET", GATES), wid=wid)
    detail = await ask(request, ("GET", WORKFLOW), id=header["executionID"])
    took = [each["endedAt"] - each["startedAt"] for each in steps.rows]
    longest = max([1, *took])
    rows = [
        {**each, "tookMS": ms, "share": 1 + 19 * ms // longest}
        for each, ms in zip(steps.rows, took, strict=True)
    ]
    failed = [each for each in rows if each["status"] == "ERROR"]
    return {
        "steps": [*failed, *(each for each in rows if each["status"] != "ERROR")],
        "gates": gates.rows,
        "auditRows": detail.data["audit"] if detail.is_ok else [],
    }


async def _build_gate(request: Request, wid: str, header: Mapping[str, Any]) -> dict[str, Any]:
    del header
    gates = await ask(request, ("GET", GATES), wid=wid)
    ledger = await ask(request, ("GET", f"{RUN}/interactions"), wid=wid)
    return {"gates": gates.rows, "interactions": ledger.rows, "origins": ORIGINS}


async def _build_artifacts(request: Request, wid: str, header: Mapping[str, Any]) -> dict[str, Any]:
    del header
    steps = await ask(request, ("GET", STEPS), wid=wid)
    return {"artifacts": [ref for step in steps.rows for ref in step["artifactRefs"]]}


async def _build_patches(request: Request, wid: str, header: Mapping[str, Any]) -> dict[str, Any]:
    del header
    found = await ask(request, ("GET", PATCHES), wid=wid, stepId="ApplyPatchST")
    return {"patches": [{**each, "guard": _name_guard(each)} for each in found.rows]}


def _name_guard(patch: Mapping[str, Any]) -> str:
    """How far a patch is, from its own row."""
    if patch["rolledBackAt"] is not None:
        return "ROLLED BACK"
    return "PENDING" if patch["appliedAt"] is None else "APPLIED"


async def _build_proof(request: Request, wid: str, header: Mapping[str, Any]) -> dict[str, Any]:
    del header
    cards = await ask(request, ("GET", f"{RUN}/proofs"), wid=wid)
    groups: dict[str, list[Any]] = defaultdict(list)
    for card in cards.rows:
        groups[_group_of(card)].append(card)
    return {"cards": {name: groups.get(name, []) for name in _GROUPS}}


_GROUPS: Final = ("API", "SQL (app)", "SQL (dbos)", "x1", "Policy", "Artifacts")


def _group_of(card: Mapping[str, Any]) -> str:
    """The sub-tab of a card, by its typed source and provenance alone."""
    if card["provenance"].startswith("dbos.") or card["source"] == "dbos":
        return "SQL (dbos)"
    if card["source"] == "policy":
        return "Policy"
    if card["id"].partition(":")[0].endswith("x1") or "x1" in card["provenance"]:
        return "x1"
    return {"api": "API", "sql": "SQL (app)"}.get(card["source"], "Artifacts")


async def _build_ops_tab(request: Request, wid: str, header: Mapping[str, Any]) -> dict[str, Any]:
    del wid
    return await _build_detail(request, header["executionID"])


async def _build_repro(request: Request, wid: str, header: Mapping[str, Any]) -> dict[str, Any]:
    del header
    pack = await ask(request, ("GET", f"{RUN}/repro"), wid=wid)
    return {"pack": pack.data if pack.is_ok else None, "refusal": pack, "levels": [*triage.ORDER]}


async def _build_detail(request: Request, workflow_id: str) -> dict[str, Any]:
    """One workflow: its own row, its steps, and the operations with their legality."""
    detail = await ask(request, ("GET", WORKFLOW), id=workflow_id)
    steps = await ask(request, ("GET", f"{WORKFLOW}/steps"), id=workflow_id)
    word = detail.data["status"] if detail.is_ok else ""
    legal = {name: word in words for name, words in LEGAL.items()}
    return {"detail": detail, "engineSteps": steps.rows, "legal": legal}


async def _build_inbox(request: Request, place: Place) -> dict[str, Any]:
    found = await ask(request, ("GET", "/api/hitl/inbox"), query={"limit": "200"})
    wanted = place.query.get("sla", "")
    rows = [each for each in found.rows if wanted in {"", each["slaStatus"]}]
    return {"feed": found, "waiting": rows, "total": len(found.rows), "sla": wanted}


async def _build_ops(request: Request, place: Place) -> dict[str, Any]:
    asked = {name: place.query[name] for name in ("status", "name") if place.query.get(name)}
    found = await ask(request, ("GET", "/api/ops/wf"), query={**asked, "limit": "100"})
    depth = await ask(request, ("GET", "/api/ops/queue-depth"), query={"limit": "200"})
    facts = {"feed": found, "workflows": found.rows, "queues": depth.rows, "words": ENGINE_WORDS}
    return facts | (await _build_detail(request, place.wid) if place.wid else {"detail": None})


async def _build_throughput(request: Request, place: Place) -> dict[str, Any]:
    del place
    found = await ask(request, ("GET", "/api/ops/throughput"))
    depth = await ask(request, ("GET", "/api/ops/queue-depth"), query={"limit": "200"})
    most = max([1, *(each["workflowCount"] for each in depth.rows)])
    return {
        "feed": found,
        "figures": found.data if found.is_ok else None,
        "queues": [
            {**each, "share": 1 + 19 * each["workflowCount"] // most} for each in depth.rows
        ],
    }


async def _build_recipe(request: Request, place: Place) -> dict[str, Any]:
    found = await ask(request, ("GET", "/api/recipes"))
    chosen = place.query.get("recipe", "")
    listed = Answer(200, [])
    if chosen:
        listed = await ask(request, ("GET", "/api/recipes/{id}/versions"), id=chosen)
    return {"feed": found, "recipes": found.rows, "chosen": chosen, "versions": listed.rows}


async def _build_signoff(request: Request, place: Place) -> dict[str, Any]:
    del place
    found = await ask(request, ("GET", "/api/ops/signoff"))
    return {"feed": found, "signoff": found.data if found.is_ok else None}


_Builder = Callable[[Request, Place], Awaitable[dict[str, Any]]]
_Tab = Callable[[Request, str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
_BUILDERS: Final[Mapping[str, _Builder]] = {
    "run": _build_run,
    "hitl-inbox": _build_inbox,
    "ops": _build_ops,
    "throughput": _build_throughput,
    "recipe": _build_recipe,
    "signoff": _build_signoff,
}
_TABS: Final[Mapping[str, _Tab]] = {
    "timeline": _build_timeline,
    "gate": _build_gate,
    "artifacts": _build_artifacts,
    "patches": _build_patches,
    "proof": _build_proof,
    "ops": _build_ops_tab,
    "repro": _build_repro,
}
