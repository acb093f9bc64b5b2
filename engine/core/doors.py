"""Rules of access: roles, keys, signed bodies, a page's origin (D36). Pure functions."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

SHORTEST_KEY: Final = 16
KEY: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # what may follow "Bearer "
BEARER: Final = re.compile(rf"bearer +({KEY.pattern}) *", re.IGNORECASE)
PROOF: Final = re.compile(r"t=([1-9][0-9]{0,11})((?:,v1=[0-9a-f]{64}){1,8})")
VALID_S: Final = 300
AT_PORT: Final = re.compile(r":[0-9]*$")
OWN_SITES: Final = frozenset({"same-origin", "none"})  # none: the user sends it, not a page


class Role(StrEnum):
    """The role of a client; a stranger gave no credentials."""

    STRANGER = "stranger"
    READER = "reader"
    OPERATOR = "operator"
    WEBHOOK = "webhook"


EVERYBODY: Final = frozenset(Role)
PROVEN: Final = EVERYBODY - {Role.STRANGER}
READERS: Final = frozenset({Role.READER, Role.OPERATOR})
OPERATORS: Final = frozenset({Role.OPERATOR})
SENDERS: Final = frozenset({Role.WEBHOOK, Role.OPERATOR})


def usual(method: str) -> frozenset[Role]:
    """The roles that an operation admits by default: readers may also use GET."""
    return READERS if method == "GET" else OPERATORS


def require_key(text: str) -> bytes:
    """``text`` as a key. Raises ValueError that says what is wrong and does not quote the key."""
    if not KEY.fullmatch(text):
        raise ValueError("not of letters, digits and ._~+/- alone")
    if len(text) < SHORTEST_KEY:
        raise ValueError(f"shorter than {SHORTEST_KEY} characters")
    return text.encode()


def bearer(headers: Sequence[str]) -> bytes | None:
    """The token of the one ``Authorization`` header; None for none, several or another scheme."""
    found = BEARER.fullmatch(headers[0]) if len(headers) == 1 else None
    return found[1].encode() if found else None


def role_of(token: bytes, keys: Mapping[Role, Iterable[bytes]]) -> Role | None:
    """The one role of ``token``; None for an unknown token and for a token with two roles.

    It compares every key, by digests, so that the time reveals nothing about a key.
    """
    offered = sha256(token).digest()
    found = [role for role, known in keys.items() if _among(offered, known)]
    return found[0] if len(found) == 1 else None


def _among(offered: bytes, known: Iterable[bytes]) -> bool:
    return sum(hmac.compare_digest(offered, sha256(key).digest()) for key in known) > 0


@lru_cache(maxsize=64)  # clients use few names of this machine, one at every request
def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine, without asking a name server."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in {"localhost", "localhost."}  # names may end with a dot


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from, by headers that a page in a browser cannot change.

    ``hosts``, ``sites``, ``origins`` are the headers ``Host``, ``Sec-Fetch-Site`` and ``Origin``.
    Other clients send only the first.
    """

    hosts: Sequence[str]
    sites: Sequence[str]
    origins: Sequence[str]

    @property
    def misnames(self) -> bool:
        """Whether it names this machine by a name that others control, as in DNS rebinding."""
        return not all(is_loopback(AT_PORT.sub("", host).strip("[]")) for host in self.hosts)

    @property
    def is_foreign(self) -> bool:
        """Whether a page of another origin sent it."""
        if self.sites:
            return not OWN_SITES.issuperset(self.sites)
        own = {host.lower() for host in self.hosts}
        return any(_read_authority(origin) not in own for origin in self.origins)


def _read_authority(origin: str) -> str | None:
    """Host and port of an origin; None for an invalid origin such as ``http://[``."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Proof:
    """A parsed signature header: its time, and the codes that it offers."""

    at_s: int
    codes: tuple[bytes, ...]

    def is_fresh(self, now_s: float) -> bool:
        """Whether it was made close enough to ``now_s``, before or after."""
        return abs(now_s - self.at_s) <= VALID_S

    def covers(self, body: bytes, secrets: Iterable[bytes]) -> bool:
        """Whether one of its codes is that of ``body`` under one of ``secrets``."""
        signed = b"%d.%b" % (self.at_s, body)
        right = [hmac.new(secret, signed, sha256).hexdigest().encode() for secret in secrets]
        return sum(hmac.compare_digest(code, each) for code in self.codes for each in right) > 0


def proof(headers: Sequence[str]) -> Proof | None:
    """The one ``x-spec11-signature`` header: ``t=<unix seconds>,v1=<hex>``; None if unreadable."""
    found = PROOF.fullmatch(headers[0]) if len(headers) == 1 else None
    if found is None:
        return None
    return Proof(int(found[1]), tuple(code.encode() for code in found[2].split(",v1=")[1:]))
