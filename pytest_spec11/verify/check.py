"""One verification: compares the files of a bundle with its sign-off."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pytest_spec11.errors import BadInput
from pytest_spec11.verify import hashing, signatures, trust
from pytest_spec11.verify.chain import Journal, read
from pytest_spec11.verify.expectation import Expectation
from pytest_spec11.verify.findings import Finding, Findings
from pytest_spec11.verify.kept import KeptRuns
from pytest_spec11.verify.proofs import Proofs, table
from pytest_spec11.verify.release import Evidence, Release
from pytest_spec11.verify.store import Store

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Ruling = Literal["GO", "NO_GO", "UNKNOWN"]

_SIGNOFF: Final = "signoff.json"
_MANIFEST: Final = "manifest.json"
_MAX_DOCUMENT: Final = 64 << 20
_HEX: Final = frozenset("0123456789abcdef")
_SCHEMAS: Final = Path(__file__).parents[1] / "evidence" / "schemas"


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a verification. UNKNOWN: the bundle is whole but has no sign-off."""

    verdict: Ruling
    findings: tuple[Finding, ...]
    records: int
    root: str
    files: int
    signers: tuple[str, ...]
    trust: str
    rehearsal: bool
    kept_runs: int  # runs of this tree that the gate read
    kept_green: int  # runs without a red test of a needed claim
    commit: str  # of the release that was signed off; empty without a sign-off
    tree: str
    app_version: str
    scope: str
    judged_at: int  # epoch milliseconds
    weakenings: tuple[str, ...]  # against the merge base


class Check:
    """One verification. It reads everything once and then compares."""

    def __init__(
        self,
        files: Store,
        name: str,
        keys: tuple[int, list[str]] | None,
        expected: Sequence[Expectation],
    ) -> None:
        self._files = files
        self._keys = keys
        self._expected = expected
        self._findings = Findings()
        self._proofs = Proofs()
        self._digests: dict[str, str] = {}  # by name in the store
        self._spoilt: set[str] = set()
        runs = sorted({each.rpartition("/")[0] for each in files.sizes if _is_evidence(each)})
        if not runs:
            raise BadInput(f"{name}: holds no journal and no record of a lane")
        # A sign-off names a file by the name of its run's directory, wherever that directory is.
        self._homes = {each.rpartition("/")[2] or name: each for each in runs}
        if len(self._homes) != len(runs):
            raise BadInput(f"{name}: two runs of one name")
        self._signers: tuple[str, ...] = ()

    def report(self) -> Report:
        """Compare the files with the sign-off."""
        said = self._signoff()
        kept = KeptRuns(said)
        journals = {each.name: each for each in self._journals(kept)}
        documents = dict(self._documents(kept))
        self._blobs()
        if said:
            self._compare(said, journals, documents, kept)
            self._manifest()
        bad = bool(self._findings.all)
        word: Ruling = "UNKNOWN" if not said else said["verdict"]
        names = sorted(journals)
        roots = [journals[name].root for name in _order_journals(said, names)]
        roots += [self._digests[self._place(each)] for each in _papers(said, documents)]
        return Report(
            verdict="NO_GO" if bad else word,
            findings=tuple(self._findings.all),
            records=sum(each.records for each in journals.values()),
            root=hashing.Tree(map(bytes.fromhex, roots)).root,
            files=len(self._files.sizes),
            signers=self._signers,
            trust="the given policy" if self._keys else "the policy in the bundle",
            rehearsal=said.get("rehearsal") is True,
            kept_runs=table(said.get("kept")).get("runs", 0),
            kept_green=table(said.get("kept")).get("green", 0),
            commit=table(said.get("binding")).get("commit", ""),
            tree=table(said.get("binding")).get("tree", ""),
            app_version=table(said.get("binding")).get("appVersion", ""),
            scope=said.get("scope", ""),
            judged_at=said.get("judgedAt", 0),
            weakenings=tuple(said.get("weakenings", ())),
        )

    def _place(self, name: str) -> str:
        """The path of a file that a sign-off names by its run."""
        run, _, rest = name.partition("/")
        home = self._homes.get(run)
        return name if home is None else f"{home}/{rest}".removeprefix("/")

    def _journals(self, kept: KeptRuns) -> Iterator[Journal]:
        for run, home in self._homes.items():
            for place in sorted(self._files.sizes):
                folder, _, file = place.rpartition("/")
                if folder != home or not _is_journal(file):
                    continue
                name = f"{run}/{file}"
                with self._files.open(place) as stream:
                    if name in kept.digests:
                        self._digests[place] = kept.read(stream, name, self._findings)
                        continue
                    found = read(stream, name, self._proofs.hear, self._findings)
                self._digests[place] = found.sha256
                yield found

    def _documents(self, kept: KeptRuns) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The documents beside what was judged; those of a kept run speak for nothing."""
        others = {name.partition("/")[0] for name in kept.digests}
        for run, home in self._homes.items():
            if run in others:
                continue
            for place in sorted(self._files.sizes):
                folder, _, file = place.rpartition("/")
                kind = "kills" if file == "kills.json" else "lane"
                if folder == home and _is_document(file):
                    data = self._read_sealed(place, kind)
                    if data:
                        yield f"{run}/{file}", data

    def _read_sealed(self, place: str, kind: str) -> Mapping[str, Any]:
        """A whole document; otherwise empty, and a finding says why."""
        if self._files.sizes[place] > _MAX_DOCUMENT:
            raise BadInput(f"{place}: more than {_MAX_DOCUMENT} bytes")
        with self._files.open(place) as stream:
            content = stream.read()
        self._digests[place] = sha256(content).hexdigest()
        try:
            text = content.decode()
            data = table(hashing.parse_once(text))
            whole = hashing.is_sealed(data, text)
            wrong = _misfit(kind, data) if whole else "changed after it was sealed"
            if whole and not hashing.is_line(data, text):
                wrong = "not canonical JSON"
        except (ValueError, TypeError, RecursionError) as error:
            data, wrong = {}, f"no document: {type(error).__name__}"
        if wrong:
            self._findings.add("E-DIGEST", place, wrong)
            return {}
        return data

    def _blobs(self) -> None:
        """Check that every blob exists once and matches its name."""
        found: dict[str, int] = {}
        for place, size in self._files.sizes.items():
            folder, _, name = place.rpartition("/")
            if f"/{folder}/".find("/blobs/") < 0 or len(name) != len(sha256().hexdigest()):
                continue
            with self._files.open(place) as stream:
                self._digests[place] = hashing.of_file(stream)
            if self._digests[place] != name:
                self._spoilt.add(name)
                self._findings.add("E-DIGEST", place, "does not match the digest in its name")
            found[name] = size
        for name, (size, where) in self._proofs.blobs.items():
            if name not in found or not _HEX.issuperset(name):
                self._spoilt.add(name)
                self._findings.add("E-REF", where, f"its bytes are missing: {name[:80]}")
            elif found[name] != size:
                self._spoilt.add(name)
                self._findings.add("E-DIGEST", where, f"its bytes are {found[name]}, not {size}")

    def _signoff(self) -> Mapping[str, Any]:
        if _SIGNOFF not in self._files.sizes:
            return {}
        found = self._read_sealed(_SIGNOFF, "signoff")
        return found or {"verdict": "NO_GO"}

    def _compare(
        self,
        said: Mapping[str, Any],
        journals: Mapping[str, Journal],
        documents: Mapping[str, Mapping[str, Any]],
        kept: KeptRuns,
    ) -> None:
        if "evidence" not in said:
            return
        for expected in self._expected:
            for code, text in expected.disagreements(said):
                self._findings.add(code, _SIGNOFF, text)
        self._compare_evidence(said["evidence"], journals, documents)
        catalogue = self._by_digest(said["binding"]["catalogue"])
        policy = self._by_digest(said["binding"]["policy"])
        if catalogue is None or policy is None:
            text = "the bundle lacks the catalogue or the policy of the verdict"
            self._findings.add("E-CATALOGUE", _SIGNOFF, text)
            return
        digests = {
            f"{run}/{place.removeprefix(home).removeprefix('/')}": value
            for place, value in self._digests.items()
            for run, home in self._homes.items()
            if place.startswith(f"{home}/") or not home
        }
        parts = (self._proofs, self._spoilt, catalogue, policy, kept)
        evidence = Evidence(journals, documents, digests, *parts)
        try:
            Release(said, evidence, self._findings).check()
            self._check_signatures(said, policy)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            text = f"cannot be compared: {type(error).__name__}: {error}"[:300]
            self._findings.add("E-UNKNOWN", _SIGNOFF, text)

    def _compare_evidence(
        self,
        said: Mapping[str, Any],
        journals: Mapping[str, Journal],
        documents: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Check that the evidence is exactly the judged evidence."""
        listed = {each["ref"]: each for each in (*said["journals"], *said["documents"])}
        there = {*journals, *documents}
        for name in sorted(listed.keys() - there):
            self._findings.add("E-REF", name, "was judged, but is missing")
        for name in sorted(there - listed.keys()):
            self._findings.add("E-REPLAY", name, "is in the bundle, but was not judged")
        for name in sorted(listed.keys() & there):
            if self._digests[self._place(name)] != listed[name]["sha256"]:
                self._findings.add("E-DIGEST", name, "has other bytes than the judged file")
            if name in journals and not _is_told(journals[name], listed[name]):
                self._findings.add("E-REPLAY", name, "is not the journal that was judged")
        roots = [each.get("root", each["sha256"]) for each in listed.values()]
        if hashing.Tree(map(bytes.fromhex, roots)).root != said["root"]:
            self._findings.add("E-DIGEST", _SIGNOFF, "its root does not match its records")

    def _by_digest(self, name: str) -> Mapping[str, Any] | None:
        """A document from a blob."""
        for place in self._files.sizes:
            if place.endswith(f"/{name}") or place == name:
                with self._files.open(place) as stream:
                    content = stream.read(_MAX_DOCUMENT)
                if sha256(content).hexdigest() == name:
                    return table(json.loads(content))
        return None

    def _check_signatures(self, said: Mapping[str, Any], policy: Mapping[str, Any]) -> None:
        """Check that enough keys signed, and that they signed this sign-off."""
        threshold, keys = self._keys or self._read_keys(policy)
        payload = b""
        if signatures.NAME in self._files.sizes:
            with self._files.open(signatures.NAME) as stream:
                content = stream.read(_MAX_DOCUMENT)
            found, payload = signatures.signers(content, keys, self._findings)
            self._signers = tuple(sorted(found))
        if len(self._signers) < threshold:
            text = f"{len(self._signers)} of {threshold} demanded signatures"
            self._findings.add("E-SIGNATURE", signatures.NAME, text)
        if payload:
            digests = {
                _SIGNOFF: self._digests[_SIGNOFF],
                "evidence": said["evidence"]["root"],
                "catalogue": said["binding"]["catalogue"],
                "policy": said["binding"]["policy"],
            }
            result = "PASSED" if said["verdict"] == "GO" else "FAILED"
            tree = str(said["binding"]["tree"])
            for text in signatures.disagreements(payload, tree, digests, result, _tests(said)):
                self._findings.add("E-SIGNATURE", signatures.NAME, text)

    def _read_keys(self, policy: Mapping[str, Any]) -> tuple[int, list[str]]:
        try:
            return trust.read_keys(policy)
        except ValueError as error:
            self._findings.add("E-POLICY", _SIGNOFF, f"its policy names no keys: {error}")
            return 0, []

    def _manifest(self) -> None:
        """Check that an exported bundle holds the files of its manifest, and the signatures."""
        if _MANIFEST not in self._files.sizes:
            return
        said = self._read_sealed(_MANIFEST, "bundle")
        listed = {each["path"]: each["sha256"] for each in said.get("files", ())}
        for place in sorted({*self._files.sizes} - {*listed, _MANIFEST, signatures.NAME}):
            self._findings.add("E-REPLAY", place, "is in the bundle, but not in its manifest")
        for place, digest in listed.items():
            if place not in self._files.sizes:
                self._findings.add("E-REF", place, "is in the manifest, but not in the bundle")
            elif self._hash(place) != digest:
                self._findings.add("E-DIGEST", place, "does not match its manifest")

    def _hash(self, place: str) -> str:
        if place not in self._digests:
            with self._files.open(place) as stream:
                self._digests[place] = hashing.of_file(stream)
        return self._digests[place]


def _tests(said: Mapping[str, Any]) -> dict[str, list[str]]:
    """The needed claims of a sign-off as a statement lists them."""
    needed = {id_: word for id_, word in said["claims"].items() if id_ not in said["notClaimed"]}
    return {
        "passedTests": [id_ for id_, word in needed.items() if word == "PASS"],
        "failedTests": [id_ for id_, word in needed.items() if word != "PASS"],
    }


def _is_journal(file: str) -> bool:
    return file.startswith("journal-") and file.endswith(".ndjson")


def _is_document(file: str) -> bool:
    return file == "kills.json" or (file.startswith("lane-") and file.endswith(".json"))


def _is_evidence(place: str) -> bool:
    file = place.rpartition("/")[2]
    return _is_journal(file) or _is_document(file)


def _is_told(journal: Journal, said: Mapping[str, Any]) -> bool:
    """Whether a sign-off describes this journal."""
    start = journal.start
    told = (start.get("runId"), start.get("nonce"), start.get("role"), journal.records)
    return (*told, journal.root) == (
        said["run"],
        said["nonce"],
        said["role"],
        said["records"],
        said["root"],
    )


def _order_journals(said: Mapping[str, Any], names: list[str]) -> list[str]:
    listed = [each["ref"] for each in table(said.get("evidence")).get("journals", ())]
    return [name for name in listed if name in names] or names


def _papers(said: Mapping[str, Any], documents: Mapping[str, object]) -> list[str]:
    listed = [each["ref"] for each in table(said.get("evidence")).get("documents", ())]
    return [name for name in listed if name in documents] or sorted(documents)


@cache
def _schema(kind: str) -> Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # journals need none

    return Draft202012Validator(json.loads((_SCHEMAS / f"{kind}.schema.json").read_bytes()))


def _misfit(kind: str, document: Mapping[str, Any]) -> str:
    """The first violation of the published schema; empty if there is none."""
    for error in _schema(kind).iter_errors(document):
        return f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
    return ""
