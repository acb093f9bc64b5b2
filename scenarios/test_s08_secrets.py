"""S08: what opens a door or a database is in no reply, pack, card, log line or evidence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_spec11.oracles.files import Files
from pytest_spec11.run import Run
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.target import Target
from scenarios.support.contract import identity
from scenarios.support.contract.commands import engine
from scenarios.support.contract.credentials import bearer
from scenarios.support.contract.inventory import operations
from scenarios.support.probes.subjects import subject
from scenarios.support.runs.operations import await_settled
from scenarios.support.runs.packs import Pack, faults
from scenarios.support.runs.run_lifecycle import complete_run

pytestmark = pytest.mark.S08

BIRD = "c4n4ry"
CANARY = f"s08-{BIRD}"  # not in one piece: a test may read this file, and it is evidence then
SECRETS = {
    "SPEC11_API_TOKEN": f"operator-{CANARY}-of-the-suite,next-{CANARY}-of-the-suite",
    "SPEC11_READER_TOKEN": f"reader-{CANARY}-of-the-suite",
    "SPEC11_WEBHOOK_TOKEN": f"webhook-{CANARY}-of-the-suite",
    "SPEC11_WEBHOOK_SECRET": f"sender-{CANARY}-of-the-suite",
}
PASSWORD = f"password-{CANARY}"
OPERATOR = bearer(f"operator-{CANARY}-of-the-suite")
WRONG = bearer(f"nobodys-{CANARY}-of-the-suite")
URL = f"https://somebody:{CANARY}@example.invalid/repo"


@pytest.fixture(scope="module")
def guarded(stacks: Stacks, spec11_target: Target) -> Iterator[Stack]:
    """A private stack that was told secrets, the database's password among them."""
    dsn = spec11_target.process("api").env["SPEC11_DSN"]
    with stacks.start(env={**SECRETS, "SPEC11_DSN": f"{dsn} password={PASSWORD}"}) as stack:
        yield stack


def bare(text: bytes | str) -> bool:
    """Whether there is no secret in it."""
    return CANARY not in (text.decode(errors="replace") if isinstance(text, bytes) else text)


@pytest.mark.claim("S08.secrets-redacted")
def test_secrets_are_told_to_nobody(
    guarded: Stack, files: Files, unique_goal: str, tmp_path: Path, spec11_run: Run
) -> None:
    api = guarded.api.using(OPERATOR)
    wid = complete_run(api, unique_goal)["workflowID"]
    about, known = subject(api, wid), operations(api)
    out = tmp_path / "pack.json"

    asked = [each for each in known if each.method == "GET"]
    open_ = {each.route: api.get(about.url(each)) for each in asked}
    shut = {
        each.route: guarded.api.using(WRONG).request(each.method, about.url(each)) for each in known
    }
    said = [
        engine(guarded, "repro", "--run", wid, "--out", str(out)),
        engine(guarded, "repro", "--run", "nobody"),
        engine(guarded, "triage", "--run", wid, "--url", guarded.base_url),
        engine(guarded, "ops", "cancel", wid, "--actor", "a", "--reason", "r",
               "--url", guarded.base_url),
        engine(guarded, "worker", env={"OC_MODE": "nothing", "SPEC11_API_TOKEN": CANARY}),
    ]  # fmt: skip

    assert {reply.status for reply in open_.values()} == {200}
    assert [reply.status for route, reply in shut.items() if route != "GET /healthz"] == [401] * (
        len(known) - 1
    )
    assert [route for route, reply in {**open_, **shut}.items() if not bare(reply.body)] == []
    assert [reply.headers for reply in (*open_.values(), *shut.values())
            if not bare(json.dumps(dict(reply.headers)))] == []  # fmt: skip
    assert [each.code for each in said] == [0, 1, 0, 1, 2]
    assert [each for each in said if not bare(each.stdout + each.stderr)] == []
    assert bare(files.read(out) or CANARY)
    logs = {name: files.read(guarded.process(name).log) or b"" for name in ("api", "worker")}
    assert {name: bare(text) for name, text in logs.items()} == {"api": True, "worker": True}
    assert b"401 unauthorized" in logs["api"]
    evidence = [path for path in spec11_run.path.rglob("*") if path.is_file()]
    assert len(evidence) > 3
    assert [path for path in evidence if not bare(path.read_bytes())] == []


@pytest.mark.claim("S08.secrets-redacted")
def test_a_secret_that_came_in_by_a_form_does_not_go_out_by_a_pack(
    guarded: Stack, files: Files, unique_goal: str, tmp_path: Path
) -> None:
    api = guarded.api.using(OPERATOR)
    dsn = f"host=db user=me password={CANARY}"
    goal = f"{unique_goal}: {PASSWORD}, {OPERATOR['authorization']}, {URL}, {dsn}"
    wid = complete_run(api, goal)["workflowID"]
    assert (wid, await_settled(guarded, wid)) == (
        identity.workflow_id(goal),
        ("succeeded", "SUCCESS"),
    )
    out = tmp_path / "pack.json"

    cards = api.get(f"/api/runs/{wid}/proofs")
    served = api.get(f"/api/runs/{wid}/repro")
    made = engine(guarded, "repro", "--run", wid, "--out", str(out))
    held = engine(guarded, "repro", "--verify", str(out))

    assert (cards.status, {card["verdict"] for card in cards.json()}) == (200, {"PASS"})
    assert (served.status, made.code, files.read(out)) == (200, 0, served.body)
    assert (bare(cards.body), bare(served.body)) == (True, True)
    found: Pack = json.loads(served.body)
    shown = f"{unique_goal}: [redacted], Bearer [redacted], "
    assert found["intent"]["json"]["inputs"]["goal"] == (
        f"{shown}https://somebody:[redacted]@example.invalid/repo,"
        " host=db user=me password=[redacted]"
    )
    assert "/intent/json/inputs/goal" in found["meta"]["redacted"]
    assert faults(served.body) != []  # the hash of what is not shown is not this one
    assert held.code == 0
    assert f"redacted proof-{wid}-identity: cannot be computed again" in held.stdout
    assert "differs" not in held.stdout
