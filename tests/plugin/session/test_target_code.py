"""What was tested is what is released: a target that ran other code is NO_GO (E-TARGET)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.plugin.team import CONFTEST, PROOF, SYSTEM, Team

SHOP = SYSTEM.replace("signal.signal(", "def main(): pass\nsignal.signal(", 1)
LAUNCHER = "import importlib.util, shop.web\n"
COMMAND = '(*PYTHON, str(HERE / "system.py"))'
MODULE = '(sys.executable, "-m", "shop.web")'
TELLS = SYSTEM.replace('"path": self.path', '"build": {"version": os.environ["BUILD"]}')
IDENTITY = 'Identity(route="/healthz", key="build.version")'


@dataclass(frozen=True)
class Attempt:
    """How the target starts, the files of the checkout, and whether this is what is released."""

    command: str
    env: str = "{}"
    committed: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    identity: str = "None"
    names: str = ""  # what the reason says; empty: the target is what is released


OF_TREE = {"shop/__init__.py": "", "shop/web.py": SHOP}
AWAY = '{"PYTHONPATH": str(HERE.parent / "elsewhere")}'
HERE = '{"PYTHONPATH": str(HERE)}'
ATTEMPTS = {
    "a script of the tree": Attempt(COMMAND),
    "a package of the tree": Attempt(MODULE, HERE, OF_TREE),
    "a package of the tree through a script": Attempt(
        '(sys.executable, str(HERE / "run.py"))', "{}", OF_TREE | {"run.py": "import shop.web\n"}
    ),
    "code that stands in the hook": Attempt(
        '(*PYTHON, "-c", "import runpy; runpy.run_path(' + "'system.py'" + ')")'
    ),
    "an older package": Attempt(
        MODULE, AWAY, {"shop/a.py": ""}, elsewhere=OF_TREE, names="module shop.web comes from "
    ),
    "an older package through a script of the tree": Attempt(
        '(sys.executable, "-P", str(HERE / "run.py"))', AWAY,
        OF_TREE | {"run.py": "import shop.web\n"}, elsewhere=OF_TREE,
        names="module shop comes from ",
    ),
    "an older package through code of the hook": Attempt(
        '(sys.executable, "-P", "-c", "from shop import web")', AWAY, OF_TREE, elsewhere=OF_TREE,
        names="module shop comes from ",
    ),
    "an older package behind a shell": Attempt(
        '("/bin/sh", "-c", f"exec {sys.executable} -P -m shop.web")', AWAY, OF_TREE,
        elsewhere=OF_TREE, names="module shop comes from ",
    ),
    "an older package that a helper of the tree imports": Attempt(
        '(sys.executable, "-P", str(HERE / "run.py"))', AWAY,
        OF_TREE | {"run.py": "def f():\n    pass\nif f:\n    from shop import web\n"},
        elsewhere=OF_TREE, names="module shop comes from ",
    ),
    "an older package by a setting of the command": Attempt(
        '("/usr/bin/env", f"PYTHONPATH={HERE.parent}/elsewhere", sys.executable, "-m", "shop.web")',
        HERE, {"shop/a.py": ""}, elsewhere=OF_TREE, names="module shop.web comes from ",
    ),
    "an older package by a setting in a shell": Attempt(
        '("/bin/sh", "-c", f"PYTHONPATH={HERE.parent}/elsewhere {sys.executable} -m shop.web")',
        HERE, {"shop/a.py": ""}, elsewhere=OF_TREE, names="module shop.web comes from ",
    ),
    "another folder in a shell": Attempt(
        '("/bin/sh", "-c", f"cd {HERE.parent}/elsewhere; {sys.executable} -m shop.web")', "{}",
        OF_TREE, elsewhere=OF_TREE, names="a shell starts what it likes",
    ),
    "another folder by an option": Attempt(
        '("/usr/bin/env", "-C", f"{HERE.parent}/elsewhere", sys.executable, "-m", "shop.web")',
        "{}", OF_TREE, elsewhere=OF_TREE, names="/usr/bin/env has options",
    ),
    "a shell script of the tree": Attempt(
        '("/bin/sh", str(HERE / "start.sh"))', '{"PYTHON": sys.executable}',
        {"start.sh": "cd ../elsewhere\nexec $PYTHON -m shop.web\n"},
        elsewhere=OF_TREE, names="a shell starts what it likes",
    ),
    "a shell script of the tree, and the version is told": Attempt(
        '("/bin/sh", str(HERE / "start.sh"))', '{"PYTHON": sys.executable, "BUILD": "v7"}',
        {"start.sh": "exec $PYTHON -S -E tells.py\n", "tells.py": TELLS}, identity=IDENTITY,
    ),
    "one command in a shell": Attempt(
        '("/bin/sh", "-c", f"exec {sys.executable} -m shop.web")', HERE, OF_TREE
    ),
    "a build folder that git ignores": Attempt(
        MODULE, '{"PYTHONPATH": str(HERE / "build")}', {"shop/a.py": ""},
        {f"build/{name}": text for name, text in OF_TREE.items()}, names="/build/shop/web.py",
    ),
    "a script that git ignores": Attempt(
        '(*PYTHON, str(HERE / "build/system.py"))', ignored={"build/system.py": SYSTEM},
        names="build/system.py, which is no part of the tree",
    ),
    "a script from elsewhere": Attempt(
        '(*PYTHON, str(HERE.parent / "elsewhere/system.py"))', elsewhere={"system.py": SYSTEM},
        names="elsewhere/system.py, which is no part of the tree",
    ),
    "a program of which nobody knows the build": Attempt(
        '("/usr/bin/env", "-S", sys.executable + " -S -E " + str(HERE / "system.py"))',
        names="no code of the tree answered",
    ),
    "the same program, that tells the version": Attempt(
        '("/usr/bin/env", "-S", sys.executable + " -S -E " + str(HERE / "tells.py"))',
        '{"BUILD": "v7"}', {"tells.py": TELLS}, identity=IDENTITY,
    ),
    "a build that tells another version": Attempt(
        '(*PYTHON, str(HERE / "tells.py"))', '{"BUILD": "v6"}', {"tells.py": TELLS},
        identity=IDENTITY, names="/healthz#build.version told 'v6'",
    ),
    "a build that tells nothing": Attempt(
        COMMAND, identity=IDENTITY, names="its answer has no build.version",
    ),
    "a command that tells the commit": Attempt(
        COMMAND, identity='Identity(command=("git", "rev-parse", "HEAD"))'
    ),
    "a command that tells an older version": Attempt(
        COMMAND, identity='Identity(command=("/bin/echo", "v6"))', names="/bin/echo v6 told 'v6'"
    ),
    "a command that fails": Attempt(
        COMMAND, identity='Identity(command=("/bin/false",))', names='told "CalledProcessError'
    ),
}  # fmt: skip


def prepare(team: Callable[..., Team], attempt: Attempt) -> Team:
    """A checkout whose target starts this way."""
    conftest = CONFTEST.replace(COMMAND, attempt.command)
    conftest = conftest.replace('env={"MODE": "plain"}', f"env={attempt.env}")
    conftest = conftest.replace("import Process,", "import Identity, Process,")
    conftest = conftest.replace(
        'app_version="v7",', f'app_version="v7", identity={attempt.identity},'
    )
    ours = team(PROOF)
    ours.write("conftest.py", conftest)
    ours.write(".gitignore", ".spec11/\n__pycache__/\nbuild/\n")
    away = ours.path.parent / "elsewhere"
    for folder, files in (
        (ours.path, {**attempt.committed, **attempt.ignored}), (away, attempt.elsewhere)
    ):  # fmt: skip
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    ours.commit()
    return ours


def find_texts(ours: Team) -> list[str]:
    """What the reasons against the target say."""
    return [each["text"] for each in ours.verdict()["reasons"] if each["code"] == "E-TARGET"]


@pytest.mark.parametrize("name", ATTEMPTS)
def test_only_what_is_released_was_tested(team: Callable[..., Team], name: str) -> None:
    attempt = ATTEMPTS[name]
    ours = prepare(team, attempt)

    found = ours.run("--spec11-scope", "signoff")

    assert found.status == 0, found.out
    said = find_texts(ours)
    assert bool(said) == bool(attempt.names)
    assert any(attempt.names in each for each in said) or not said


def test_the_record_names_executables_and_distributions(team: Callable[..., Team]) -> None:
    ours = prepare(team, ATTEMPTS["a package of the tree"])
    assert ours.run("-n", "2", "--spec11-scope", "signoff").status == 0
    said = [each["target"] for each in ours.records("surroundings")]
    (told,) = [each for each in said if each]  # the controller alone knows
    (api,) = told["processes"]
    assert api["executable"] == str(Path(sys.executable).resolve())
    assert any(each.startswith("pytest ") for each in api["distributions"])
    assert find_texts(ours) == []


@contextmanager
def serve(folder: Path, version: str) -> Iterator[str]:
    """The base URL of a system that somebody else runs."""
    folder.mkdir(exist_ok=True)
    (folder / "system.py").write_text(TELLS)
    command = (sys.executable, "-S", "-E", str(folder / "system.py"))
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        command, stdout=subprocess.PIPE, text=True, env={"BUILD": version}
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("told", "options", "names"),
    [
        ("v7", ("--spec11-identity", "/healthz#build.version"), ""),
        ("v6", ("--spec11-identity", "/healthz#build.version"), "told 'v6'"),
        ("v7", (), "does not tell its build"),
    ],
)
def test_an_attached_system_must_tell_its_build(
    team: Callable[..., Team], told: str, options: tuple[str, ...], names: str
) -> None:
    ours = team()
    with serve(ours.path.parent / "served", told) as url:
        ours.run(
            *("--spec11-base-url", url, "--spec11-app-version", "v7"),
            *("--spec11-scope", "signoff"),
            *options,
        )
    said = find_texts(ours)
    assert bool(said) == bool(names)
    assert any(names in each for each in said) or not said


@pytest.mark.parametrize("value", ["healthz", "http://127.0.0.1/healthz"])
def test_an_identity_that_is_no_route_is_refused(team: Callable[..., Team], value: str) -> None:
    found = team().run("--spec11-identity", value)
    assert found.status == pytest.ExitCode.USAGE_ERROR
    assert "is no route" in found.out + found.err


def test_a_fork_server_of_other_code_is_foreign(team: Callable[..., Team]) -> None:
    ours = prepare(team, Attempt(COMMAND, elsewhere={"server.py": SYSTEM}))
    text = (ours.path / "conftest.py").read_text()
    server = (
        'ForkServer(command=(*PYTHON, str(HERE.parent / "elsewhere/server.py")), program=("none",))'
    )
    text = text.replace("import Identity,", "import ForkServer, Identity,")
    ours.write("conftest.py", text.replace("stop_s=2,", f"stop_s=2, fork_server={server},"))
    ours.commit()
    assert ours.run("--spec11-scope", "signoff").status == 0
    (said,) = find_texts(ours)
    assert said.endswith("elsewhere/server.py, which is no part of the tree")
