"""``spec11 lane``: the project's own commands on record; what a lane stands on runs before it."""

from __future__ import annotations

import argparse
import secrets
import time
from functools import partial
from pathlib import Path
from typing import Any

from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import binding, lanes
from pytest_spec11.evidence.lanes import Release
from pytest_spec11.options import SCOPES
from pytest_spec11.requirements import policy, tree_catalogue


def add(commands: Any) -> None:
    """Declare the command and its options."""
    made = commands.add_parser("lane", help="run a lane and record it", allow_abbrev=False)
    made.add_argument("lane", nargs="*", metavar="NAME", help="lanes to run; none given: list them")
    made.add_argument("--release", help="continue this release run; default: a new one")
    made.add_argument("--dir", type=Path, default=Path(".spec11"), help="directory of bundles")
    made.add_argument("--scope", default="signoff", choices=SCOPES, help="scope of the evidence")
    made.add_argument("--root", type=Path, default=Path(), help="the work tree")
    made.add_argument("--app-version", default="", help="version to release; default: the policy's")
    made.add_argument(
        "--catalogue", type=Path, help="file of claims; default: the tree's, else the package's"
    )
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 when every lane is green, 1 when one is red."""
    root: Path = arguments.root.resolve()
    wished = policy.load(root)
    known = lanes.read_lanes(wished)
    if not arguments.lane:
        _list(known)
        return 0
    wanted = [each for name in arguments.lane for each in lanes.chain(known, name)]
    release = _release(arguments, root, wished.choose_version(arguments.app_version))
    for lane in dict.fromkeys(wanted):
        if lane.name not in arguments.lane and release.green(lane):
            continue  # what it stands on was proven in this release run, of this very tree
        if release.run(lane):
            print(f"{lane.name} is red; release {release.id}: {release.bundle(lane)}")
            return 1
        print(f"{lane.name} is green; release {release.id}: {release.bundle(lane)}")
    return 0


def _list(known: dict[str, lanes.Lane]) -> None:
    for lane in known.values():
        after = f"after {lane.after}, " if lane.after else ""
        names = ", ".join(step.name for step in lane.steps)
        print(f"{lane.name:<10} {after}within {lane.deadline_s:g} s: {names}")


def _release(arguments: argparse.Namespace, root: Path, app_version: str) -> Release:
    fresh = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
    id_ = arguments.release or fresh
    if not id_.replace("-", "").isalnum():
        raise BadInput(f"--release {id_}: letters, digits and - alone")
    digest = tree_catalogue.load(root, arguments.catalogue).digest
    measure = partial(binding.measure, root, app_version, arguments.scope, digest)
    folder = (arguments.dir / f"release-{id_}").resolve()
    return Release(id_, folder, root, measure, partial(print, flush=True))
