"""S00: a process that cannot know what it is does not start."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from itertools import zip_longest

import pytest

from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import Stopwatch
from scenarios.support.contract.commands import engine

pytestmark = pytest.mark.S00
WITHIN_S = 5.0
REFUSED = 2  # wrong usage or environment; a bug would be another status
LOGINS = """
CREATE SCHEMA prover;
CREATE TABLE prover.logins (at timestamptz DEFAULT clock_timestamp(), who text);
CREATE FUNCTION prover.note() RETURNS event_trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
BEGIN
    IF session_user = 'spec11' THEN INSERT INTO prover.logins (who) VALUES (session_user); END IF;
END $$;
CREATE EVENT TRIGGER note_logins ON login EXECUTE FUNCTION prover.note();
GRANT USAGE ON SCHEMA prover TO spec11_reader;
GRANT SELECT ON prover.logins TO spec11_reader;
"""
BAD = {
    "PORT": ("three", "-1", "65536", "1.5"),
    "ADMIN_PORT": ("x",),
    "OC_TIMEOUT_MS": ("0",),
    "SBX_DEFAULT_TIMEOUT_MS": ("soon",),
    "INTENT_QUEUE_WORKER_CONCURRENCY": ("none",),
    "INTENT_QUEUE_PARTITION_WORKER_CONCURRENCY": ("0",),
    "INTENT_QUEUE_CONCURRENCY": ("50",),
    "INTENT_QUEUE_RATE_LIMIT_PER_PERIOD": ("0",),
    "INTENT_QUEUE_PARTITION_RATE_LIMIT_PER_PERIOD": ("-1",),
    "INTENT_QUEUE_RATE_LIMIT_PERIOD_SEC": ("0.5",),
    "SBX_QUEUE_WORKER_CONCURRENCY": ("0",),
    "SBX_QUEUE_PARTITION_WORKER_CONCURRENCY": ("1001",),
    "SBX_QUEUE_CONCURRENCY": ("all",),
    "SBX_QUEUE_PARTITION_CONCURRENCY": ("0",),
    "SBX_QUEUE_RATE_LIMIT_PER_PERIOD": ("many",),
    "SBX_QUEUE_PARTITION_RATE_LIMIT_PER_PERIOD": ("0",),
    "SBX_QUEUE_RATE_LIMIT_PERIOD_SEC": ("0",),
    "SBX_MEMORY_MB": ("15",),
    "SBX_DEFAULT_NET": ("on",),
    "HITL_PLAN_APPROVAL_TIMEOUT_S": ("86401", "0"),
    "CHAOS_SLEEP_EXECUTE": ("-1",),
    "OC_STRICT_MODE": ("yes",),
    "SBX_ALT_PROVIDER_ENABLED": ("2",),
    "SBX_QUEUE_PARTITION": ("on",),
    "INTENT_QUEUE_PARTITION": ("maybe",),
    "DBOS_ENABLE_OTLP": ("true", "perhaps"),
    "CLAIM_SCOPE": ("batch", "interactive", "Signoff"),
    "WORKFLOW_RUNTIME_MODE": ("all-in-one",),
    "OC_MODE": ("rerun",),
    "SBX_MODE": ("real",),
    "SBX_PROVIDER": ("docker",),
}


def _cases() -> Iterator[tuple[str, dict[str, str]]]:
    """Each variable bad alone; every bad value, as many at once as there can be; the two others."""
    for name, values in BAD.items():
        yield f"{name}={values[0]}", {name: values[0]}
    for number, row in enumerate(zip_longest(*BAD.values()), 1):
        together = {name: value for name, value in zip(BAD, row, strict=True) if value is not None}
        yield f"{len(together)} at once ({number})", together
    for name in ("microsandbox", "local"):
        yield f"{name} without its flag", {"SBX_MODE": "live", "SBX_PROVIDER": name}


CASES = dict(_cases())


@pytest.fixture(scope="module")
def watched(stacks: Stacks) -> Iterator[Stack]:
    """A database that notes every login of the engine's role; nothing runs on it."""
    with stacks.start(only=()) as stack:
        stack.admin.execute(LOGINS)
        yield stack


@pytest.fixture(scope="module")
def taken_port() -> Iterator[str]:
    """A port that we listen on: a process that tried to bind it would say so instead."""
    with socket.create_server(("127.0.0.1", 0)) as ours:
        yield str(ours.getsockname()[1])


@pytest.mark.claim("S00.config-fails-closed")
@pytest.mark.parametrize("command", ["api", "worker"])
@pytest.mark.parametrize("case", CASES)
def test_a_bad_environment_starts_nothing_and_every_fault_is_named(
    watched: Stack, taken_port: str, command: str, case: str
) -> None:
    faults = _at_fault(CASES[case])
    before = _logins(watched)
    began = Stopwatch()

    env = {"PORT": taken_port, **CASES[case]}
    ended = engine(watched, command, env=env, deadline_s=WITHIN_S)

    took_s = began.own_s
    message = ended.stderr.strip().splitlines()[-1]
    assert (ended.code, ended.stdout) == (REFUSED, "")
    assert took_s < WITHIN_S
    assert faults - set(re.findall(r"\w+", message)) == set()
    assert _logins(watched) == before


@pytest.mark.claim("S00.config-fails-closed")
@pytest.mark.parametrize("command", ["api", "worker"])
def test_the_log_of_logins_sees_a_process_that_does_start(watched: Stack, command: str) -> None:
    before = _logins(watched)

    watched.process(command).start()

    if command == "api":
        assert watched.api.get("/healthz").status == 200
    assert _logins(watched) > before
    watched.process(command).stop()


def _at_fault(env: Mapping[str, str]) -> set[str]:
    """The names that the refusal has to say: live alone is no fault, a provider for it may be."""
    return set(env) - ({"SBX_MODE"} if env.get("SBX_MODE") == "live" else set())


def _logins(stack: Stack) -> int:
    count: int = stack.app_sql.value("SELECT count(*) FROM prover.logins")
    return count
