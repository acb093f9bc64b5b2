"""Random edits of a bundle, the same in every run: how many of them a verification overlooks."""

from __future__ import annotations

import random  # noqa: TID251  # seeded
from pathlib import Path

from pytest_spec11.verify import verify

Files = dict[str, bytes]


def edit_files(files: Files, dice: random.Random) -> tuple[str, Files]:
    """One edit, removal, reorder, swap, replay or loss, and the files after it."""
    name = dice.choice([each for each in files if each.endswith(("ndjson", "json"))])
    parts = files[name].splitlines(keepends=True)
    one, other = dice.randrange(len(parts)), dice.randrange(len(parts))
    byte, place = dice.randrange(1, 256), dice.randrange(len(parts[one]))
    kind = dice.choice(["edit", "remove", "reorder", "swap", "replay", "lose"])
    if kind == "edit":
        changed = bytearray(parts[one])
        changed[place] ^= byte
        parts[one] = bytes(changed)
    elif kind == "remove":
        del parts[one]
    elif kind == "reorder":
        parts[one], parts[other] = parts[other], parts[one]
    elif kind == "replay":
        parts.insert(other, parts[one])
    elif kind == "swap":
        second = dice.choice(list(files))
        return kind, {**files, name: files[second], second: files[name]}
    else:
        return kind, {each: content for each, content in files.items() if each != name}
    return kind, {**files, name: b"".join(parts)}


def survivors(root: Path, edits: int, seed: int = 11) -> list[str]:
    """Those of so many edits of the bundle at ``root`` that are GO; it is left as it was."""
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }
    dice, found, tried = random.Random(seed), [], 0  # noqa: S311  # no secret depends on it
    while tried < edits:
        kind, changed = edit_files(files, dice)
        touched = {name for name in files if files[name] != changed.get(name)}
        if not touched:
            continue
        tried += 1
        for name in touched:
            _put(root / name, changed.get(name))
        if verify(root).verdict == "GO":
            found.append(f"{tried}: {kind} of {', '.join(sorted(touched))}")
        for name in touched:
            _put(root / name, files[name])
    return found


def _put(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
