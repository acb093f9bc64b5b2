"""The identity of one run, shared by all its pytest processes."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

MAIN: Final = "main"
CONTROLLER: Final = "controller"
FIRST_WORKER: Final = "gw0"
_KEY: Final = "spec11_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One invocation of pytest. Ids sort by time; ``nonce`` is unique to the run.

    ``path`` is its bundle. ``role`` names this process: ``main`` without xdist, else
    ``controller`` or the worker's own name.
    """

    id: str
    nonce: str
    path: Path
    role: str

    @property
    def short(self) -> str:
        """Eight characters, enough to tell apart runs of the same time."""
        return self.nonce[:8]

    @property
    def borrows(self) -> bool:
        """Whether another process owns the target."""
        return self.role not in {MAIN, CONTROLLER}


def run_of(config: pytest.Config, directory: str) -> Run:
    """The run of this process: a new one, or in an xdist worker that of the controller."""
    given = getattr(config, "workerinput", None)
    if given is not None and _KEY in given:
        to_worker_input = json.loads(given[_KEY])
        return Run(
            **{**to_worker_input, "path": Path(to_worker_input["path"])}, role=given["workerid"]
        )
    distributed = config.getoption("dist", "no") != "no" and bool(config.getoption("tx", None))
    return _new(config.rootpath / directory, CONTROLLER if distributed else MAIN)


def to_worker_input(run: Run) -> dict[str, str]:
    """The strings that make an xdist worker part of this run, for its ``workerinput``."""
    facts = {"id": run.id, "nonce": run.nonce, "path": str(run.path)}
    return {_KEY: json.dumps(facts)}


def _new(directory: Path, role: str) -> Run:
    nonce = secrets.token_hex(16)
    name = f"{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}-{nonce[:8]}"
    return Run(id=name, nonce=nonce, path=directory / name, role=role)
