"""A test that wants to know whether its run is controlled finds nothing to tell it by (D38)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.team import Team, make_team

# Whatever code of a test can ask for without searching the memory of its interpreter. What differs
# between any two runs (ids, ports, times) is left out, or asked for by its form.
SPY = """
import json, os, pathlib, re, stat, sys, threading

import psutil
import pytest

SEEN = pathlib.Path({seen!r})

def look(request, run, session, recorder, api, proc):
    config = request.config
    journal = json.loads(next(run.path.glob("journal-*")).open().readline())["data"]
    kept = [each.name for each in run.path.parent.iterdir()]
    return {{
        "argv": sys.argv, "command": sys.orig_argv, "args": config.invocation_params.args,
        "options": sorted((name, repr(value)) for name, value in vars(config.option).items()
                          if name != "random_order_seed"),
        "ini": sorted((name, repr(config.getini(name))) for name in config._parser._inidict),
        "environment": sorted((n, v) for n, v in os.environ.items() if n != "PYTEST_CURRENT_TEST"),
        "plugins": sorted(str(name) for name, each in config.pluginmanager.list_name_plugin()
                          if each is not None and not str(name).isdigit()),
        "modules": sorted(sys.modules), "threads": sorted(t.name for t in threading.enumerate()),
        "items": [each.nodeid for each in request.session.items],
        "cwd": os.getcwd(), "root": str(config.rootpath), "home": str(run.path.parent),
        "strange": [n for n in kept if not re.fullmatch(r"\\d{{8}}T\\d{{6}}Z-[0-9a-f]{{8}}", n)],
        "own port": api.base_url.rpartition(":")[2] in [str(s.port) for s in proc.sockets("api")],
        "streams": [stat.S_IFMT(os.fstat(number).st_mode) for number in (0, 1, 2)],
        "descriptors": sorted(os.readlink(f"/proc/self/fd/{{n}}").partition(":")[0]
                              for n in os.listdir("/proc/self/fd")
                              if os.path.exists(f"/proc/self/fd/{{n}}"))
                       and len(os.listdir("/proc/self/fd")),
        "parents": any("sabotage" in word for each in psutil.Process().parents()
                       for word in each.cmdline()),
        "journal": sorted(journal), "saboteurs": journal["saboteurs"], "scope": journal["scope"],
        "settings": repr(session.settings),
        "recorder": [name for name in dir(recorder) if not name.startswith("_")],
        "session": [name for name in dir(session) if not name.startswith("_")],
    }}

@pytest.mark.S00
@pytest.mark.claim("S00.answers")
def test_it_is_strict_where_it_is_watched(
    request, spec11_run, spec11_session, spec11_recorder, api, proc
):
    found = json.dumps(look(request, spec11_run, spec11_session, spec11_recorder, api, proc))
    before = SEEN.read_text().splitlines() if SEEN.exists() else []
    SEEN.write_text("".join(each + "\\n" for each in [*before, found]))
    watched = any(each != found for each in before)
    reply = api.get("/healthz")
    assert reply.status == 200 or not watched

@pytest.mark.S01
@pytest.mark.claim("S01.takes-orders")
def test_it_takes_orders(api):
    assert api.post("/orders", json=1).status == 201

@pytest.mark.S00
@pytest.mark.claim("S00.lives")
def test_it_lives(api, proc):
    assert api.get("/healthz").status == 200
    assert proc.alive("api")
"""


@pytest.fixture(scope="module")
def spied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Team, list[dict[str, Any]]]:
    """A team whose test looks around, and what it saw in a plain run and in controlled ones."""
    seen = tmp_path_factory.mktemp("seen") / "seen.ndjson"
    ours = make_team(tmp_path_factory.mktemp("spy"), SPY.format(seen=str(seen)))
    ours.commit()
    assert ours.run("--spec11-scope", "signoff").status == 0
    ours.sabotage("--green", str(ours.bundle))
    return ours, [json.loads(line) for line in seen.read_text().splitlines()]


def test_a_controlled_run_looks_like_a_plain_one(
    spied: tuple[Team, list[dict[str, Any]]],
) -> None:
    plain, *controlled = spied[1]

    assert len(controlled) > 2
    for each in controlled:
        differing = {key: (plain[key], each[key]) for key in plain if plain[key] != each[key]}
        assert differing == {}
    assert (plain["own port"], plain["strange"], plain["parents"]) == (True, [], False)


def test_a_test_that_is_strict_only_where_it_is_watched_proves_nothing(
    spied: tuple[Team, list[dict[str, Any]]],
) -> None:
    ours, _ = spied

    assert ours.reasons() == {"S00.answers": ["E-WEAK-ORACLE"]}
    assert not list(Path(ours.path, ".spec11").glob("*/sabotage.ndjson"))
