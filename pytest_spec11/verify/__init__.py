"""The verifier: checks offline, from its bytes alone, that a bundle is what was signed off.

It shares no module with the code that wrote or judged the bundle, because nobody would see a shared
error. It may import only ``errors``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pytest_spec11.errors import BadInput
from pytest_spec11.verify import store
from pytest_spec11.verify.check import Check, Report

__all__ = ["Report", "verify"]


def verify(path: Path, trusted: Path | None = None) -> Report:
    """The report on the bundle at ``path``; ``trusted`` is a policy whose keys must have signed.

    Without it the keys are those of the policy in the bundle. Raises BadInput if ``path`` is not a
    bundle.
    """
    keys = _load_keys(trusted)
    with store.open_store(path) as files:
        return Check(files, path.resolve().name, keys).report()


def _load_keys(path: Path | None) -> tuple[int, list[str]] | None:
    """Threshold and keys of a policy that the caller trusts."""
    if path is None:
        return None
    try:
        signing = tomllib.loads(path.read_text(encoding="utf-8"))["signing"]
        threshold, keys = int(signing["threshold"]), [str(each) for each in signing["keys"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: names no keys: {type(error).__name__}: {error}") from error
    if not 1 <= threshold <= len({*keys}):
        raise BadInput(f"{path}: needs a threshold of at least 1 and that many different keys")
    return threshold, keys
