"""Ways to tamper with a release. Each changes one copy of its evidence."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from scenarios.support.release.forged_evidence import (
    Line,
    edit_signoff,
    move_in_time,
    rebound,
    reseal_document,
    rewritten,
    sign_off,
)
from scenarios.support.release.throwaway_release import ThrowawayRelease

Tamper = Callable[[ThrowawayRelease], object]
HOUR_MS: Final = 3_600_000
BROKEN: Final = "E-CHAIN E-CONSERVATION E-NOT-RUN E-UNSEALED"
UNREADABLE: Final = (
    "E-APPVERSION E-BINDING E-CATALOGUE E-COMMIT E-DIRTY E-EMPTY E-LOST E-NO-EVIDENCE E-NOT-RUN"
    " E-POLICY E-SCOPE E-TIME E-TREE E-UNSEALED oc_strict_mode_required queue_partition_off"
)
NOTHING: Final = sha256(b"").hexdigest()


def cut(path: Path, count: int = 1) -> None:
    """Cut off the last bytes of the file."""
    path.write_bytes(path.read_bytes()[:-count])


def flip(path: Path, place: int) -> None:
    """Flip one bit of one byte of the file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def link(path: Path) -> None:
    """Replace the file by a link to equal bytes outside of the release."""
    outside = path.parents[3] / "outside"
    path.rename(outside)
    path.symlink_to(outside)


def swap(one: Path, other: Path) -> None:
    """Exchange the bytes of the two files."""
    ours, theirs = one.read_bytes(), other.read_bytes()
    one.write_bytes(theirs)
    other.write_bytes(ours)


def edit_binding(**changes: Any) -> Tamper:
    """All evidence has another binding."""
    return lambda case: rebound(case, **changes)


def later(by_ms: int) -> Tamper:
    """All evidence is of another time."""
    return lambda case: move_in_time(case, by_ms)


def ahead(by_ms: int) -> Tamper:
    """The last of it ends so long after now, however old the release is that is spoiled."""

    def move(case: ThrowawayRelease) -> None:
        ended_ms = int(json.loads(case.kills.read_bytes())["finishedAt"])
        move_in_time(case, time.time_ns() // 1_000_000 - ended_ms + by_ms)

    return move


def blob(change: Callable[[Path], object]) -> Tamper:
    """A blob of an observation is changed."""
    return lambda case: change(case.blobs[0])


def lane(name: str, **changes: Any) -> Tamper:
    """The record of a lane has other values."""
    return lambda case: reseal_document(case.lane(name), "lane", **changes)


def records(change: Callable[[list[Line]], list[Line]]) -> Tamper:
    """The journal has other records, and every link is right."""
    return lambda case: rewritten(case.journal, change)


def lines(change: Callable[[list[bytes]], Iterable[bytes]]) -> Tamper:
    """The journal has other lines, and the links are not repaired."""

    def spoil(case: ThrowawayRelease) -> None:
        found = case.journal.read_bytes().splitlines(keepends=True)
        case.journal.write_bytes(b"".join(change(found)))

    return spoil


def of_kind(kind: str, change: Callable[[dict[str, Any]], object], place: int = 0) -> Tamper:
    """One record of a kind has other values."""

    def edit(found: list[Line]) -> list[Line]:
        change([line for line in found if line["kind"] == kind][place]["data"])
        return found

    return records(edit)


def without(kind: str, place: int = 0) -> Tamper:
    """One record of a kind is missing."""

    def drop(found: list[Line]) -> list[Line]:
        (*gone,) = (line for line in found if line["kind"] == kind)
        return [line for line in found if line is not gone[place]]

    return records(drop)


def outcome(**changes: Any) -> Tamper:
    """The first test ended in another way."""
    return of_kind("outcome", lambda data: data.update(changes))


def forge(change: Callable[[dict[str, Any]], object]) -> Tamper:
    """The sign-off has other values, and its sum is right."""
    return lambda case: edit_signoff(case, change)


def ends_before_it_began(case: ThrowawayRelease) -> None:
    """The last record of the tests is older than the first."""

    def turn(found: list[Line]) -> list[Line]:
        found[-1]["at"] = found[0]["at"] - 1
        return found

    rewritten(case.journal, turn)
    sign_off(case)


def without_time(case: ThrowawayRelease) -> None:
    """The records of the tests have no time."""
    rewritten(case.journal, lambda found: [{**line, "at": 0} for line in found])
    sign_off(case)


def copy_run(case: ThrowawayRelease) -> None:
    """The same run is present twice."""
    shutil.copytree(case.run, case.release / "again")


def another_lane(case: ThrowawayRelease) -> None:
    """The record of one lane takes the place of another."""
    shutil.copy(case.lane("quick"), case.lane("check"))


def invert_lanes(case: ThrowawayRelease) -> None:
    """A red lane under a green one."""
    step = json.loads(case.lane("check").read_bytes())["steps"][0]
    reseal_document(case.lane("check"), "lane", exitCode=1, steps=[{**step, "exitCode": 1}])


def overlapping(case: ThrowawayRelease) -> None:
    """A lane that ended after the higher one began."""
    end = json.loads(case.lane("full").read_bytes())["finishedAt"]
    reseal_document(case.lane("check"), "lane", finishedAt=end)


def never_hit(case: ThrowawayRelease) -> None:
    """A kill of a saboteur that took no effect."""
    cells = json.loads(case.kills.read_bytes())["cells"]
    reseal_document(case.kills, "kills", cells=[{**cells[0], "hits": 0}, *cells[1:]])


def no_twin(case: ThrowawayRelease) -> None:
    """No benign twin was tried."""
    cells = json.loads(case.kills.read_bytes())["cells"]
    reseal_document(case.kills, "kills", cells=cells[:1])


def add_survivor(case: ThrowawayRelease) -> None:
    """A saboteur that did not turn its claim red."""
    cells = json.loads(case.kills.read_bytes())["cells"]
    reseal_document(case.kills, "kills", cells=[{**cells[0], "during": "PASS"}, *cells[1:]])


# All codes of the gate, each with a change that causes it.
# The reasons of gate and board against a forger who makes every sum again.
FORGED: Final[dict[str, tuple[str, Tamper]]] = {
    "another commit": ("E-COMMIT", edit_binding(commit="f" * 40)),
    "another tree": ("E-TREE", edit_binding(tree="f" * 40)),
    "another version": ("E-APPVERSION", edit_binding(appVersion="v-other")),
    "another scope": ("E-SCOPE", edit_binding(scope="live-smoke")),
    "not committed": ("E-DIRTY", edit_binding(dirty=True)),
    "25 hours old": ("E-STALE", later(-25 * HOUR_MS)),
    "a minute too old": ("E-STALE", later(-24 * HOUR_MS - 60_000)),
    "an hour ahead": ("E-FUTURE", ahead(HOUR_MS)),
    "five minutes ahead": ("E-FUTURE", ahead(300_000)),
    "ended before it began": ("E-TIME", ends_before_it_began),
    "of no time": ("E-STALE E-TIME", without_time),
}
# What lies beside an untouched sign-off is not what it refers to: both see the same of a blob.
SPOILT: Final[dict[str, tuple[str, Tamper]]] = {
    "blob gone": ("E-REF", blob(Path.unlink)),
    "blob a link": ("E-REF", blob(link)),
    "blob emptied": ("E-EMPTY", blob(lambda path: path.write_bytes(b""))),
    "blob edited": ("E-DIGEST", blob(lambda path: flip(path, 0))),
    "blob longer": ("E-DIGEST", blob(lambda path: path.write_bytes(path.read_bytes() + b"x"))),
    "blob cut": ("E-DIGEST", blob(cut)),
    "lane edited": ("E-DIGEST", lambda case: flip(case.lane("deps"), 40)),
    "lane cut": ("E-DIGEST", lambda case: cut(case.lane("full"), 40)),
    "kills edited": ("E-DIGEST E-WEAK-ORACLE", lambda case: flip(case.kills, 40)),
}
# Faults that only the gate can see, because it reads every record.
JUDGED: Final[dict[str, tuple[str, Tamper]]] = {
    "no commit": ("E-BINDING E-COMMIT", edit_binding(commit="")),
    "no tree": ("E-BINDING E-TREE", edit_binding(tree="")),
    "no version": ("E-APPVERSION E-BINDING", edit_binding(appVersion="")),
    "another plugin": ("E-BINDING", edit_binding(plugin="0.0.0")),
    "another lock": ("E-BINDING", edit_binding(lock="f" * 64)),
    "another catalogue": ("E-CATALOGUE E-REF", edit_binding(catalogue="f" * 64)),
    "another policy": ("E-POLICY E-REF", edit_binding(policy="f" * 64)),
    "cut journal": ("E-TRUNCATED E-UNSEALED", lambda case: cut(case.journal)),
    "no seal": ("E-UNSEALED", lines(lambda found: found[:-1])),
    "empty journal": (UNREADABLE, lambda case: case.journal.write_bytes(b"")),
    "line removed": (BROKEN, lines(lambda found: [*found[:5], *found[6:]])),
    "lines exchanged": (BROKEN, lines(lambda f: [*f[:5], f[6], f[5], *f[7:]])),
    "line doubled": (BROKEN, lines(lambda found: [*found[:6], found[5], *found[6:]])),
    "line edited": ("E-CHAIN E-NOT-RUN E-UNSEALED", lambda case: flip(case.journal, 900)),
    "line of garbage": (BROKEN, lines(lambda found: [*found[:5], b"{}\n", *found[5:]])),
    "nested deeply": (BROKEN, lines(lambda found: [*found[:5], b"[" * 90_000, *found[5:]])),
    "after the seal": ("E-CHAIN E-UNSEALED", lines(lambda found: [*found, found[-1]])),
    "skipped": ("E-SKIPPED", outcome(outcome="skipped")),
    "failed": ("E-FAILED", outcome(outcome="failed")),
    "xfailed": ("E-XFAIL", outcome(outcome="xfailed")),
    "xpassed": ("E-XPASS", outcome(outcome="xpassed")),
    "errored": ("E-ERROR", outcome(outcome="error")),
    "torn down badly": ("E-ERROR", outcome(phases={"call": "passed", "teardown": "error"})),
    "second attempt": ("E-RERUN", outcome(attempt=2)),
    "thread": ("E-THREAD", outcome(voids=[{"code": "E-THREAD", "text": "t"}])),
    "returned": ("E-RETURN", outcome(voids=[{"code": "E-RETURN", "text": "t"}])),
    "better than seen": ("E-CONTRADICTION", outcome(witness={"call": "failed"})),
    "never seen": ("E-CONTRADICTION", outcome(witness={})),
    "no outcome": ("E-CONSERVATION E-NOT-RUN", without("outcome")),
    "no assertion": ("E-NO-ASSERTION", records(lambda found: _bare(found, "assertion"))),
    "no observation": ("E-EMPTY E-SOURCE", records(lambda found: _bare(found, "observation"))),
    "a source silent": ("E-SOURCE", without("observation")),
    "record misstated": ("E-DIGEST", of_kind("observation", lambda data: data.update(size=1))),
    "renamed claim": (
        "E-NOT-RUN E-UNKNOWN-CLAIM",
        records(lambda found: _name_other_claim(found, "S00.helds")),
    ),
    "claim not run": ("E-NOT-RUN", records(lambda found: _name_other_claim(found, "S01.holds"))),
    "markers moved": ("E-POLICY", outcome(claims=["S01.holds"])),
    "failed run": ("E-CONSERVATION", of_kind("seal", lambda data: data.update(exitStatus=1))),
    "broken run": ("E-ERROR", of_kind("seal", lambda data: data.update(exitStatus=2))),
    "journal of a worker": ("E-LOST", of_kind("start", lambda data: data.update(role="gw0"))),
    "the same run twice": ("E-DUPLICATE E-LOST E-REPLAY", copy_run),
    "red lane": ("E-LANE", lane("policy", exitCode=1)),
    "lane missing": ("E-LANE", lambda case: shutil.rmtree(case.lane("deps").parent)),
    "another lane's record": ("E-LANE-ORDER E-REF E-TILE", another_lane),
    "red under green": ("E-LANE E-LANE-ORDER", invert_lanes),
    "lanes at once": ("E-LANE-ORDER", overlapping),
    "lane of another release": ("E-LANE-ORDER", lane("quick", release="r0")),
    "no kill matrix": ("E-WEAK-ORACLE", lambda case: shutil.rmtree(case.kills.parent)),
    "kill without a hit": ("E-WEAK-ORACLE", never_hit),
    "survivor": ("E-WEAK-ORACLE", add_survivor),
    "no benign twin": ("E-WEAK-ORACLE", no_twin),
}
# Faults of the sign-off itself. The gate writes it and never reads it; verifier and board do.
SIGNED: Final[dict[str, tuple[str, str, Tamper]]] = {
    "tiles exchanged": ("E-TILE", "E-TILE", forge(lambda made: _turn_tiles(made["proofTiles"]))),
    "tile renamed": (
        "E-TILE", "E-TILE", forge(lambda made: made["proofTiles"][3].update(id="proof-x"))
    ),
    "tile gone": ("E-TILE", "E-TILE", forge(lambda made: made["pfTiles"].pop())),
    "red tile": (
        "E-TILE",
        "E-TILE",
        forge(lambda made: made["pfTiles"][0].update(verdict="NO_GO", reason="red")),
    ),
    "reference to nowhere": (
        "E-REF", "E-REF", forge(lambda made: _refer(made, ref="gone/blobs/aa/aa"))
    ),
    "reference out": ("E-REF", "E-REF", forge(lambda made: _refer(made, ref="../tree/system.py"))),
    "digest of nothing": ("E-DIGEST", "E-EMPTY", forge(lambda made: _refer(made, sha256=NOTHING))),
    "another digest": ("E-DIGEST", "E-DIGEST", forge(lambda made: _refer(made, sha256="f" * 64))),
    "refers to itself": (
        "E-REF", "E-DIGEST", forge(lambda made: _refer(made, ref="./signoff.json"))
    ),
}  # fmt: skip


def _turn_tiles(tiles: list[dict[str, Any]]) -> None:
    tiles[0], tiles[1] = tiles[1], tiles[0]


def _refer(document: dict[str, Any], **changes: str) -> None:
    document["proofTiles"][2]["evidence"][0].update(changes)


def _bare(found: list[Line], kind: str) -> list[Line]:
    """The records without those of one kind of the first test."""
    node = next(line["data"]["node"] for line in found if line["kind"] == "outcome")
    return [line for line in found if line["kind"] != kind or line["data"]["node"] != node]


def _name_other_claim(found: list[Line], claim: str) -> list[Line]:
    """The first test proves another claim."""
    (collected,) = (line["data"] for line in found if line["kind"] == "collected")
    collected["items"][0]["claims"] = [claim]
    next(line for line in found if line["kind"] == "outcome")["data"]["claims"] = [claim]
    return found
