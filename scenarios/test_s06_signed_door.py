"""S06: where a secret is set, an event is believed for its signature, and for nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pytest_spec11.stacks import Stack, Stacks
from scenarios.support.contract import identity
from scenarios.support.contract.credentials import SECRET, bearer, signature
from scenarios.support.contract.events import ACCEPTED, EVENTS, LEDGER, event
from scenarios.support.faults.zero_writes import zero_writes
from scenarios.support.runs.run_lifecycle import END_S, await_status, park_run

pytestmark = pytest.mark.S06


@pytest.fixture
def signed(stacks: Stacks) -> Iterator[Stack]:
    """A private stack that believes events signed with SECRET."""
    with stacks.start(env={"SPEC11_WEBHOOK_SECRET": SECRET}) as made:
        yield made


@pytest.mark.claim("S06.signed-door")
def test_only_the_right_signature_of_these_very_bytes_opens(
    signed: Stack, unique_goal: str
) -> None:
    wid = park_run(signed.api, unique_goal)["workflowID"]
    (gate,) = signed.api.get(f"/api/runs/{wid}/gates").json()
    raw = json.dumps(event(wid, gate["gateKey"]), indent=2).encode()
    moment, code = signature(raw)["x-spec11-signature"].removeprefix("t=").split(",v1=")
    wrong: dict[str, tuple[bytes, dict[str, str]]] = {
        "none": (raw, {}),
        "a token": (raw, bearer(SECRET)),
        "another secret": (raw, signature(raw, secret=f"{SECRET}.")),
        "a byte more": (raw + b" ", signature(raw)),
        "a byte altered": (raw.replace(b"yes", b"no "), signature(raw)),
        "another layout": (json.dumps(json.loads(raw)).encode(), signature(raw)),
        "too old": (raw, signature(raw, age_s=302)),
        "too new": (raw, signature(raw, age_s=-310)),
        "another moment": (raw, {"x-spec11-signature": f"t={int(moment) + 1},v1={code}"}),
        "cut off": (raw, {"x-spec11-signature": f"t={moment},v1={code[:-1]}"}),
        "empty": (raw, {"x-spec11-signature": ""}),
    }

    with zero_writes(signed):
        refused = {
            what: signed.api.request("POST", EVENTS, content=body, headers=headers)
            for what, (body, headers) in wrong.items()
        }

    assert {what: each.status for what, each in refused.items()} == dict.fromkeys(wrong, 401)
    assert {each.json()["code"] for each in refused.values()} == {"unauthorized"}
    old = signature(raw, age_s=290)
    accepted = signed.api.request("POST", EVENTS, content=raw, headers=old)
    assert (accepted.status, accepted.json()) == (200, ACCEPTED)
    assert signed.app_sql.one(LEDGER, r=identity.run_id(wid))["origin"] == "webhook-ci"
    assert await_status(signed.api, wid, {"SUCCESS"}, deadline_s=END_S)["error"] is None
    status = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
    assert signed.sys_sql.value(status, w=wid) in {"PENDING", "SUCCESS"}
