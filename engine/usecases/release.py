"""The names in a release's evidence: retention must not remove a run that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any, Final

from engine.core import signoff as rules
from engine.core.retention import can_be_found, find_words
from engine.errors import IllegalState
from engine.ports.evidence import Astray, Evidence
from engine.store import Tx, retention
from engine.usecases import signoff

CHUNK: Final = 20_000  # words per lookup
KEPT: Final = re.compile(rb'"(blob|sha256)": ?"([0-9a-f]{64})"')
OVERLAP: Final = 100  # longer than a match


@dataclass(slots=True)
class ReleaseEvidence:
    """The sign-off with everything that it refers to, read once; ``named`` holds the names.

    ``is_needed`` says that a sign-off must exist. An unreadable part may name any run, so it is
    refused.
    """

    evidence: Evidence
    is_needed: bool
    named: set[str] = field(default_factory=set)
    _sealed: bytes | None = None

    @property
    def is_there(self) -> bool:
        """Whether a sign-off exists."""
        return self._sealed is not None

    async def load(self, tx: Tx) -> None:
        """Find the names. Raises IllegalState for a sign-off that is not whole."""
        try:
            self._sealed = self.evidence.signoff()
            document, fault = signoff.load_document(self.evidence)
        except (Astray, OSError) as error:
            raise self._refusal("signoff.json", str(error)) from error
        if document is not None:
            await self._look_up(tx, document)
        elif fault is not None and (fault.code != signoff.NO_EVIDENCE or self._is_missed()):
            raise self._refusal(fault.subject, fault.text)

    def require_same(self) -> None:
        """Check that the sign-off is still the one that was read. Raises IllegalState."""
        try:
            now = self.evidence.signoff()
        except (Astray, OSError) as error:
            raise self._refusal("signoff.json", str(error)) from error
        if now != self._sealed:
            raise self._refusal("signoff.json", "was replaced meanwhile; begin again")

    def names(self, names: set[str]) -> bool:
        """Whether the evidence has, or may have, one of the names."""
        if not self.is_there:
            return False
        return not self.named.isdisjoint(names) or not all(map(can_be_found, names))

    def _is_missed(self) -> bool:
        return self.is_needed or self._sealed is not None

    def _refusal(self, subject: str, why: str) -> IllegalState:
        where = f"the release's evidence in {self.evidence.root}"
        return IllegalState(f"nothing is removed: {where} cannot be read: {subject} {why}")

    async def _look_up(self, tx: Tx, document: Mapping[str, Any]) -> None:
        """Find every name of a run or workflow in the files and in their blobs."""
        words: set[str] = set()
        for ref, digest in self._files(document):
            for found in find_words(self._read_verified(ref, digest)):
                words |= found
                if len(words) > CHUNK:
                    self.named |= await retention.find_names(tx, words)
                    words.clear()
        self.named |= await retention.find_names(tx, words)

    def _files(self, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Path and digest of each file, once."""
        seen = {(ref["ref"], ref["sha256"]) for ref in rules.references(document)}
        yield from sorted(seen)
        for ref in (*document["evidence"]["journals"], *document["evidence"]["documents"]):
            for is_needed, name in self._blobs(ref["ref"], ref["sha256"]):
                place = f"{PurePosixPath(ref['ref']).parent}/blobs/{name[:2]}/{name}"
                if (place, name) in seen:
                    continue
                if is_needed or not self.evidence.sight(place).problem:
                    seen.add((place, name))
                    yield place, name

    def _blobs(self, ref: str, digest: str) -> Iterator[tuple[bool, str]]:
        """The blobs that a journal or document refers to: bytes of an observation, or a log."""
        rest = b""
        for chunk in self._read_verified(ref, digest):
            text = rest + chunk
            for kind, name in KEPT.findall(text):
                yield kind == b"blob", name.decode()
            rest = text[-OVERLAP:]

    def _read_verified(self, ref: str, digest: str) -> Iterator[bytes]:
        """The pieces of a file. Raises IllegalState if its digest differs from the sign-off's."""
        made = sha256()
        try:
            for chunk in self.evidence.chunks(ref):
                made.update(chunk)
                yield chunk
        except FileNotFoundError as error:
            raise self._refusal(ref, "leads to nothing") from error
        except (Astray, OSError) as error:
            raise self._refusal(ref, str(error)) from error
        if made.hexdigest() != digest:
            raise self._refusal(ref, f"is {made.hexdigest()}, was {digest}")
