"""``spec11 sign``: one person's signature under a sign-off; the policy says how many it takes."""

from __future__ import annotations

import argparse
import json
import zipfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import archive, attestation, documents


def add(commands: Any) -> None:
    """Declare the command and its options."""
    made = commands.add_parser("sign", help="sign a sign-off", allow_abbrev=False)
    made.add_argument("file", nargs="?", type=Path, help="signoff.json, or a file from export")
    key = made.add_mutually_exclusive_group(required=True)
    key.add_argument("--key", type=Path, help="sign with this Ed25519 key, a PEM file")
    key.add_argument("--new-key", type=Path, help="write a new key here, print its public half")
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 when the sign-off is signed or the key is written."""
    if arguments.new_key:
        print(attestation.public(attestation.new_key(arguments.new_key)))
        return 0
    if arguments.file is None:
        raise BadInput("sign: name the file to sign")
    key = attestation.load_key(arguments.key)
    if zipfile.is_zipfile(arguments.file):
        content = archive.member(arguments.file, archive.SIGNOFF)
        before = archive.member(arguments.file, archive.ENVELOPE)
        archive.put(arguments.file, archive.ENVELOPE, _sign_content(content or b"", before, key))
    else:
        beside = arguments.file.with_name(archive.ENVELOPE)
        before = beside.read_bytes() if beside.is_file() else None
        documents.replace(beside, _sign_content(documents.content(arguments.file), before, key))
    print(f"signed by {attestation.public(key)}")
    return 0


def _sign_content(content: bytes, before: bytes | None, key: Ed25519PrivateKey) -> bytes:
    _, damage = documents.parse_document(content, "signoff")
    if damage:
        raise BadInput(f"signoff.json: {damage}")
    kept = attestation.open_envelope(before) if before is not None else None
    return attestation.sign_payload(attestation.statement(json.loads(content), content), kept, key)
