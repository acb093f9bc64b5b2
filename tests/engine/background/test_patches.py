"""Two who change the files of one run take turns, and one who lost the turn changes nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from engine.background.patches import Patching
from engine.core.executions import Execution
from engine.core.patches import Patch
from engine.errors import RunCanceled, RunFailed
from engine.ports.workspace import Found, Staged
from engine.ports.workspace.directory import Directory
from engine.store.pool import Pool
from pytest_spec11.waiting import GIVE_UP_S

T = TypeVar("T")
WID = f"ih_{'0' * 64}"
EXECUTION = Execution(id=WID, workflow_id=WID)
RUN = EXECUTION.run_id
INTENT = """
INSERT INTO app.intents (id, intent_hash, goal, json, recipe_id, recipe_v, recipe_hash)
VALUES (%(w)s, substr(%(w)s, 4), 'g', '{}', 'r', 'v1', '')
"""
STARTED = """
INSERT INTO app.runs (id, workflow_id, intent_id, intent_hash, recipe_id, recipe_v, recipe_hash, status, execution_id,
                      queue_name, lane, priority, gate_ttl_s, app_version)
VALUES (%(r)s, %(w)s, %(w)s, '', 'r', 'v1', '', 'running', %(w)s, 'intentQ', 'batch', 1, 60, 'v1')
"""  # noqa: E501  # one row
HISTORY = """
SELECT patch_index, attempt, applied_at IS NOT NULL AS applied, rolled_back_for
FROM app.patch_history ORDER BY attempt, patch_index
"""
CUT = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
REFUSE_MARKS = """
CREATE FUNCTION app.refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON app.patch_history FOR EACH ROW EXECUTE FUNCTION app.refuse()
"""
EVERY = "SELECT * FROM app.patch_history"


@dataclass
class Gated:
    """A directory that stops before or after it stages, until it is let go."""

    inner: Directory
    early: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    def place(self, target: str) -> str:
        return self.inner.place(target)

    def read(self, path: str) -> Found:
        return self.inner.read(path)

    def stage(self, path: str, content: bytes, key: str) -> Staged:
        if self.early:
            self._stop()
        staged = self.inner.stage(path, content, key)
        if not self.early:
            self._stop()
        return staged

    def _stop(self) -> None:
        self.reached.set()
        assert self.let_go.wait(GIVE_UP_S)

    def delete(self, path: str) -> None:
        self.inner.delete(path)

    def tidy(self, path: str, key: str, dirs: int) -> None:
        self.inner.tidy(path, key, dirs)


@dataclass(frozen=True)
class Bench:
    """A run that moves, its workspace and its database."""

    dsn: str
    root: Path
    pools: list[Pool] = field(default_factory=list)

    def play(self, scene: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the scene returns; its connections are closed."""

        async def whole() -> T:
            try:
                return await scene()
            finally:
                for pool in self.pools:
                    await pool.close()

        return asyncio.run(whole())

    def sql(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as db:
            rows = db.execute(query.encode(), values)
            return rows.fetchall() if rows.description else []

    def move(self, status: str) -> None:
        self.sql("UPDATE app.runs SET status = %(status)s", status=status)

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*"))

    def patching(self, workspace: Directory | Gated | None = None) -> Patching:
        self.pools.append(Pool(self.dsn))
        return Patching(self.pools[-1], workspace or Directory(self.root))


@pytest.fixture
def bench(clone: Callable[[], str], tmp_path: Path) -> Bench:
    made = Bench(clone(), tmp_path.resolve())
    made.sql(INTENT, w=WID)
    made.sql(STARTED, w=WID, r=RUN)
    return made


def patch(path: str, text: str = "new") -> Patch:
    return Patch(target_path=path, postimage=text, diff="")


async def wait_until_reached(gated: Gated) -> None:
    assert await asyncio.to_thread(gated.reached.wait, 20)


def test_a_cancellation_before_the_rename_waits_for_it_and_takes_it_back(bench: Bench) -> None:
    gated = Gated(Directory(bench.root))

    async def scene() -> int:
        wanted = [patch(".tmp/d/a"), patch(".tmp/b")]
        writing = asyncio.create_task(bench.patching(gated).apply(EXECUTION, wanted))
        await wait_until_reached(gated)
        await asyncio.to_thread(bench.move, "canceled")
        other = asyncio.create_task(bench.patching().compensate(RUN))
        done, _ = await asyncio.wait({other}, timeout=0.5)
        assert not done
        gated.let_go.set()
        with pytest.raises(RunCanceled):
            await writing
        return await other

    assert bench.play(scene) == 1
    assert bench.sql(HISTORY) == [(0, 1, True, "cancel")]
    assert bench.files() == []


@pytest.mark.parametrize("early", [True, False], ids=["before staging", "staged"])
def test_who_loses_the_session_before_the_rename_renames_nothing(
    bench: Bench, *, early: bool
) -> None:
    gated = Gated(Directory(bench.root), early)

    async def scene() -> None:
        writing = asyncio.create_task(bench.patching(gated).apply(EXECUTION, [patch(".tmp/a")]))
        await wait_until_reached(gated)
        await asyncio.to_thread(bench.sql, CUT)
        await asyncio.to_thread(bench.move, "canceled")
        assert await bench.patching().compensate(RUN) == 0
        gated.let_go.set()
        with pytest.raises(RunCanceled):
            await writing

    bench.play(scene)
    assert bench.sql(HISTORY) == [(0, 1, False, "cancel")]
    assert bench.files() == ([".tmp"] if early else [])


def test_what_was_written_and_never_marked_is_taken_back_and_was_applied(bench: Bench) -> None:
    async def scene() -> None:
        bench.sql(REFUSE_MARKS)
        with pytest.raises(psycopg.errors.RaiseException):
            await bench.patching().apply(EXECUTION, [patch(".tmp/a")])
        assert bench.files() == [".tmp", ".tmp/a"]
        bench.sql("DROP TRIGGER refuse ON app.patch_history")
        assert await bench.patching().undo(EXECUTION, "why") == "why"

    bench.play(scene)
    assert bench.sql(HISTORY) == [(0, 1, True, "failure")]
    assert bench.files() == []


def test_who_comes_after_a_compensation_begins_nothing(bench: Bench) -> None:
    async def scene() -> None:
        await bench.patching().apply(EXECUTION, [patch(".tmp/a")])
        await asyncio.to_thread(bench.move, "canceled")
        assert await bench.patching().compensate(RUN) == 1
        with pytest.raises(RunCanceled):
            await bench.patching().apply(EXECUTION, [patch(".tmp/a")])
        await bench.patching().reapply(EXECUTION)
        assert await bench.patching().undo(EXECUTION, "why") == "why"

    bench.play(scene)
    assert bench.sql(HISTORY) == [(0, 1, True, "cancel")]
    assert bench.files() == []


def test_a_compensation_leaves_a_run_that_goes_on_alone(bench: Bench) -> None:
    async def scene() -> int:
        await bench.patching().apply(EXECUTION, [patch(".tmp/a")])
        return await bench.patching().compensate(RUN)

    assert bench.play(scene) == 0
    assert bench.sql(HISTORY) == [(0, 1, True, None)]
    assert bench.files() == [".tmp", ".tmp/a"]


@pytest.mark.parametrize(
    "moved",
    ["UPDATE app.runs SET execution_id = 'rep:1'", "UPDATE app.runs SET status = 'succeeded'"],
    ids=["another execution", "ended"],
)
def test_who_does_not_own_the_run_any_more_neither_writes_nor_takes_back(
    bench: Bench, moved: str
) -> None:
    async def scene() -> None:
        await bench.patching().apply(EXECUTION, [patch(".tmp/a")])
        await asyncio.to_thread(bench.sql, moved)
        assert await bench.patching().undo(EXECUTION, "late") == "late"
        with pytest.raises(RunFailed):
            await bench.patching().apply(EXECUTION, [patch(".tmp/a"), patch(".tmp/b")])

    bench.play(scene)
    assert bench.sql(HISTORY) == [(0, 1, True, None)]
    assert bench.files() == [".tmp", ".tmp/a"]


def test_repeating_changes_nothing_and_another_content_is_refused(bench: Bench) -> None:
    async def scene() -> None:
        patching = bench.patching()
        first = await patching.apply(EXECUTION, [patch(".tmp/a")])
        before = (bench.root / ".tmp/a").stat(), bench.sql(EVERY)
        again = await patching.apply(EXECUTION, [patch(".tmp/a")])
        assert [entry.document for entry in again] == [entry.document for entry in first]
        with pytest.raises(RunFailed, match="PATCH_HISTORY_CONFLICT"):
            await patching.apply(EXECUTION, [patch(".tmp/a", "other")])
        await patching.reapply(EXECUTION)
        assert ((bench.root / ".tmp/a").stat(), bench.sql(EVERY)) == before

    bench.play(scene)


def test_a_reapplication_that_was_cut_short_is_gone_on_with(bench: Bench) -> None:
    wanted = [patch(f".tmp/{n}") for n in range(3)]

    async def scene() -> None:
        await bench.patching().apply(EXECUTION, wanted)
        await asyncio.to_thread(bench.move, "canceled")
        await bench.patching().compensate(RUN)
        await asyncio.to_thread(bench.move, "running")
        gated = Gated(Directory(bench.root))
        writing = asyncio.create_task(bench.patching(gated).reapply(EXECUTION))
        await wait_until_reached(gated)
        await asyncio.to_thread(bench.move, "canceled")
        gated.let_go.set()
        await writing
        await bench.patching().compensate(RUN)
        await asyncio.to_thread(bench.move, "running")
        await bench.patching().reapply(EXECUTION)
        await bench.patching().reapply(EXECUTION)

    bench.play(scene)
    assert bench.sql(HISTORY) == [
        *((n, 1, True, "cancel") for n in range(3)),
        (0, 2, True, "cancel"),
        *((n, 3, True, None) for n in range(3)),
    ]
    assert bench.files() == [".tmp", ".tmp/0", ".tmp/1", ".tmp/2"]
