"""Which code the processes of a target run: files of the tree, or code from elsewhere (D44)."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pytest_spec11.target import PLACEHOLDER, Process, Target

_PYTHON: Final = re.compile(r"(python|pypy)[\d.]*")
_SHELLS: Final = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})
# These hand their work to a server: what runs there is not seen here.
_CLIENTS: Final = frozenset(
    {"docker", "docker-compose", "kubectl", "nerdctl", "podman", "ssh", "systemctl"}
)
_WITH_VALUE: Final = frozenset({"-W", "-X", "--check-hash-based-pycs"})
_SETTING: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_SEVERAL: Final = re.compile(r"[;&|<>`$()\n]")  # what makes a shell do more than start one program
_MODULE: Final = re.compile(r"[A-Za-z_][\w.]*(:[\w.()]+)?")
_SOURCES: Final = ("", "src/")
_PROBE: Final = Path(__file__).with_name("import_probe.py")
_DEADLINE_S: Final = 60.0


@dataclass
class Origin:
    """What one process runs. ``foreign`` says what comes from elsewhere."""

    name: str
    executable: str = ""
    sha256: str = ""
    is_of_tree: bool = False
    foreign: list[str] = field(default_factory=list)
    distributions: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As the record holds it."""
        return {
            "name": self.name,
            "executable": self.executable,
            "sha256": self.sha256,
            "isOfTree": self.is_of_tree,
            "distributions": self.distributions,
        }


@dataclass
class _Program:
    """A command of Python: the switches, and what it runs."""

    switches: list[str]
    script: str = ""
    text: str = ""
    modules: list[str] = field(default_factory=list)


def describe(target: Target, root: Path, bound: Collection[str]) -> dict[str, Any]:
    """What every process of the target runs; ``bound`` are the paths of the bound tree."""
    tree = _Tree(root.resolve(), frozenset(bound))
    everyone = (*target.services, *target.processes)
    origins = [tree.trace(each) for each in (*everyone, *_list_fork_servers(everyone))]
    answering = {owner for owner, _ in PLACEHOLDER.findall(target.base_url)}
    asked = answering or {each.name for each in target.processes}
    own = [each for each in origins if each.name in asked]
    foreign = {(each.name, what) for each in origins for what in each.foreign}
    return {
        "processes": [each.to_json() for each in origins],
        "foreign": [{"process": name, "what": what} for name, what in sorted(foreign)],
        "isOfTree": bool(own) and all(each.is_of_tree for each in own),
    }


def _list_fork_servers(everyone: Iterable[Process]) -> Iterator[Process]:
    """The servers that start the processes of private stacks, each as a process."""
    for each in everyone:
        if each.fork_server is not None:
            server = each.fork_server
            name = f"{each.name} (fork server)"
            yield Process(name=name, command=server.command, env=server.env)


class _Tree:
    """Tells code of the bound tree from other code."""

    def __init__(self, root: Path, bound: frozenset[str]) -> None:
        self._root = root
        self._bound = bound
        self._names = sorted(set(_list_module_names(bound)))
        self._environment = Path(sys.prefix).resolve()

    def trace(self, process: Process) -> Origin:
        """What the command runs."""
        found = Origin(process.name)
        words = _unwrap(process.command)
        program = shutil.which(words[0], path=process.env.get("PATH", os.defpath)) or words[0]
        place = Path(program)
        if place.is_file():
            found.executable = str(place.resolve())
            found.sha256 = sha256(place.read_bytes()).hexdigest()
            self._judge_file(found, place)
        at = next((n for n, word in enumerate(words) if _PYTHON.fullmatch(Path(word).name)), None)
        if _is_shell(place):
            found.foreign.append("cannot be traced: a shell starts what it likes")
        elif at is not None:
            self._trace_after(found, process, words, at)
        elif (shebang := _read_shebang(place)) and _PYTHON.fullmatch(Path(shebang[-1]).name):
            modules = list(_list_modules(words[1:]))
            parsed = _Program([], script=program, modules=modules)
            self._trace_python(found, process, shebang[-1], parsed)
        elif place.name not in _CLIENTS:
            for word in words[1:]:
                self._judge_file(found, Path(word))
        return found

    def _trace_after(self, found: Origin, process: Process, words: list[str], at: int) -> None:
        """A Python behind words such as ``env NAME=VALUE``, which change its environment."""
        before = [_SETTING.fullmatch(word) for word in words[:at]]
        given = {each[1]: each[2] for each in before if each is not None}
        if any(word.startswith("-") for word in words[:at]):
            found.foreign.append(f"cannot be traced: {words[0]} has options")
            return
        changed = replace(process, env={**process.env, **given})
        self._trace_python(found, changed, words[at], _parse_python(words[at + 1 :]))

    def _trace_python(
        self, found: Origin, process: Process, interpreter: str, program: _Program
    ) -> None:
        found.is_of_tree = found.is_of_tree or bool(program.text)  # it stands in the tree's hook
        if program.script:
            self._judge_script(found, Path(program.script))
        asked = {"script": program.script, "text": program.text, "modules": program.modules}
        told = _probe(process, interpreter, program.switches, {**asked, "names": self._names})
        if isinstance(told, str):
            found.foreign.append(f"cannot be traced: {told}")
            return
        found.distributions = told["distributions"]
        for module, origin in sorted(told["modules"].items()):
            if self._is_bound(Path(origin)):
                found.is_of_tree = True
            elif origin not in {"", "built-in", "frozen"} and not _is_standard(
                origin, told["standard"]
            ):
                found.foreign.append(f"module {module} comes from {origin}")

    def _judge_script(self, found: Origin, place: Path) -> None:
        if not place.exists():
            found.foreign.append(f"runs {place}, which is not there")
        elif self._is_bound(place):
            found.is_of_tree = True
        elif not place.resolve().is_relative_to(self._environment):
            found.foreign.append(f"runs {place}, which is no part of the tree")

    def _judge_file(self, found: Origin, place: Path) -> None:
        """A file of the command; one outside of the root is a part of the machine."""
        if not place.is_file() or not place.resolve().is_relative_to(self._root):
            return
        if self._is_bound(place):
            found.is_of_tree = True
        elif not place.absolute().is_relative_to(self._environment):
            found.foreign.append(f"runs {place}, which is no part of the tree")

    def _is_bound(self, place: Path) -> bool:
        real = place.resolve()
        if not str(place) or not real.is_relative_to(self._root):
            return False
        return real.relative_to(self._root).as_posix() in self._bound


def _list_module_names(bound: Iterable[str]) -> Iterator[str]:
    """The names of the packages and modules at the root of the tree, or in its ``src``."""
    for path in bound:
        for folder in _SOURCES:
            head, _, rest = path.removeprefix(folder).partition("/")
            if path.startswith(folder) and path.endswith(".py") and head not in {"src", "tests"}:
                yield head if rest else head.removesuffix(".py")


def _unwrap(command: Sequence[str]) -> list[str]:
    """The words of a command; those of a shell's text when a shell runs it."""
    words = list(command)
    if Path(words[0]).name in _SHELLS and "-c" in words[:-1]:
        text = words[words.index("-c") + 1]
        try:
            inner = shlex.split(text)
        except ValueError:
            return words
        inner = inner[1:] if inner[:1] == ["exec"] else inner
        return words if _SEVERAL.search(text) or not inner else inner
    return words


def _is_shell(place: Path) -> bool:
    """Whether the program is a shell, or a script that a shell runs."""
    first = _read_shebang(place)
    named = [place.name, *(Path(word).name for word in first)]
    return any(each in _SHELLS for each in named)


def _read_shebang(place: Path) -> list[str]:
    """The words of the first line of a script; empty for any other file."""
    if not place.is_file():
        return []
    with place.open("rb") as file:
        first = file.readline(500)
    return first[2:].decode(errors="replace").split() if first.startswith(b"#!") else []


def _parse_python(words: Sequence[str]) -> _Program:
    switches: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word in _WITH_VALUE and left:
            switches += [word, left.pop(0)]
        elif word.startswith(("-W", "-X")) or not word.endswith(("c", "m")) or word[:1] != "-":
            if word.startswith("-") and word != "-":
                switches.append(word)
                continue
            return _Program(switches, script=word, modules=list(_list_modules(left)))
        else:
            if word[1:-1]:
                switches.append(word[:-1])
            value = left.pop(0) if left else ""
            modules = list(_list_modules(left))
            if word.endswith("m"):
                return _Program(switches, modules=[value, *modules])
            return _Program(switches, text=value, modules=modules)
    return _Program(switches)


def _list_modules(words: Iterable[str]) -> Iterator[str]:
    """Arguments that may name a module, as servers take them: ``shop:app``."""
    for word in words:
        if _MODULE.fullmatch(word):
            yield word.partition(":")[0]


def _probe(
    process: Process, interpreter: str, switches: Sequence[str], asked: Mapping[str, Any]
) -> dict[str, Any] | str:
    """What the target's own interpreter says; or why it says nothing."""
    source = _PROBE.read_text(encoding="utf-8")
    command = [interpreter, *switches, "-c", source, json.dumps(asked)]
    environment = dict(process.env)
    try:
        done = subprocess.run(  # noqa: S603  # the target's own interpreter, no shell
            command,
            env=environment,
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_DEADLINE_S,
        )
        return _read_answer(done.stdout)
    except subprocess.CalledProcessError as error:
        said: bytes = error.stderr
        return said.decode(errors="replace").strip().rpartition("\n")[2][:200]
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}: {error}"[:200]


def _read_answer(text: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def _is_standard(origin: str, library: str) -> bool:
    """Whether a file is of the interpreter's own library, and of no installed distribution."""
    place = Path(origin).resolve()
    is_installed = {"site-packages", "dist-packages"} & {*place.parts}
    return place.is_relative_to(library) and not is_installed
