"""What a reader expects of a release: another commit, version or age is NO_GO (D42)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_HOUR_MS: Final = 3_600_000
_SHORTEST: Final = 7  # hex digits that name a commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Empty: nothing is expected. A commit may be cut to its first digits, seven at least."""

    commit: str = ""
    app_version: str = ""
    max_age_h: float | None = None  # of the verdict, now
    claims: tuple[str, ...] = ()  # that are proven

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> Expectation:
        """What a policy asks of a release. Raises TypeError."""
        release = policy.get("release", {})
        version, claims = release.get("app_version", ""), release.get("mandatory", [])
        if not isinstance(version, str) or not isinstance(claims, list):
            raise TypeError("release has no version or no list of claims")
        return cls(app_version=version, claims=tuple(map(str, claims)))

    def disagreements(self, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Code and text of each difference to a sign-off."""
        commit, version = said["binding"]["commit"], said["binding"]["appVersion"]
        if self.commit and not _names(self.commit, commit):
            yield "E-COMMIT", f"it is about commit {commit[:12] or 'none'}, not {self.commit[:12]}"
        if self.app_version and version != self.app_version:
            yield "E-APPVERSION", f"it is about version {version!r}, not {self.app_version!r}"
        for id_ in self.claims:
            if said["claims"].get(id_) != "PASS":
                yield "E-POLICY", f"{id_} is asked for and not proven"
        age_h = (time.time_ns() // 1_000_000 - said["judgedAt"]) / _HOUR_MS
        if self.max_age_h is not None and not 0 <= age_h <= self.max_age_h:
            yield "E-STALE", f"it was judged {age_h:.1f} hours ago, not at most {self.max_age_h:g}"


def _names(expected: str, commit: str) -> bool:
    return expected == commit or (len(expected) >= _SHORTEST and commit.startswith(expected))
