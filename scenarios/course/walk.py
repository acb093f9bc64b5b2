"""Lessons of the course typed into one shell, and what each line of them did."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pytest_spec11.oracles.proc import Exit
from pytest_spec11.stacks import Stack

LINES: Final = Path(__file__).with_name("lines.toml")
TOOLS: Final = ("curl", "jq")
LINE, CODE = "\x1e", "\x1f"  # what no line of the course prints
# Where the course keeps what it was answered; here it is a directory of the walk's own.
PLACE: Final = "/tmp/"  # noqa: S108  # a word that is replaced


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a lesson, and what it should print."""

    lesson: str
    run: str
    pause: bool = False
    prints: str | None = None
    keys: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: int = 1


@dataclass(frozen=True)
class Typed:
    """How a line ended, and all that it printed."""

    line: Line
    code: int
    printed: str = field(repr=False)

    @property
    def faults(self) -> list[str]:
        """What differs from what the course says of it."""
        said = f"{self.line.lesson}: {self.line.run.strip()}"
        return [f"{said}\n  {fault}; it printed: {self.printed}" for fault in self._faults()]

    def _faults(self) -> Iterator[str]:
        line, text = self.line, self.printed.strip()
        if self.code != 0:
            yield f"exit code {self.code}"
        if line.prints is not None and not re.fullmatch(line.prints, text):
            yield f"not {line.prints}"
        if missing := [key for key in line.keys if self._find_selection().get(key) is None]:
            yield f"without {', '.join(missing)}"
        if line.columns:
            yield from self._faults_of_table(text.splitlines())

    def _find_selection(self) -> Mapping[str, Any]:
        """The object that jq printed last, or the first of the list that it printed."""
        try:
            found = json.loads(self.printed)
        except ValueError:
            return {}
        first = found[0] if isinstance(found, list) and found else found
        return first if isinstance(first, dict) else {}

    def _faults_of_table(self, lines: Sequence[str]) -> Iterator[str]:
        heads = [head.strip() for head in lines[0].split("|")] if lines else []
        if heads != [*self.line.columns]:
            yield f"not the columns {', '.join(self.line.columns)}"
        foot = re.fullmatch(r"\((\d+) rows?\)", lines[-1] if lines else "")
        if foot is None or int(foot[1]) < self.line.rows:
            yield f"not {self.line.rows} rows at least"


def course() -> dict[str, list[Line]]:
    """Every line of the course by lesson, in its order."""
    read = tomllib.loads(LINES.read_text(encoding="utf-8"))
    return {lesson: [Line(lesson=lesson, **each) for each in all_] for lesson, all_ in read.items()}


def find_missing_tools() -> tuple[str, ...]:
    """The course's tools that this machine does not have."""
    return tuple(tool for tool in TOOLS if shutil.which(tool) is None)


def walk_lessons(
    stack: Stack, lessons: Sequence[str], place: Path, stand_ins: Sequence[str]
) -> tuple[Exit, list[Typed]]:
    """How a shell ended in which one typed these lessons at the stack, and each of their lines."""
    lines = [line for lesson in lessons for line in course()[lesson]]
    shim = stack.fill_process("api")
    script = _script(stack, lines, place, stand_ins)
    ended = stack.proc.run(["bash", "-c", script], env=shim.env, deadline_s=180)
    parts = ended.stdout.split(LINE)[1:]
    return ended, [_make_typed(line, part) for line, part in zip(lines, parts, strict=False)]


def _make_typed(line: Line, part: str) -> Typed:
    printed, _, code = part.partition(CODE)
    return Typed(line, int(code or "-1"), printed)


def _script(stack: Stack, lines: Sequence[Line], place: Path, stand_ins: Sequence[str]) -> str:
    """The lines, each between marks, after what makes the words of the course commands here."""
    program = shlex.join(stack.fill_process("api").command[:-1])
    (place / ".tmp").mkdir()
    return "\n".join(
        [
            "set -o pipefail",
            f"cd {shlex.quote(str(place))}",
            f"BASE={shlex.quote(stack.api.base_url)}",
            f'spec11-engine(){{ {program} "$@"; }}',
            *(_function(tool) for tool in stand_ins),
            *(_mark_line(line.run.strip(), place) for line in lines),
        ]
    )


def _function(tool: str) -> str:
    program = shlex.join([sys.executable, "-m", f"scenarios.course.{tool}"])
    return f'{tool}(){{ {program} "$@"; }}'


def _mark_line(run: str, place: Path) -> str:
    return f"printf '{LINE}'\n{run.replace(PLACE, f'{place}/')}\nprintf '{CODE}%s' $?"
