"""Says which files the imports of a Python program lead to. It runs in the target's interpreter.

The interpreter has the command's own switches and environment. Nothing of the target runs: the
probe only reads sources and asks where a module would come from.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import sys
import sysconfig
from hashlib import sha256
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


class Walk:
    """Follows the imports from file to file, as far as they lead to modules of these names."""

    def __init__(self, names: list[str]) -> None:
        self._names = set(names)
        self.found: dict[str, str] = {}

    def find(self, module: str) -> ModuleSpec | None:
        """Where a module would come from; no package is imported for it."""
        top, *rest = module.split(".")
        spec = importlib.util.find_spec(top)
        known = top
        for part in rest:
            if spec is None or spec.submodule_search_locations is None:
                return None
            known = f"{known}.{part}"
            spec = PathFinder.find_spec(known, list(spec.submodule_search_locations))
        return spec

    def follow(self, module: str) -> None:
        """Follow the module, its packages, and what they import."""
        parts = module.split(".")
        if parts[0] not in self._names:
            return
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name in self.found:
                continue
            spec = self.find(name)
            if spec is None:
                return
            self.found[name] = origin = spec.origin or ""
            if origin.endswith(".py"):
                package = name if spec.submodule_search_locations else name.rpartition(".")[0]
                with Path(origin).open("rb") as source:
                    self.read(source.read(), package)

    def read(self, source: bytes, package: str) -> None:
        """Follow each import of a source that belongs to ``package``."""
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                for each in node.names:
                    self.follow(each.name)
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) + 1 - node.level]
                base = ".".join([*(above if node.level else ()), *filter(None, [node.module])])
                if base:
                    self.follow(base)
                    for each in node.names:
                        self.follow(f"{base}.{each.name}")


def list_distributions() -> list[str]:
    """Name, version and digest of the record of each distribution that the program can import."""
    found = set()
    for each in metadata.distributions():
        record = sha256((each.read_text("RECORD") or "").encode()).hexdigest()[:16]
        found.add(f"{each.metadata['Name']} {each.version} {record}")
    return sorted(found)


def main(given: dict[str, object]) -> None:
    """Write what was found as JSON."""
    walk = Walk(list(given["names"]))  # type: ignore[call-overload]  # what the caller sends
    script, text = str(given["script"]), str(given["text"])
    if script:
        if not getattr(sys.flags, "safe_path", False):
            sys.path[0] = str(Path(script).resolve().parent)
        with Path(script).open("rb") as source:
            text = source.read().decode(errors="replace")
    if text:
        walk.read(text.encode(), "")
    for each in given["modules"]:  # type: ignore[attr-defined]  # as above
        walk.follow(each)
        walk.follow(f"{each}.__main__")
    answer = {
        "modules": walk.found,
        "distributions": list_distributions(),
        "standard": os.path.realpath(sysconfig.get_path("stdlib")),
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
