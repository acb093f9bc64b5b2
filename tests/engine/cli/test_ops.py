"""`spec11-engine ops` on real processes: what it says of each id is what became of it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator

import psutil
import pytest

from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.lives import engine_ended, finish_run, wait_for_status
from tests.engine.processes import ENGINE, Ended, begin_command, engine, environment
from tests.engine.shim_process import Shim, running_shim
from tests.engine.worker_process import running_worker

BY = ("--actor", "ops-batch", "--reason", "incident 7")
TOKEN = "operator-token-of-a-test"  # noqa: S105  # of a private api-shim
AUDIT = """
SELECT inline ->> 'op' AS op, inline ->> 'actor' AS actor, inline ->> 'reason' AS reason
FROM app.artifacts WHERE step_id = 'OPS' AND inline ->> 'targetWorkflowID' = %s
"""
WORDS = """
SELECT r.status AS app, w.status AS engine
FROM app.runs r JOIN dbos.workflow_status w ON w.workflow_uuid = r.execution_id
WHERE r.workflow_id = ANY(%s)
"""
CANCELED = {"app": "canceled", "engine": "CANCELLED"}
QUEUED = {"app": "queued", "engine": "ENQUEUED"}


@pytest.fixture(scope="module")
def busy(clone: Callable[[], str]) -> Iterator[Shim]:
    """An api-shim and a worker on a database of this module."""
    with running_shim(clone()) as shim, running_worker(shim.dsn):
        yield shim


def url(shim: Shim) -> str:
    return str(shim.http.base_url)


def ops(shim: Shim, verb: str, *words: str, stdin: str = "", **env: str) -> Ended:
    return engine("ops", verb, *words, "--url", url(shim), stdin=stdin, **env)


def queue_runs(shim: Shim, name: str, count: int = 1) -> list[str]:
    """Workflow ids of runs that no worker takes."""
    return [shim.start(f"{name} {n}").json()["workflowID"] for n in range(count)]


def run_pipe(shell: str) -> int:
    """The exit status of a shell's pipe in which ``ops`` is the command."""
    made = subprocess.run(  # noqa: S603  # our own words only
        ["bash", "-c", f'set -o pipefail; ops() {{ {" ".join(ENGINE)} ops "$@"; }}; {shell}'],  # noqa: S607  # bash
        env=environment(),
        check=False,
        timeout=GIVE_UP_S,
    )
    return made.returncode


def test_what_one_lists_another_cancels(own_shim: Shim) -> None:
    wids = queue_runs(own_shim, "listed", 5)

    code = run_pipe(
        f"ops list --url {url(own_shim)} --status ENQUEUED --ids |"
        f" ops cancel - --url {url(own_shim)} {BY[0]} {BY[1]} {BY[2]} '{BY[3]}'"
    )

    assert code == 0
    assert own_shim.rows(WORDS, wids) == [CANCELED] * 5
    for wid in wids:
        assert own_shim.rows(AUDIT, wid) == [{"op": "cancel", "actor": BY[1], "reason": BY[3]}]


def test_whoever_stops_reading_stops_nothing(own_shim: Shim) -> None:
    wids = queue_runs(own_shim, "unread", 6)

    code = run_pipe(f"ops cancel {' '.join(wids)} --url {url(own_shim)} {BY[0]} a {BY[2]} b | true")

    assert code == 0
    assert own_shim.rows(WORDS, wids) == [CANCELED] * 6


def test_a_refusal_stops_nobody_and_no_id_is_sent_twice(own_shim: Shim) -> None:
    one, other = queue_runs(own_shim, "refused", 2)

    ended = ops(own_shim, "cancel", "nobody", one, "-", one, *BY, stdin=f"{one}\n\n {other}\r\n")

    assert (ended.code, ended.stderr) == (1, "")
    assert ended.stdout.splitlines() == [
        "nobody\trefused\t404 workflow not found: nobody",
        f"{one}\taccepted",
        f"{other}\taccepted",
    ]
    assert [len(own_shim.rows(AUDIT, wid)) for wid in (one, other)] == [1, 1]
    again = ops(own_shim, "cancel", one, *BY)
    assert (again.code, again.stdout) == (
        1, f"{one}\trefused\t409 cannot cancel workflow in status CANCELLED\n",
    )  # fmt: skip


def test_each_line_can_be_json(own_shim: Shim) -> None:
    (wid,) = queue_runs(own_shim, "json")
    assert ops(own_shim, "cancel", wid, *BY).code == 0

    ended = ops(own_shim, "resume", "a/b", wid, "--json", *BY)

    assert (ended.code, [json.loads(line) for line in ended.stdout.splitlines()]) == (1, [
        {"workflowID": "a/b", "outcome": "refused", "status": 404,
         "error": "workflow not found: a/b"},
        {"workflowID": wid, "outcome": "accepted", "status": 202},
    ])  # fmt: skip
    assert own_shim.rows(WORDS, [wid]) == [QUEUED]


def test_list_shows_what_the_route_shows(own_shim: Shim) -> None:
    wids = queue_runs(own_shim, "shown", 3)
    ops(own_shim, "cancel", wids[0], *BY)

    def lines(*words: str) -> tuple[int, list[str]]:
        ended = ops(own_shim, "list", *words)
        return ended.code, ended.stdout.splitlines()

    shown = own_shim.http.get("/api/ops/wf").json()
    code, rows = lines("--json")
    assert (code, [json.loads(row) for row in rows]) == (0, shown)
    assert lines("--ids") == (0, [*reversed(wids)])
    assert lines("--ids", "--status", "CANCELLED") == (0, wids[:1])
    assert lines("--ids", "--name", "RunTask") == (0, [])
    (row,) = lines("--status", "CANCELLED")[1]
    assert row.split("\t")[:4] == [wids[0], "CANCELLED", "RunIntent", "-"]
    cut = ops(own_shim, "list", "--ids", "--limit", "2")
    assert (cut.code, cut.stdout.splitlines()) == (0, [*reversed(wids[1:])])
    assert cut.stderr == "spec11-engine ops: these are the newest 2; there may be more\n"


def test_forks_begin_at_a_number_or_where_each_run_has_the_name(busy: Shim) -> None:
    wid = finish_run(busy, "to be forked")
    steps = busy.http.get(f"/api/ops/wf/{wid}/steps").json()
    last = max(each["functionId"] for each in steps)

    by_number = ops(busy, "fork", wid, "--step", str(last), *BY)
    by_name = ops(busy, "retry-from-step", wid, "nobody", "--step", "DecideST", *BY)
    unknown = ops(busy, "retry-from-step", wid, "--step", "Nowhere", *BY)
    beyond = ops(busy, "fork", wid, "--step", str(last + 1), *BY)

    first, *more = by_name.stdout.splitlines()
    forks = [line.split("\t")[2] for line in (by_number.stdout.strip(), first)]
    assert (by_number.code, by_name.code, unknown.code, beyond.code) == (0, 1, 1, 1)
    assert more == ["nobody\trefused\t404 workflow not found: nobody"]
    assert unknown.stdout == f"{wid}\trefused\tno step Nowhere is recorded\n"
    assert beyond.stdout.startswith(f"{wid}\trefused\t409 fork stepN {last + 1} exceeds max step")
    kept = "SELECT count(*) AS n FROM dbos.operation_outputs WHERE workflow_uuid = %s"
    assert [fork[:5] for fork in forks] == ["fork_", "fork_"]
    assert {row["reason"] for row in busy.rows(AUDIT, wid)} == {
        "incident 7", "retry-from-step: incident 7",
    }  # fmt: skip
    for fork in forks:
        assert wait_for_status(busy, fork, "SUCCESS")["error"] is None
        assert engine_ended(busy, fork) == "SUCCESS"
        assert busy.rows(kept, fork) == busy.rows(kept, wid)


def test_a_token_opens_the_door(clone: Callable[[], str]) -> None:
    with running_shim(clone(), SPEC11_API_TOKEN=f"{TOKEN},{TOKEN}-next") as shim:
        shim.http.headers["authorization"] = f"Bearer {TOKEN}"
        (wid,) = queue_runs(shim, "behind a door")

        outside = [ops(shim, "list"), ops(shim, "cancel", wid, *BY)]
        inside = ops(shim, "cancel", wid, *BY, SPEC11_API_TOKEN=f"{TOKEN},{TOKEN}-old")

        assert [each.code for each in outside] == [1, 1]
        assert "refused 401" in outside[0].stderr
        assert outside[1].stdout.startswith(f"{wid}\trefused\t401 ")
        assert (inside.code, inside.stdout) == (0, f"{wid}\taccepted\n")


def test_an_api_that_dies_under_one_id_leaves_that_one_unknown(own_shim: Shim) -> None:
    wids = queue_runs(own_shim, "dies", 3)
    dies = {"SPEC11_CRASH_AT": "api.cancel.received:2"}
    with begin_command("api", SPEC11_DSN=own_shim.dsn, PORT="0", **dies) as api:
        assert api.stdout is not None
        place = api.stdout.readline().removeprefix("listening on ").strip()

        ended = engine("ops", "cancel", *wids, *BY, "--url", place)
        later = engine("ops", "cancel", *wids, *BY, "--url", place)

        assert api.wait(GIVE_UP_S) == -signal.SIGKILL
    words = [line.split("\t")[1] for line in ended.stdout.splitlines()]
    assert (ended.code, words) == (5, ["accepted", "unknown", "not-sent"])
    assert (later.code, later.stdout.count("not-sent\tnobody answers at")) == (5, 3)
    assert own_shim.rows(WORDS, wids[:1]) == [CANCELED]
    assert own_shim.rows(WORDS, wids[1:]) == [QUEUED] * 2


def test_an_api_that_breaks_over_an_id_goes_on_with_the_next(own_shim: Shim) -> None:
    broken, sound = queue_runs(own_shim, "breaks", 2)
    own_shim.run("UPDATE app.runs SET status = 'succeeded' WHERE workflow_id = %s", sound)
    own_shim.run("ALTER TABLE app.artifacts RENAME TO gone")

    ended = ops(own_shim, "cancel", broken, sound, *BY)

    assert (ended.code, ended.stdout.splitlines()) == (1, [
        f"{broken}\tfailed\t500 internal error",
        f"{sound}\trefused\t409 cannot cancel workflow in status SUCCESS",
    ])  # fmt: skip


def test_an_interrupted_batch_did_not_go_through(own_shim: Shim) -> None:
    wids = queue_runs(own_shim, "interrupted", 2)
    own_shim.process.send_signal(signal.SIGSTOP)
    try:
        with begin_command("ops", "cancel", *wids, "--url", url(own_shim), *BY) as batch:
            eventually(lambda: asks(batch.pid), deadline_s=20)
            batch.send_signal(signal.SIGINT)
            said = batch.communicate(timeout=GIVE_UP_S)
    finally:
        own_shim.process.send_signal(signal.SIGCONT)

    assert (batch.returncode, said[0]) == (1, "")
    assert said[1].startswith("spec11-engine ops: interrupted")


def asks(pid: int) -> bool:
    """Whether the process has a connection, so its request is under way or about to be."""
    connections = psutil.Process(pid).net_connections(kind="tcp")
    return any(each.status == psutil.CONN_ESTABLISHED for each in connections)


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        ((), "", "required: VERB"),
        (("cancel", *BY), "", "required: id"),
        (("cancel", "w", "--actor", "a"), "", "required: --reason"),
        (("cancel", "w", "--actor", " ", "--reason", "r"), "", "--actor: says nothing"),
        (("cancel", "a\nb", *BY), "", "is not an id"),
        (("cancel", "-", *BY), "w\nx\tENQUEUED\n", "line 2 of standard input: 'x\\tENQUEUED'"),
        (("fork", "w", *BY), "", "required: --step"),
        (("fork", "w", "--step", "0", *BY), "", "--step: '0' is not"),
        (("list", "--limit", "201"), "", "--limit: '201' is not"),
        (("list", "--status", "DONE"), "", "--status: invalid choice: 'DONE'"),
        (("list", "--url", "ftp://x"), "", "--url: 'ftp://x' is not"),
        (("list", "--url", "http://h/?q=1"), "", "--url: 'http://h/?q=1' has more"),
    ],
)
def test_wrong_usage_sends_nothing(words: tuple[str, ...], stdin: str, said: str) -> None:
    refused = engine("ops", *words, stdin=stdin, PORT="9")  # nobody is there: sending would be 5

    assert (refused.code, refused.stdout) == (2, "")
    assert said in refused.stderr


def test_nothing_to_do_is_done() -> None:
    assert engine("ops", "cancel", "-", *BY, PORT="9") == Ended(0, "", "")


def test_the_place_is_where_up_serves() -> None:
    refused = engine("ops", "list", PORT="9")

    assert (refused.code, "nobody answers at http://127.0.0.1:9:" in refused.stderr) == (5, True)
