"""The question that a verdict answers, and the options of a command line for it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_spec11.options import SCOPES

_SHARDS: Final = "shards that must have run, in addition to the policy's"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The question whether these bundles allow the tree at ``root`` a release at ``scope``."""

    bundles: Sequence[Path]
    root: Path
    scope: str
    app_version: str = ""
    catalogue: Path | None = None
    shards: frozenset[str] = frozenset()
    is_alone: bool = False  # whether other runs of the tree are left out of it

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Question:
        """The question that the options of ``add_options`` ask."""
        return cls(
            bundles=arguments.bundles,
            root=arguments.root,
            scope=arguments.scope,
            app_version=arguments.app_version,
            catalogue=arguments.catalogue,
            shards=arguments.shards,
        )


def add_options(made: argparse.ArgumentParser) -> None:
    """Declare the options of a verdict: which bundles, for which release."""
    made.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="a run's directory")
    made.add_argument("--scope", default="signoff", choices=SCOPES, help="scope to sign off")
    made.add_argument("--root", type=Path, default=Path(), help="the work tree to release")
    made.add_argument("--app-version", default="", help="version to release; default: the policy's")
    made.add_argument(
        "--catalogue", type=Path, help="file of claims; default: the tree's, else the package's"
    )
    made.add_argument("--shards", type=_names, default=frozenset(), metavar="A,B,C", help=_SHARDS)


def _names(text: str) -> frozenset[str]:
    return frozenset(filter(None, (each.strip() for each in text.split(","))))
