"""Signatures: checks the DSSE envelope of an in-toto statement about the sign-off."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from pytest_spec11.verify.findings import Findings
from pytest_spec11.verify.proofs import table

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PAYLOAD: Final = "application/vnd.in-toto+json"
_MOST: Final = 100
NAME: Final = "signoff.dsse.json"


def signers(content: bytes, keys: Collection[str], findings: Findings) -> tuple[set[str], bytes]:
    """Those of ``keys`` that signed, and their payload."""
    try:
        envelope = json.loads(content)
        kind, payload = (
            envelope["payloadType"],
            base64.b64decode(envelope["payload"], validate=True),
        )
        said = [
            base64.b64decode(each["sig"], validate=True) for each in envelope["signatures"][:_MOST]
        ]
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        findings.add("E-SIGNATURE", NAME, f"no envelope: {type(error).__name__}")
        return set(), b""
    if kind != PAYLOAD:
        findings.add("E-SIGNATURE", NAME, f"its payload is {str(kind)[:60]}")
        return set(), b""
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    return {key for key in keys if any(_fits(key, each, encoded) for each in said)}, payload


def _fits(key: str, signature: bytes, content: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # where nobody signed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415  # as above
        Ed25519PublicKey,
    )

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def disagreements(payload: bytes, tree: str, digests: Mapping[str, str], result: str) -> list[str]:
    """The differences between a statement and the bundle; empty if they agree."""
    try:
        statement = table(json.loads(payload))
    except (ValueError, RecursionError):
        return ["no statement"]
    predicate = table(statement.get("predicate"))
    found = []
    if statement.get("_type") != STATEMENT:
        found.append("no in-toto statement")
    subjects = statement.get("subject")
    if not isinstance(subjects, list) or not any(
        tree in table(table(each).get("digest")).values() for each in subjects
    ):
        found.append("it is about another tree")
    if predicate.get("result") != result:
        found.append("it gives another verdict")
    named = {
        str(table(each).get("name")): table(table(each).get("digest")).get("sha256")
        for each in _as_list(predicate.get("configuration"))
    }
    found += [
        f"it names another {name}" for name, said in digests.items() if named.get(name) != said
    ]
    return found


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
