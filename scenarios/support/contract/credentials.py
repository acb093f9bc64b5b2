"""Credentials of a stack with tokens and a secret."""

from __future__ import annotations

import hmac
import time
from hashlib import sha256

TOKENS = {
    "SPEC11_API_TOKEN": "operator-token-of-the-suite",
    "SPEC11_READER_TOKEN": "reader-token-of-the-suite",
    "SPEC11_WEBHOOK_TOKEN": "webhook-token-of-the-suite",
}
SECRET = "secret-of-the-suites-sender"  # noqa: S105  # of private stacks


def bearer(token: str) -> dict[str, str]:
    """The header that offers ``token``."""
    return {"authorization": f"Bearer {token}"}


OPERATOR, READER, WEBHOOK = (bearer(token) for token in TOKENS.values())


def signature(body: bytes, *, age_s: float = 0, secret: str = SECRET) -> dict[str, str]:
    """The header that signed ``body`` ``age_s`` seconds ago, only by the contract's formula."""
    moment = int(time.time() - age_s)
    code = hmac.new(secret.encode(), f"{moment}.".encode() + body, sha256).hexdigest()
    return {"x-spec11-signature": f"t={moment},v1={code}"}
