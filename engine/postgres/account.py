"""Whose process the server is: ours, or an unprivileged account that root lends its files to."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from engine.errors import Misconfigured

LENT_TO: Final = ("postgres", "nobody")
PRIVATE: Final = 0o700  # a server that nobody reaches cannot be worn out before anybody logs in
ENTERABLE: Final = 0o001


@dataclass(frozen=True, slots=True)
class Account:
    """The account that the server runs as; ``lent`` when that is not the one we are."""

    name: str
    uid: int
    gid: int
    lent: bool

    @classmethod
    def of_server(cls) -> Self:
        """Our own account; for root, which Postgres refuses, one that exists already.

        Raises Misconfigured when there is none.
        """
        names = LENT_TO if os.geteuid() == 0 else (own_name(),)
        for name in names:
            with suppress(KeyError):
                entry = pwd.getpwnam(name)
                return cls(name, entry.pw_uid, entry.pw_gid, lent=entry.pw_uid != os.geteuid())
        raise Misconfigured(f"root cannot run Postgres and has no account {' or '.join(names)}")

    @property
    def credentials(self) -> dict[str, Any]:
        """Arguments with which subprocess starts a program as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.lent else {}

    def lend(self, directory: Path) -> None:
        """Make ``directory`` this account's, created when missing."""
        directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        directory.chmod(PRIVATE)
        self.give((directory,))

    def give(self, paths: Iterable[Path]) -> None:
        """Make ``paths`` this account's, links themselves and not what they point to."""
        if self.lent:
            for path in paths:
                os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def require_reach(self, directory: Path) -> None:
        """This account can get to ``directory``. Raises Misconfigured."""
        if self.lent and not enterable(directory.resolve().parents):
            raise Misconfigured(
                f"{directory} is closed to account {self.name}, as whom root runs Postgres: "
                "choose a directory that others may enter, for example below /var/lib"
            )


def own_name() -> str:
    """The name of the account that we are. Raises Misconfigured for a number without a name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        uid = os.geteuid()
        raise Misconfigured(f"user id {uid} has no name, which Postgres needs to start") from None


def enterable(directories: Iterable[Path]) -> bool:
    """Whether every account may pass through those of ``directories`` that exist."""
    return all(d.stat().st_mode & ENTERABLE for d in directories if d.exists())
