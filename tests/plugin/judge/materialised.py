"""Evidence with every record in memory: the plain way to say what the product folds as it reads.

Each view is written here as a search through all records. The product has to agree with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pytest_spec11.canon import canonical
from pytest_spec11.evidence import journal, merkle
from pytest_spec11.evidence.bundle import Bundle, Flaw, JournalFile, Sight
from pytest_spec11.evidence.foreign_files import ForeignFiles, read_target
from pytest_spec11.evidence.inventory import Inventory
from pytest_spec11.evidence.journal import Reading, Record, Times
from pytest_spec11.evidence.observations import is_substantive
from pytest_spec11.evidence.outcome import Outcome
from pytest_spec11.evidence.phase_witness import find_voids


@dataclass(frozen=True)
class Held:
    """One journal with all its records."""

    path: Path
    records: tuple[Record, ...]
    damage: str | None = None
    lines: tuple[bytes, ...] = ()
    content: bytes = b"{}"

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}"

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [dict(each.data) for each in self.records if each.kind == kind]

    @property
    def leaf(self) -> JournalFile:
        times = [each.at for each in self.records]
        seals = self.of("seal")
        reading = Reading(
            records=len(times),
            damage=self.damage,
            sealed=self.damage is None and bool(seals),
            times=Times(times[0], times[-1], min(times), max(times)) if times else None,
            start=self.of("start")[0] if times else {},
            expected=frozenset(role for each in self.of("workers") for role in each["expected"]),
            lost=frozenset(role for each in self.of("workers") for role in each["lost"]),
            exit_status=seals[-1]["exitStatus"] if seals else None,
            root=merkle.root(sha256(line).digest() for line in self.lines),
            sha256=sha256(self.content).hexdigest(),
        )
        return JournalFile(self.path, reading)


def hold(path: Path) -> Held:
    """All whole records of a journal."""
    content, reading = path.read_bytes(), journal.read(path)
    lines = tuple(content.splitlines(keepends=True)[: reading.records])
    bodies = [json.loads(line) for line in lines]
    records = tuple(Record(each["seq"], each["kind"], each["at"], each["data"]) for each in bodies)
    return Held(path, records, reading.damage, lines, content)


def load(folders: Sequence[Path]) -> Bundle:
    """What ``bundle.load`` says of these folders, found out with all records in memory."""
    held = {folder: [hold(path) for path in sorted(folder.glob("journal-*"))] for folder in folders}
    flaws = [each for folder, own in held.items() for each in _flaws(folder / "blobs", own)]
    return view([each for own in held.values() for each in own], flaws)


def view(journals: Sequence[Held], flaws: Sequence[Flaw] = ()) -> Bundle:
    """The bundle of these journals."""
    nodes = {
        each["node"]: None
        for own in journals
        for each in own.of("observation")
        if is_substantive(each)
    }
    listings = [each for own in journals for each in own.of("collected")]
    defined = [test for each in listings for test in each["defined"]]
    return Bundle(
        leaves=tuple(each.leaf for each in journals),
        flaws=tuple(dict.fromkeys(flaws)),
        items=_claims(journals, "items"),
        deselected=_claims(journals, "deselected"),
        inventory=Inventory(
            {
                place: tuple(sorted({each["line"] for each in defined if each["place"] == place}))
                for place in {each["place"] for each in defined}
            },
            frozenset(place for each in listings for place in each["selected"]),
        ),
        foreign=_foreign(journals),
        ends=tuple(_end(own, each) for own in journals for each in own.of("outcome")),
        sights={node: _sights(journals, node) for node in nodes},
        checked=frozenset(node for own in journals for node in _check_records(own)),
    )


def _foreign(journals: Sequence[Held]) -> ForeignFiles:
    told = [(own, each) for own in journals for each in own.of("surroundings")]
    files = [(each["path"], each["kind"]) for _, said in told for each in said["foreign"]]
    return ForeignFiles(
        files={path: "code" if (path, "code") in files else "input" for path, _ in files},
        told=frozenset(own.name for own, _ in told),
        plugins=frozenset(each["distribution"] for _, said in told for each in said["plugins"]),
        deaf={
            own.name: ", ".join(said["faults"]) or "nothing was heard"
            for own, said in told
            if not said["heard"]
        },
        targets={own.name: read_target(said["target"]) for own, said in told if said["target"]},
    )


def _claims(journals: Sequence[Held], key: str) -> dict[str, frozenset[str]]:
    found = [
        item for own in journals for collected in own.of("collected") for item in collected[key]
    ]
    return {
        item["node"]: frozenset(
            claim for each in found if each["node"] == item["node"] for claim in each["claims"]
        )
        for item in found
    }


def _end(own: Held, said: dict[str, Any]) -> Outcome:
    return Outcome(
        node=said["node"],
        journal=own.name,
        run=own.records[0].data["runId"],
        attempt=said["attempt"],
        word=said["outcome"],
        phases=tuple(str(each) for each in said["phases"].values()),
        voids=find_voids(said),
        claims=tuple(said["claims"]),
        message=str(said.get("message", "")),
    )


def _sights(journals: Sequence[Held], node: str) -> dict[str, Sight | None]:
    seen = [
        (own, each)
        for own in journals
        for each in own.of("observation")
        if each["node"] == node and is_substantive(each)
    ]
    found: dict[str, Sight | None] = {}
    for own, each in seen:
        name = each["blob"]
        if name:
            place = f"{own.path.parent.name}/blobs/{name[:2]}/{name}"
            found.setdefault(each["source"], Sight(place, name, each["size"]))
    return {each["source"]: None for _, each in seen if each["source"] not in found} | found


def _check_records(own: Held) -> Iterator[str]:
    for place, each in enumerate(own.records):
        before = [it.data for it in own.records[:place] if it.kind == "observation"]
        node = each.data.get("node")
        if each.kind == "assertion" and any(
            it["node"] == node and is_substantive(it) for it in before
        ):
            yield str(node)


def _of_sealed(blobs: Path, own: Held) -> Iterator[Flaw]:
    for start in own.of("start"):
        names = (start["binding"].get(key, "") for key in ("catalogue", "policy"))
        for name in (each for each in names if re.fullmatch(r"[0-9a-f]{64}", each)):
            path = blobs / name[:2] / name
            content = path.read_bytes() if path.is_file() else None
            if content is None:
                yield Flaw(own.name, name, "missing")
            elif sha256(content).hexdigest() != name:
                yield Flaw(own.name, name, "altered" if content else "emptied")


def _flaws(blobs: Path, journals: Sequence[Held]) -> Iterator[Flaw]:
    for own in journals:
        yield from _of_sealed(blobs, own)
        yield from _of_observations(blobs, own)


def _of_observations(blobs: Path, own: Held) -> Iterator[Flaw]:
    for said in own.of("observation"):
        name = said["blob"]
        if name is None:
            facts = canonical(said["facts"])
            if (said["digest"], said["size"]) != (sha256(facts).hexdigest(), len(facts)):
                yield Flaw(said["node"], sha256(facts).hexdigest(), "misstated")
            continue
        path = blobs / name[:2] / name
        content = path.read_bytes() if path.is_file() else None
        if content is None:
            yield Flaw(said["node"], name, "missing")
        elif sha256(content).hexdigest() != name:
            yield Flaw(said["node"], name, "altered" if content else "emptied")
        elif (said["digest"], said["size"]) != (name, len(content)):
            yield Flaw(said["node"], name, "misstated")
