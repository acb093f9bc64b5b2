"""Foreign files: what spoke in a run and is no part of the tree that the run proves (D40)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class TargetCode:
    """What a run's target ran, and what it told of its build."""

    is_of_tree: bool
    foreign: tuple[tuple[str, str], ...]  # process, and what it ran from elsewhere
    asked: str
    told: str


@dataclass(frozen=True, slots=True)
class ForeignFiles:
    """What all processes of the runs recorded of their surroundings."""

    files: Mapping[str, str] = field(default_factory=dict)
    """``code`` or ``input``, by path; a file that is both is code."""
    told: frozenset[str] = frozenset()
    """The journals that say what was read."""
    plugins: frozenset[str] = frozenset()
    """Name and version of each distribution that brought a plugin."""
    deaf: Mapping[str, str] = field(default_factory=dict)
    """Why a journal cannot say it, by its name."""
    targets: Mapping[str, TargetCode] = field(default_factory=dict)
    """What the target ran, by the journal that says it."""

    def merge(self, other: ForeignFiles) -> ForeignFiles:
        """What both say."""
        files = dict(self.files)
        for path, kind in other.files.items():
            files[path] = "code" if "code" in {kind, files.get(path)} else kind
        return ForeignFiles(
            files=files,
            told=self.told | other.told,
            plugins=self.plugins | other.plugins,
            deaf={**self.deaf, **other.deaf},
            targets={**self.targets, **other.targets},
        )


def read_surroundings(journal: str, data: Mapping[str, Any]) -> ForeignFiles:
    """What one record of the kind ``surroundings`` says."""
    files: dict[str, str] = {}
    for each in data["foreign"]:
        known = {each["kind"], files.get(each["path"])}
        files[each["path"]] = "code" if "code" in known else "input"
    why = ", ".join(data["faults"]) or "nothing was heard"
    return ForeignFiles(
        files=files,
        told=frozenset({journal}),
        plugins=frozenset(filter(None, (each["distribution"] for each in data["plugins"]))),
        deaf={} if data["heard"] else {journal: why},
        targets={journal: read_target(data["target"])} if data["target"] else {},
    )


def read_target(data: Mapping[str, Any]) -> TargetCode:
    """The part ``target`` of a record."""
    foreign = tuple((each["process"], each["what"]) for each in data["foreign"])
    return TargetCode(data["isOfTree"], foreign, data["asked"], data["told"])


def merge_all(found: Iterable[ForeignFiles]) -> ForeignFiles:
    """What all of them say."""
    known = ForeignFiles()
    for each in found:
        known = known.merge(each)
    return known
