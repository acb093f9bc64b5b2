"""Compares the statements of a sign-off with the evidence itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

from pytest_spec11.verify.chain import Journal
from pytest_spec11.verify.findings import Findings
from pytest_spec11.verify.kept import KeptRuns
from pytest_spec11.verify.proofs import Proofs, table

_FOREIGN: Final = {"code": "E-FOREIGN-CODE", "input": "E-FOREIGN-INPUT"}
_SAME: Final = ("tree", "commit", "catalogue", "policy", "lock", "plugin", "scope")
_CODES: Final[Mapping[str, str]] = {
    "tree": "E-TREE",
    "commit": "E-COMMIT",
    "catalogue": "E-CATALOGUE",
    "policy": "E-POLICY",
    "scope": "E-SCOPE",
}
_HOUR_MS: Final = 3_600_000
_NESTED: Final = ("quick", "check", "full")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The content of a bundle; documents and files have the names that a sign-off uses."""

    journals: Mapping[str, Journal]
    documents: Mapping[str, Mapping[str, Any]]
    digests: Mapping[str, str]  # of every file that was hashed
    proofs: Proofs
    spoilt: set[str]  # blobs that are not whole
    catalogue: Mapping[str, Any]
    policy: Mapping[str, Any]
    kept: KeptRuns


class Release:
    """One sign-off and its evidence."""

    def __init__(self, said: Mapping[str, Any], evidence: Evidence, findings: Findings) -> None:
        self._said = said
        self._evidence = evidence
        self._findings = findings
        self._claims = {
            claim["id"]: claim
            for scenario in evidence.catalogue["scenarios"]
            for claim in scenario["claims"]
        }
        release = table(evidence.policy.get("release"))
        self._asked = {*release.get("mandatory", ())}
        self._max_age_h = float(release.get("max_age_h", 24))
        self._skew_s = float(release.get("clock_skew_s", 120))
        self._shards = {*release.get("shards", ()), *said["shards"]}

    def check(self) -> None:
        """Add every difference to the findings."""
        self._check_claims()
        for where, text in self._evidence.kept.disagreements():
            self._findings.add("E-JUDGES", where, text)
        self._check_tiles()
        if self._said["verdict"] == "GO":
            self._check_tests()
            self._check_binding()
            self._timely()
            self._check_workers()
            self._check_nonces()
            self._check_lanes()
            self._check_kills()
            self._check_seen_red()
            self._steady()

    def _is_needed(self, claim: Mapping[str, Any]) -> bool:
        mandatory = claim.get("mandatory", True) and self._said["scope"] in claim["scopes"]
        return bool(mandatory) or claim["id"] in self._asked

    def _check_claims(self) -> None:
        """Check that the records prove exactly the claims that the sign-off calls proven."""
        needs = {id_: each["sources"] for id_, each in self._claims.items()}
        proven = self._evidence.proofs.proven(needs, self._evidence.spoilt) - self._flaky
        proven -= {*self._never_red} if self._mutations else set()
        said = {id_ for id_, word in self._said["claims"].items() if word == "PASS"}
        for id_ in sorted(proven ^ said) if not self._broken else sorted(said - proven):
            word = "proven" if id_ in said else "unproven"
            self._findings.add("E-JUDGES", id_, f"the sign-off says {word}, the records do not")
        if {*self._claims} != {*self._said["claims"]}:
            self._findings.add("E-CATALOGUE", "signoff.json", "it is about other claims")
        needed = {id_ for id_, each in self._claims.items() if self._is_needed(each)}
        for id_ in sorted(needed - proven) if self._said["verdict"] == "GO" else ():
            self._findings.add("E-JUDGES", id_, "needed for GO, but the records do not prove it")
        if {*self._claims} - needed != {*self._said["notClaimed"]}:
            self._findings.add("E-CATALOGUE", "signoff.json", "it leaves out other claims")
        for node in self._evidence.proofs.find_unconserved()[:20]:
            self._findings.add("E-CONSERVATION", node, "collected and ended are not the same")

    def _check_tests(self) -> None:
        """Check that no test was red or left out, also of no claim."""
        for node, test in self._evidence.proofs.tests.items():
            if test.red:
                self._findings.add("E-FAILED", node, "GO, though this test was red")
        for kind, paths in sorted(self._evidence.proofs.foreign.items()):
            for path in sorted(paths):
                text = "GO, though this file spoke and is no part of the tree"
                self._findings.add(_FOREIGN[kind], path, text)
        for name in sorted(self._evidence.journals.keys() - self._evidence.proofs.heard):
            text = "GO, though it does not say which files its process read"
            self._findings.add("E-BINDING", name, text)
        self._check_target()
        for place in self._evidence.proofs.find_left_out():
            text = "GO, though no run has this test of the tree, or another took its place"
            self._findings.add("E-NOT-COLLECTED", place, text)

    def _check_target(self) -> None:
        """Check that what was tested is what is released."""
        for name, journal in self._evidence.journals.items():
            if journal.start.get("role") not in {"main", "controller"}:
                continue
            binding, said = table(journal.start.get("binding")), self._evidence.proofs.targets
            builds = {binding.get("commit"), binding.get("appVersion")} - {"", None}
            target = said.get(name, {"asked": "", "isOfTree": False, "foreign": []})
            if target["asked"]:
                is_good = target["told"] in builds
            else:
                is_good = target["isOfTree"] is True and not target["foreign"]
            if not is_good:
                text = "GO, though the target ran other code or told another build"
                self._findings.add("E-TARGET", name, text)

    @property
    def _flaky(self) -> set[str]:
        """Claims with a test that was red in a kept run of this tree."""
        tests, reds = self._evidence.proofs.tests, self._evidence.kept.reds
        return {
            claim
            for node in reds & tests.keys()
            for claim in tests[node].claims | tests[node].ended
        }

    def _steady(self) -> None:
        """Check that no kept run of this tree contradicts GO."""
        kept = self._said["kept"]
        needed = {id_ for id_, each in self._claims.items() if self._is_needed(each)}
        for id_ in sorted(self._flaky & needed):
            self._findings.add("E-FLAKY", id_, "GO, though it was red in a kept run of this tree")
        for name in self._evidence.kept.list_damaged():
            self._findings.add("E-FLAKY", name, "GO over a kept run of this tree that is damaged")
        if kept["green"] != kept["runs"]:
            text = f"GO, though green in {kept['green']} of {kept['runs']} kept runs of this tree"
            self._findings.add("E-FLAKY", "signoff.json", text)

    @property
    def _broken(self) -> bool:
        """Whether journals are damaged; a judge then calls nothing proven."""
        return self._findings.has("E-CHAIN", "E-TRUNCATED", "E-UNSEALED")

    def _check_tiles(self) -> None:
        """Check that the tiles are the catalogue's, in its order, with references that resolve."""
        scenarios = self._evidence.catalogue["scenarios"]
        plain = [{"id": f"proof-{each['id'].lower()}"} for each in scenarios]
        asked = [tile["id"] for tile in self._evidence.catalogue.get("tiles", plain)]
        lanes = [f"pf-{lane}" for lane in self._evidence.catalogue.get("lanes", ())]
        for key, ids in (("proofTiles", asked), ("pfTiles", lanes)):
            if [tile["id"] for tile in self._said[key]] != ids:
                self._findings.add("E-TILE", "signoff.json", f"{key} differ from the catalogue's")
            for tile in self._said[key]:
                self._tile(tile)

    def _tile(self, tile: Mapping[str, Any]) -> None:
        for ref in tile["evidence"]:
            if self._evidence.digests.get(ref["ref"]) is None:
                self._findings.add("E-REF", tile["id"], f"{ref['ref']} is not there")
            elif self._evidence.digests[ref["ref"]] != ref["sha256"]:
                self._findings.add("E-DIGEST", tile["id"], f"{ref['ref']} has other bytes")
        go = self._said["verdict"] == "GO"
        idle = tile["id"].startswith("proof-") and not tile["claims"]
        if go and tile["verdict"] != "GO" and not idle:
            self._findings.add("E-TILE", tile["id"], "NO_GO under a verdict of GO")
        unproven = [id_ for id_ in tile["claims"] if self._said["claims"].get(id_) != "PASS"]
        if tile["verdict"] == "GO" and unproven:
            self._findings.add("E-TILE", tile["id"], f"GO, though {unproven[0]} is not proven")

    def _bindings(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for name, journal in self._evidence.journals.items():
            yield name, table(journal.start.get("binding"))
        for name, document in self._evidence.documents.items():
            yield name, table(document.get("binding"))

    def _check_binding(self) -> None:
        """Check that all evidence has the sign-off's tree, commit and other binding."""
        here = self._said["binding"]
        versions = {str(each.get("appVersion")) for _, each in self._bindings()}
        if len(versions) != 1 or here["appVersion"] not in {"", *versions}:
            self._findings.add("E-APPVERSION", "signoff.json", "not one version under test")
        if not here["tree"] or "" in versions:
            self._findings.add("E-BINDING", "signoff.json", "GO without a tree or a version")
        if here["dirty"] or not here["commit"]:
            self._findings.add("E-DIRTY", "signoff.json", "GO for uncommitted changes")
        for name, binding in self._bindings():
            for key in _SAME:
                if binding.get(key) != here[key]:
                    text = f"{key} is {str(binding.get(key))[:12]}, signed off is {here[key][:12]}"
                    self._findings.add(_CODES.get(key, "E-BINDING"), name, text)
            if binding.get("dirty") is not False:
                self._findings.add("E-DIRTY", name, "uncommitted files at the run")

    def _timely(self) -> None:
        """Check that no evidence was too old or in the future when it was judged."""
        judged = self._said["judgedAt"]
        spans = {
            name: (each.first_at, each.last_at, each.min_at, each.max_at)
            for name, each in self._evidence.journals.items()
        }
        for name, each in self._evidence.documents.items():
            begin, end = int(each["startedAt"]), int(each["finishedAt"])
            spans[name] = (begin, end, begin, end)
        for name, (begin, end, low, high) in spans.items():
            if judged - begin > self._max_age_h * _HOUR_MS:
                self._findings.add("E-STALE", name, "too old when it was judged")
            if high - judged > self._skew_s * 1000:
                self._findings.add("E-FUTURE", name, "in the future when it was judged")
            if end < begin or low <= 0:
                self._findings.add("E-TIME", name, "ended before it began")
            if 0 < low < begin - self._skew_s * 1000:
                self._findings.add("E-TIME", name, "has records that are older than their run")

    def _check_workers(self) -> None:
        """Check that every process of each run left its journal, and that every shard ran."""
        roles: dict[str, list[str]] = defaultdict(list)
        expected: dict[str, set[str]] = defaultdict(set)
        for name, journal in self._evidence.journals.items():
            roles[str(journal.start.get("runId"))].append(str(journal.start.get("role")))
            if journal.seal.get("exitStatus") not in {0, 1, 5}:
                self._findings.add("E-ERROR", name, "the process did not finish")
        for journal, order in self._evidence.proofs.orders:
            expected[str(journal.start.get("runId"))].update(order["expected"])
            if order["lost"]:
                self._findings.add("E-LOST", journal.name, f"lost: {order['lost'][0]}")
        for run, found in roles.items():
            heads = [role for role in found if role in {"main", "controller"}]
            if len(heads) != 1 or {*found} - {*heads} != expected[run]:
                self._findings.add("E-LOST", run, "not the journals of all its processes")
        shards = {str(each.start.get("shard", "")) for each in self._evidence.journals.values()}
        if self._shards and shards != self._shards:
            self._findings.add("E-SHARD", "signoff.json", "not the demanded shards")

    def _check_nonces(self) -> None:
        """Check that each run has a nonce of its own."""
        nonces = {
            (str(each.start.get("nonce")), str(each.start.get("runId")))
            for each in self._evidence.journals.values()
        }
        if len(nonces) > len({nonce for nonce, _ in nonces}):
            self._findings.add("E-REPLAY", "signoff.json", "two of its runs have one nonce")

    def _check_lanes(self) -> None:
        """Check that every lane has a green record, and the nested lanes are in order."""
        lanes = {
            str(each["lane"]): each
            for name, each in self._evidence.documents.items()
            if name.rpartition("/")[2] == f"lane-{each.get('lane')}.json"
        }
        for lane in self._evidence.catalogue.get("lanes", ()):
            steps = lanes[lane]["steps"] if lane in lanes else ()
            if lane not in lanes or lanes[lane]["exitCode"] or any(s["exitCode"] for s in steps):
                self._findings.add("E-LANE", f"pf-{lane}", "GO without a green record of it")
        nested = [lanes[name] for name in _NESTED if name in lanes]
        for low, high in pairwise(nested):
            if low["finishedAt"] > high["startedAt"] or low["release"] != high["release"]:
                self._findings.add("E-LANE-ORDER", f"pf-{high['lane']}", "not after the lower one")

    def _check_kills(self) -> None:
        """Check that the matrix has a kill for every cell of the catalogue."""
        matrices = [
            each for name, each in self._evidence.documents.items() if name.endswith("/kills.json")
        ]
        rows = [row for each in matrices for row in each["cells"]]
        killed = {(row["saboteur"], row["claim"]) for row in rows if _is_kill(row)}
        for id_, claim in self._claims.items():
            for name in claim.get("saboteurs", ()) if self._is_needed(claim) else ():
                if (name, id_) not in killed:
                    self._findings.add("E-WEAK-ORACLE", id_, f"GO, though {name} did not kill it")
        for row in rows:
            if not _is_kill(row):
                where, text = row["claim"], f"GO, though {row['saboteur']} is no kill"
                self._findings.add("E-WEAK-ORACLE", where, text)

    def _check_seen_red(self) -> None:
        """Every needed claim was red under a mutant of what its own test read, by each source."""
        for id_, sources in self._never_red.items():
            missing = ", ".join(sources)
            text = f"GO, although no mutant of what it reads through {missing} turned it red"
            self._findings.add("E-WEAK-ORACLE", id_, text)

    @property
    def _mutations(self) -> list[Mapping[str, Any]]:
        """What mutants showed, in each kill matrix."""
        found = [
            each.get("mutation")
            for name, each in self._evidence.documents.items()
            if name.endswith("/kills.json")
        ]
        return [each for each in found if each]

    @cached_property
    def _never_red(self) -> dict[str, list[str]]:
        """The sources by which a needed claim was not seen red, of each claim that has some."""
        if self._said["scope"] != "signoff":
            return {}
        rows = [row for each in self._mutations for row in each["claims"]]
        seen = {(row["claim"], row["source"]) for row in rows if self._is_red_row(row)}
        missing = {
            id_: [source for source in claim["sources"] if (id_, source) not in seen]
            for id_, claim in self._claims.items()
            if self._is_needed(claim)
        }
        return {id_: sources for id_, sources in missing.items() if sources}

    def _is_red_row(self, row: Mapping[str, Any]) -> bool:
        """Whether a row names a kill by a test that the records know to read there."""
        test = self._evidence.proofs.tests.get(row["node"])
        if test is None or row["claim"] not in test.claims | test.ended:
            return False
        times = row["redAt"] > 0 and row["greenAt"] > 0
        return bool(times and row["killed"] > 0 and row["source"] in test.sources)


def _is_kill(row: Mapping[str, Any]) -> bool:
    """Whether a row is a kill, or a benign twin that killed nothing."""
    around = row["before"] == row["after"] == "PASS" and row["hits"] > 0
    if str(row["saboteur"]).endswith(".none"):
        return bool(around and row["during"] == "PASS")
    own = row["expected"] and row["expected"] in table(row["reason"]).get("text", "")
    return bool(around and row["during"] == "FAIL" and own)
