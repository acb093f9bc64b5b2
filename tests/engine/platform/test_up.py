from __future__ import annotations

import re
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from engine.postgres.server import EmbeddedServer, connect
from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.processes import (
    engine,
    find_processes,
    nothing_is_left,
    postmaster,
    running_up,
    start_runs,
)
from tests.process_state import is_alive

ASKED = "SELECT workflow_id FROM app.runs"
ENQUEUED = "SELECT workflow_uuid FROM dbos.workflow_status WHERE status = 'ENQUEUED'"
BAD = {
    "PORT": "three",
    "CLAIM_SCOPE": "batch",
    "OC_STRICT_MODE": "yes",
    "SBX_PROVIDER": "docker",
    "DBOS_ENABLE_OTLP": "true",
}


def test_it_serves_then_ctrl_c_leaves_no_process_and_a_free_port(data: Path) -> None:
    with running_up(data, "--workers", "1") as up:
        url = up.url()
        health = httpx.get(f"{url}/healthz").json()
        wids = start_runs(url, "served")
        there = len(find_processes(data))

        code = up.end(signal.SIGINT)

    assert (health["ok"], health["reasons"]) == (True, [])
    assert len(wids) == 1
    assert there > 6  # up, three children, the watchdog, Postgres and its workers
    assert code == 0
    nothing_is_left(data)
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ours.bind(("127.0.0.1", urlsplit(url).port))


@pytest.mark.parametrize(
    ("stage", "signum"),
    [
        ("db serve", signal.SIGTERM),
        ("postgres", signal.SIGINT),
        ("db migrate", signal.SIGTERM),
        ("api", signal.SIGINT),
    ],
)
def test_a_signal_while_it_starts_leaves_no_process_nor_does_an_impatient_second_one(
    data: Path, stage: str, signum: signal.Signals
) -> None:
    def is_at_stage() -> bool:
        if stage == "postgres":
            return (data / "cluster" / "postmaster.pid").exists()
        return stage in up.children()

    with running_up(data) as up:
        eventually(is_at_stage, deadline_s=30, every_s=0.005)

        if signum == signal.SIGINT:
            up.process.send_signal(signum)
            eventually(lambda: "stops" in up.read_output(), deadline_s=5, every_s=0.005)
        code = up.end(signum)

    assert (code, up.out.read_text()) == (0, "")
    nothing_is_left(data)


def test_sigkill_takes_all_along_and_the_next_up_has_every_row(data: Path) -> None:
    with running_up(data) as up:
        wids = start_runs(up.url(), "a", "b", "c")
        up.end(signal.SIGKILL)
        with running_up(data) as next_up:  # at once: what is left of the first is waited for
            next_up.url()
            kept = {wid for (wid,) in next_up.rows(ASKED)}
            enqueued = {wid for (wid,) in next_up.rows(ENQUEUED)}

            next_up.end(signal.SIGKILL)

    assert (kept, enqueued) == (wids, wids)
    nothing_is_left(data, within_s=8)


def test_a_killed_api_is_back_on_its_port_after_pauses_that_grow(data: Path) -> None:
    with running_up(data) as up:
        url = up.url()
        start_runs(url, "before")
        for _ in range(3):
            killed = up.children()["api"]
            killed.kill()
            killed.wait(GIVE_UP_S)
            eventually(lambda: _healthy(url), deadline_s=15)

        assert len(start_runs(url, "after")) == 1
        pauses = re.findall(
            r"up +\| api ended with -9 and begins again in (\S+) s", up.read_output()
        )
        assert pauses == ["0.1", "0.2", "0.4"]
        assert up.out.read_text() == f"ready {url}\n"


def test_a_killed_postgres_is_back_with_every_row(data: Path) -> None:
    with running_up(data) as up:
        url = up.url()
        api = up.children()["api"]
        wids = start_runs(url, *(f"run {number}" for number in range(10)))

        postmaster(data).kill()
        eventually(lambda: not _healthy(url), deadline_s=5)
        eventually(lambda: _healthy(url), deadline_s=20)

        assert {wid for (wid,) in up.rows(ASKED)} == wids
        assert {wid for (wid,) in up.rows(ENQUEUED)} == wids
        assert len(start_runs(url, "after")) == 1
        assert is_alive(api)


def test_a_second_up_on_the_directory_is_refused_and_the_first_goes_on(data: Path) -> None:
    with running_up(data) as up:
        url = up.url()

        refused = engine("up", "--data-dir", str(data), "--port", "0")

        assert _healthy(url)
    assert (refused.code, refused.stdout) == (3, "")
    [line] = _complaints(refused.stderr)
    assert line.endswith(f"data directory {data} is in use by process {up.process.pid}")


def test_a_port_that_is_taken_is_refused_and_nothing_is_left(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        port = str(theirs.getsockname()[1])
        refused = engine("up", "--workers", "0", "--data-dir", str(data), "--port", port)

    assert (refused.code, refused.stdout) == (3, "")
    [line] = _complaints(refused.stderr)
    assert line.endswith(f"PORT={port} is in use by another process")
    nothing_is_left(data)


def test_a_bad_environment_starts_nothing_and_every_fault_is_named(data: Path) -> None:
    refused = engine("up", "--data-dir", str(data), **BAD)

    assert (refused.code, refused.stdout) == (2, "")
    [line] = refused.stderr.splitlines()
    assert {name for name in BAD if name not in line} == set()
    assert not data.exists()


@pytest.mark.parametrize("words", [("--port", "65536"), ("--workers", "-1")])
def test_wrong_usage_starts_nothing(data: Path, words: tuple[str, str]) -> None:
    refused = engine("up", "--data-dir", str(data), *words)

    assert (refused.code, refused.stdout) == (2, "")
    assert f"argument {words[0]}: {words[1]!r} is not" in refused.stderr
    assert not data.exists()


def test_on_a_postgres_of_ones_own_it_migrates_and_starts_none(
    server: EmbeddedServer, data: Path
) -> None:
    with connect(server.dsn("postgres", "postgres")) as admin:
        admin.execute("CREATE DATABASE ours OWNER spec11")
    with running_up(data, SPEC11_DSN=server.dsn("ours"), DBOS__APPVERSION="v7") as up:
        url = up.url()
        health = httpx.get(f"{url}/healthz").json()
        processes = sorted(up.children())
        code = up.end(signal.SIGTERM)

    assert (health["ok"], health["appVersion"], processes) == (True, "v7", ["api"])
    assert code == 0
    assert not data.exists()
    with connect(server.dsn("ours")) as ours:
        versions = ours.execute("SELECT count(*) FROM app.recipe_versions").fetchone()
    assert versions == (10,)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=GIVE_UP_S).status_code == 200
    except httpx.TransportError:
        return False


def _complaints(stderr: str) -> list[str]:
    """Lines that say what is wrong."""
    return [line for line in stderr.splitlines() if "spec11-engine " in line]


# What an operator's shell exports for other work.
EXPORTED = {
    "PGDATESTYLE": "German",
    "PGHOSTADDR": "192.0.2.1",
    "PGSERVICE": "another",
    "PGCLIENTENCODING": "SQL_ASCII",
    "PGOPTIONS": "-c default_transaction_read_only=on",
    "PGREQUIREPEER": "nobody",
    "PGDATABASE": "another",
}


def test_variables_of_other_databases_neither_break_nor_redirect_it(data: Path) -> None:
    with running_up(data, **EXPORTED) as up:
        assert httpx.get(f"{up.url()}/healthz").json()["ok"] is True
        (wid,) = start_runs(up.url(), "größer 日本")
        asked = engine("psql", "--data-dir", str(data), "app", "-Atc", ASKED, **EXPORTED)

    assert (asked.code, asked.stdout) == (0, f"{wid}\n")
