from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from engine.core import patches
from engine.core.patches import APPLY, ROLL_BACK, Direction, Entry, Move, Patch, Wish
from engine.errors import RunFailed

AT = datetime(2026, 1, 2, tzinfo=UTC)
ROOT = "/srv"
PRE, POST = b"before", b"after"
WISH = Wish(path="/srv/.tmp/a", postimage="after", diff_hash=sha256(b"+after").hexdigest())
ENTRY = Entry(
    run_id="run_1",
    step_id="ApplyPatchST",
    patch_index=0,
    attempt=1,
    execution_id="ih_1",
    target_path="/srv/.tmp/a",
    preimage_hash=sha256(PRE).hexdigest(),
    postimage_hash=sha256(POST).hexdigest(),
    diff_hash=sha256(b"+after").hexdigest(),
    dirs_made=0,
    applied_at=AT,
    rolled_back_at=None,
    rolled_back_for=None,
    created_at=AT,
)
CREATED = replace(ENTRY, preimage_hash=None)
OVER = replace(ENTRY, rolled_back_at=AT, rolled_back_for="failure")


@pytest.mark.parametrize(
    ("direction", "entry", "current", "wanted"),
    [
        (APPLY, ENTRY, POST, Move.MARK),
        (APPLY, ENTRY, PRE, Move.WRITE),
        (APPLY, CREATED, None, Move.WRITE),
        (APPLY, CREATED, POST, Move.MARK),
        (ROLL_BACK, ENTRY, PRE, Move.MARK),
        (ROLL_BACK, ENTRY, POST, Move.WRITE),
        (ROLL_BACK, CREATED, None, Move.MARK),
        (ROLL_BACK, CREATED, POST, Move.WRITE),
    ],
)
def test_a_file_on_the_way_is_written_and_one_at_the_goal_is_marked(
    direction: Direction, entry: Entry, current: bytes | None, wanted: Move
) -> None:
    assert patches.move(direction, entry, current) == wanted


@pytest.mark.parametrize("entry", [ENTRY, CREATED], ids=["changed", "created"])
@pytest.mark.parametrize("current", [b"foreign", b""])
@pytest.mark.parametrize(
    ("direction", "message"),
    [(APPLY, "PREIMAGE_MISMATCH:/srv/.tmp/a"), (ROLL_BACK, "POSTIMAGE_MISMATCH:/srv/.tmp/a")],
)
def test_a_file_at_neither_end_is_refused(
    direction: Direction, message: str, entry: Entry, current: bytes
) -> None:
    with pytest.raises(RunFailed) as refused:
        patches.move(direction, entry, current)

    assert str(refused.value) == message


def test_no_file_is_not_an_empty_file() -> None:
    empty = replace(ENTRY, preimage_hash=sha256(b"").hexdigest())

    assert patches.move(ROLL_BACK, empty, b"") == Move.MARK
    with pytest.raises(RunFailed, match="POSTIMAGE_MISMATCH"):
        patches.move(ROLL_BACK, empty, None)
    with pytest.raises(RunFailed, match="POSTIMAGE_MISMATCH"):
        patches.move(ROLL_BACK, CREATED, b"")


def test_an_attempt_goes_on_only_under_the_execution_that_began_it() -> None:
    assert patches.open_attempt([], "ih_1") is None
    assert patches.open_attempt([ENTRY], "ih_1") == 1
    assert patches.open_attempt([ENTRY], "rep:1") is None


def test_an_attempt_taken_back_even_in_part_is_over() -> None:
    second = replace(OVER, patch_index=1)

    assert patches.open_attempt([ENTRY, second], "ih_1") is None
    assert patches.open_attempt([replace(second, rolled_back_at=None)], "ih_1") is None
    assert patches.open_attempt([OVER, second, replace(ENTRY, attempt=2)], "ih_1") == 2


def test_what_stands_is_taken_back_from_the_end() -> None:
    entries = [replace(ENTRY, attempt=n, patch_index=i) for n in (1, 2) for i in (0, 1)]
    entries[1] = replace(entries[1], rolled_back_at=AT, rolled_back_for="failure")
    entries[3] = replace(entries[3], rolled_back_for="failure")

    order = [(entry.attempt, entry.patch_index) for entry in patches.standing(entries)]

    assert order == [(2, 1), (2, 0), (1, 0)]


def test_without_a_mark_only_the_newest_attempt_may_stand() -> None:
    old, new = replace(ENTRY, applied_at=None), replace(ENTRY, applied_at=None, attempt=2)

    assert patches.standing([old]) == [old]
    assert patches.standing([old, new]) == [new]


@pytest.mark.parametrize(
    ("entry", "current", "never"),
    [
        (ENTRY, PRE, False),
        (ENTRY, b"foreign", False),
        (replace(ENTRY, applied_at=None), PRE, True),
        (replace(ENTRY, applied_at=None), b"foreign", True),
        (replace(ENTRY, applied_at=None), POST, False),
        (replace(CREATED, applied_at=None), None, True),
        (replace(CREATED, applied_at=None), POST, False),
        (replace(ENTRY, applied_at=None, preimage_hash=ENTRY.postimage_hash), POST, True),
    ],
)
def test_without_a_mark_the_file_tells_whether_it_was_written(
    entry: Entry, current: bytes | None, never: object
) -> None:
    assert patches.was_never_written(entry, current) == never


def test_only_a_cancellation_is_made_good_again() -> None:
    canceled = replace(OVER, rolled_back_for="cancel")

    assert not patches.was_compensated([])
    assert not patches.was_compensated([OVER])
    assert patches.was_compensated([ENTRY, replace(canceled, patch_index=1)])
    assert patches.was_compensated([replace(canceled, rolled_back_at=None)])
    assert patches.was_compensated([canceled, replace(ENTRY, attempt=2)])
    assert not patches.was_compensated([canceled, replace(OVER, attempt=2)])


def test_the_newest_entry_of_each_patch_is_looked_up_by_index() -> None:
    newer = replace(ENTRY, attempt=2)
    second = replace(ENTRY, patch_index=1)

    assert patches.latest([newer, second, ENTRY]) == [newer, second]


def test_what_was_begun_is_gone_on_with_as_it_was() -> None:
    patches.require_same(ENTRY, WISH)

    others = [
        replace(WISH, postimage="x"),
        replace(WISH, diff_hash="x"),
        replace(WISH, path="/srv/.tmp/b"),
    ]
    for other in others:
        with pytest.raises(RunFailed, match=r"PATCH_HISTORY_CONFLICT:/srv/\.tmp/a"):
            patches.require_same(ENTRY, other)


def test_a_patch_is_what_its_plan_shows() -> None:
    patch = Patch(target_path=".tmp/a", postimage="after", diff="+after")

    assert Patch.of(patch.document) == patch


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (".tmp/a", (".tmp", "a")),
        ("./.tmp//b/./c.txt", (".tmp", "b", "c.txt")),
        ("/srv/.tmp/d", (".tmp", "d")),
        (".tmp/..a", (".tmp", "..a")),
        (".tmp/ü \n", (".tmp", "ü \n")),
    ],
)
def test_a_path_below_the_jail_is_its_names(target: str, names: tuple[str, ...]) -> None:
    assert patches.parts(target, ROOT) == names


@pytest.mark.parametrize(
    "target",
    [
        "",
        ".",
        "/",
        "//",
        ".tmp",
        ".tmp/",
        ".tmp/.",
        ".tmp/a/",
        ".tmp/a/.",
        "/srv/.tmp",
        "/srv",
        "/srv/",
        "a",
        "src/.tmp/a",
        "tmp/a",
        ".TMP/a",
        ".tmpx/a",
        "..",
        "../.tmp/a",
        ".tmp/..",
        ".tmp/../a",
        ".tmp/a/../b",
        "/srv/../srv/.tmp/a",
        "/.tmp/a",
        "//srv/.tmp/a",
        "/worker/.tmp/a",
        "/etc/passwd",
        "~/.tmp/a",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused_by_its_letters(target: str) -> None:
    with pytest.raises(RunFailed) as refused:
        patches.parts(target, ROOT)

    assert str(refused.value) == f"PATCH_PATH_NOT_ALLOWED:{target}"


def test_a_path_with_nul_is_refused_in_letters_a_database_can_hold() -> None:
    with pytest.raises(RunFailed) as refused:
        patches.parts(".tmp/a\0b", ROOT)

    assert str(refused.value) == "PATCH_PATH_NOT_ALLOWED:.tmp/a<NUL>b"


def test_a_failed_rollback_names_its_source() -> None:
    said = patches.rollback_failed(RunFailed("POSTIMAGE_MISMATCH:/srv/.tmp/a"), "no")

    assert said == "APPLY_PATCH_ROLLBACK_FAILED:POSTIMAGE_MISMATCH:/srv/.tmp/a;source=no"


def test_each_attempt_stages_under_a_name_of_its_own() -> None:
    keys = {replace(ENTRY, attempt=n, patch_index=i).key for n in (1, 2) for i in (0, 1)}

    assert len(keys) == 4
    assert ENTRY.key == replace(ENTRY, target_path="elsewhere", applied_at=None).key
