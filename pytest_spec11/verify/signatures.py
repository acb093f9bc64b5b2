"""Signatures: checks the DSSE envelope of an in-toto statement about the sign-off."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from pytest_spec11.verify.findings import Findings
from pytest_spec11.verify.hashing import parse_once
from pytest_spec11.verify.proofs import table

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://in-toto.io/attestation/test-result/v0.1"
PAYLOAD: Final = "application/vnd.in-toto+json"
_MOST: Final = 100
_PARTS: Final = {"payload", "payloadType", "signatures"}
NAME: Final = "signoff.dsse.json"


def signers(content: bytes, keys: Collection[str], findings: Findings) -> tuple[set[str], bytes]:
    """Those of ``keys`` that signed, and their payload."""
    try:
        envelope = parse_once(content.decode())
        _require_shape(envelope)
        kind = envelope["payloadType"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        said = [base64.b64decode(each["sig"], validate=True) for each in envelope["signatures"]]
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        findings.add("E-SIGNATURE", NAME, f"no envelope: {type(error).__name__}")
        return set(), b""
    if kind != PAYLOAD:
        findings.add("E-SIGNATURE", NAME, f"its payload is {str(kind)[:60]}")
        return set(), b""
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    return {key for key in keys if any(_fits(key, each, encoded) for each in said)}, payload


def _require_shape(envelope: Any) -> None:
    """Raises ValueError for an envelope with other, fewer or more parts than it may have."""
    if not isinstance(envelope, dict) or envelope.keys() != _PARTS:
        raise ValueError("other parts")
    signatures = envelope["signatures"]
    if not isinstance(signatures, list) or len(signatures) > _MOST:
        raise ValueError("no list of signatures")
    for each in signatures:
        if not isinstance(each, dict) or each.keys() != {"keyid", "sig"}:
            raise ValueError("no signature")


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


def disagreements(
    payload: bytes,
    tree: str,
    digests: Mapping[str, str],
    result: str,
    tests: Mapping[str, Sequence[str]],
) -> list[str]:
    """The differences between a statement and the bundle; empty if they agree."""
    try:
        statement = table(parse_once(payload.decode()))
    except (ValueError, RecursionError):
        return ["no statement"]
    predicate = table(statement.get("predicate"))
    found = []
    if statement.get("_type") != STATEMENT:
        found.append("no in-toto statement")
    if statement.get("predicateType") != PREDICATE:
        found.append("it is no result of tests")
    found += [
        f"it has other {name}" for name, ids in tests.items() if predicate.get(name) != [*ids]
    ]
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
