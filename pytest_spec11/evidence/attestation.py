"""The attestation of a sign-off: an in-toto statement in a DSSE envelope, signed with Ed25519.

Any verifier of DSSE can read it. The signature covers bytes, and readers parse the same bytes, so
nobody signs one thing and reads another.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pytest_spec11.canon import canonical
from pytest_spec11.errors import BadInput

PAYLOAD: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://in-toto.io/attestation/test-result/v0.1"
_RAW: Final = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def statement(signoff: Mapping[str, Any], content: bytes) -> bytes:
    """The in-toto statement: whether the tree passed, by which tool, on which evidence.

    ``content`` are the bytes of ``signoff``.
    """
    here, claims = signoff["binding"], signoff["claims"]
    digests = {
        "signoff.json": sha256(content).hexdigest(),
        "evidence": signoff["evidence"]["root"],
        "catalogue": here["catalogue"],
        "policy": here["policy"],
    }
    needed = [each for each in claims if each not in signoff["notClaimed"]]
    said = {
        "_type": STATEMENT,
        "subject": [{"name": "tree", "digest": _subject(here)}],
        "predicateType": PREDICATE,
        "predicate": {
            "result": "PASSED" if signoff["verdict"] == "GO" else "FAILED",
            "configuration": [
                {"name": name, "digest": {"sha256": each}} for name, each in digests.items()
            ],
            "passedTests": [each for each in needed if claims[each] == "PASS"],
            "failedTests": [each for each in needed if claims[each] != "PASS"],
        },
    }
    return canonical(said)


def _subject(here: Mapping[str, Any]) -> dict[str, str]:
    """The digests of the tree, by algorithm; outside of git there is no git object."""
    if not here["commit"]:
        return {"sha256": here["tree"]}
    return {"gitTree": here["tree"], "gitCommit": here["commit"]}


def sign_payload(
    payload: bytes, envelope: Mapping[str, Any] | None, key: Ed25519PrivateKey
) -> bytes:
    """The envelope of ``payload`` with one more signature; it replaces an older one of that key.

    Raises BadInput when ``envelope`` has another payload.
    """
    encoded = base64.b64encode(payload).decode()
    if envelope is not None and envelope.get("payload") != encoded:
        raise BadInput("the existing signatures belong to another sign-off")
    head = f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} {len(payload)} ".encode()
    made = {"keyid": public(key), "sig": base64.b64encode(key.sign(head + payload)).decode()}
    others = [each for each in (envelope or {}).get("signatures", []) if _id(each) != made["keyid"]]
    return (
        canonical({"payload": encoded, "payloadType": PAYLOAD, "signatures": [*others, made]})
        + b"\n"
    )


def _id(signature: Any) -> object:
    return signature.get("keyid") if isinstance(signature, dict) else None


def open_envelope(content: bytes) -> Mapping[str, Any]:
    """The envelope in ``content``. Raises BadInput when there is none."""
    try:
        found = json.loads(content)
        if not isinstance(found, dict) or not isinstance(found["signatures"], list):
            raise BadInput("no envelope")
    except (ValueError, KeyError, RecursionError) as error:
        raise BadInput(f"no envelope: {type(error).__name__}") from error
    return found


def public(key: Ed25519PrivateKey) -> str:
    """The public half: 64 hex digits. A policy names the key by it, and it is the key's id."""
    return key.public_key().public_bytes(*_RAW).hex()


def new_key(path: Path) -> Ed25519PrivateKey:
    """Create a key and write it to a new file that only its owner may read."""
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError as error:
        raise BadInput(f"key {path}: {error}") from error
    return key


def load_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file. Raises BadInput when it holds no Ed25519 key."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadInput(f"key {path}: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"key {path}: not an Ed25519 key")
    return key
