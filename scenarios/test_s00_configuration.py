"""S00: a process that cannot know what it is does not start."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pytest_spec11.stacks import Stack, Stacks
from scenarios.commands import engine

pytestmark = pytest.mark.S00
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
    "SBX_QUEUE_WORKER_CONCURRENCY": ("0",),
    "HITL_PLAN_APPROVAL_TIMEOUT_S": ("86401", "0"),
    "CHAOS_SLEEP_EXECUTE": ("-1",),
    "OC_STRICT_MODE": ("yes",),
    "SBX_ALT_PROVIDER_ENABLED": ("2",),
    "SBX_QUEUE_PARTITION": ("on",),
    "INTENT_QUEUE_PARTITION": ("maybe",),
    "DBOS_ENABLE_OTLP": ("perhaps", "true"),
    "CLAIM_SCOPE": ("batch", "interactive", "Signoff"),
    "WORKFLOW_RUNTIME_MODE": ("all-in-one",),
    "OC_MODE": ("rerun",),
    "SBX_MODE": ("real",),
    "SBX_PROVIDER": ("docker",),
}
ALONE = [{name: value} for name, values in BAD.items() for value in values]
ALTERNATIVE = [{"SBX_MODE": "live", "SBX_PROVIDER": name} for name in ("microsandbox", "local")]
TOGETHER = {name: values[0] for name, values in BAD.items()}


@pytest.fixture(scope="module")
def watched(stacks: Stacks) -> Iterator[Stack]:
    """A database that notes every login of the engine's role; nothing runs on it."""
    with stacks.start(only=()) as stack:
        stack.admin.execute(LOGINS)
        yield stack


@pytest.mark.claim("S00.config-fails-closed")
@pytest.mark.parametrize("command", ["api", "worker"])
def test_a_bad_environment_starts_nothing_and_every_fault_is_named(
    watched: Stack, command: str
) -> None:
    cases = [TOGETHER, *ALONE, *ALTERNATIVE]
    before = _logins(watched)

    for env in cases:
        began = time.monotonic()
        ended = engine(watched, command, env={"PORT": "0", **env}, deadline_s=5)
        assert (ended.code != 0, time.monotonic() - began < 5) == (True, True)
        names = set(env) - ({"SBX_MODE"} if env in ALTERNATIVE else set())
        message = ended.stderr.strip().splitlines()[-1]
        assert {name for name in names if name not in message} == set()
        assert "ready" not in ended.stdout
        assert "listening" not in ended.stdout

    assert _logins(watched) == before


@pytest.mark.claim("S00.config-fails-closed")
def test_the_log_of_logins_sees_a_process_that_does_start(watched: Stack) -> None:
    before = _logins(watched)

    assert engine(watched, "db", "migrate").code == 0

    assert _logins(watched) > before


def _logins(stack: Stack) -> int:
    count: int = stack.app_sql.value("SELECT count(*) FROM prover.logins")
    return count
