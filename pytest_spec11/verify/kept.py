"""Kept runs in a bundle: finds their red tests again, from their records alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final

from pytest_spec11.verify.chain import Data, Journal, read
from pytest_spec11.verify.findings import Findings
from pytest_spec11.verify.proofs import table

_BAD: Final = frozenset({"failed", "error"})
_INTERRUPTED: Final = 2


class KeptRuns:
    """The kept runs of a sign-off, and their journals that are in the bundle."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._looked = table(said.get("kept")).get("looked", [])
        self._tree = table(said.get("binding")).get("tree")
        self.digests = {
            each["ref"]: each["sha256"] for run in self._looked for each in run["journals"]
        }
        self._run_of = {
            each["ref"]: place for place, run in enumerate(self._looked) for each in run["journals"]
        }
        self._reds: dict[int, set[str]] = defaultdict(set)
        self._broken_off: set[str] = set()
        self._whole: dict[int, int] = defaultdict(int)
        self._spoilt: dict[int, str] = {}

    def read(self, file: IO[bytes], name: str, findings: Findings) -> str:
        """Read one of their journals; return its digest."""
        place, own = self._run_of[name], Findings()
        self._broken_off = set()

        def hear(_: Journal, kind: str, data: Data) -> str:
            self._hear(self._reds[place], kind, data)
            return ""

        journal = read(file, name, hear, own)
        if journal.sha256 != self.digests[name]:
            findings.add("E-DIGEST", name, "a kept run with other bytes than the gate read")
        if journal.seal.get("exitStatus") != _INTERRUPTED:
            self._reds[place] |= self._broken_off
        self._whole[place] += 1
        if own.has("E-CHAIN") and table(journal.start.get("binding")).get("tree") == self._tree:
            self._spoilt[place] = name
        return journal.sha256

    def _hear(self, reds: set[str], kind: str, data: Data) -> None:
        if kind == "outcome":
            phases = {*map(str, data["phases"].values())}
            if data["outcome"] == "failed" or phases & _BAD or data["voids"]:
                reds.add(data["node"])
            elif data["outcome"] == "error":
                self._broken_off.add(data["node"])
        elif isinstance(node := data.get("crashed"), str) and kind == "note":
            reds.add(node)

    @property
    def reds(self) -> set[str]:
        """Tests that were red in one of them, by the sign-off or by the records."""
        listed = {each["node"] for run in self._looked for each in run["red"]}
        return listed.union(*self._reds.values())

    def disagreements(self) -> Iterator[tuple[str, str]]:
        """Run and text for each difference between the sign-off and the records."""
        for place, run in enumerate(self._looked):
            listed = {each["node"]: each["word"] for each in run["red"]}
            found = self._reds[place]
            for node in sorted(found - listed.keys()):
                yield run["ref"], f"red in its records, and not in the sign-off: {node}"
            whole = self._whole[place] == len(run["journals"]) and not run["damage"]
            for node in sorted(listed.keys() - found) if whole else ():
                if listed[node] != "crashed":  # a dead process leaves no record of its death
                    yield run["ref"], f"red in the sign-off, and not in its records: {node}"

    def list_damaged(self) -> list[str]:
        """Damaged journals of this tree; nobody can tell what was red in them."""
        return [*self._spoilt.values()]
