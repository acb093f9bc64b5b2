"""Only committed code and committed inputs speak: anything else is named and is NO_GO (D40)."""

from __future__ import annotations

import marshal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.plugin.team import PROOF, Team

ANSWERS = """
import pytest

@pytest.mark.S00
@pytest.mark.claim("S00.answers")
def test_it_answers(api, tmp_path, files):
    {body}
    assert api.get("/healthz").status == 200
"""
REST = PROOF[PROOF.index('@pytest.mark.S00\n@pytest.mark.claim("S00.lives")') :]
HELPER = "from pathlib import Path\ndef read(): return Path('hidden.json').read_text()\n"
PLAIN = "EXPECTED = 200\n"


@dataclass(frozen=True)
class Attempt:
    """What a test of a team does, and the files of the tree that git ignores."""

    body: str
    ignored: dict[str, str] = field(default_factory=dict)
    committed: dict[str, str] = field(default_factory=dict)
    names: str = ""  # the reason's code and subject; empty: the run is as good as any other


ATTEMPTS = {
    "a conftest that git ignores": Attempt(
        "pass", {"sub/conftest.py": PLAIN}, {"sub/test_more.py": "def test_more(): pass\n"},
        "E-FOREIGN-CODE sub/conftest.py",
    ),
    "a module that git ignores": Attempt(
        "import hidden", {"hidden.py": PLAIN}, {}, "E-FOREIGN-CODE hidden.py"
    ),
    "a module that is forgotten after its import": Attempt(
        "import sys, hidden; del sys.modules['hidden']", {"hidden.py": PLAIN}, {},
        "E-FOREIGN-CODE hidden.py",
    ),
    "a script that git ignores": Attempt(
        "import subprocess, sys; subprocess.run([sys.executable, 'hidden.py'], check=True)",
        {"hidden.py": PLAIN}, {}, "E-FOREIGN-CODE hidden.py",
    ),
    "data that git ignores": Attempt(
        "open('hidden.json').read()", {"hidden.json": "{}"}, {}, "E-FOREIGN-INPUT hidden.json"
    ),
    "the same through a helper of the tree": Attempt(
        "from helper import read; read()", {"hidden.json": "{}"},
        {"helper.py": HELPER},
        "E-FOREIGN-INPUT hidden.json",
    ),
    "the same below the level of files": Attempt(
        "import os; os.close(os.open('hidden.json', os.O_RDONLY))", {"hidden.json": "{}"}, {},
        "E-FOREIGN-INPUT hidden.json",
    ),
    "the same under another name": Attempt(
        "import os; os.link('hidden.json', tmp_path / 'x'); (tmp_path / 'x').read_text()",
        {"hidden.json": "{}"}, {}, "E-FOREIGN-INPUT hidden.json",
    ),
    "the same by a copy": Attempt(
        "import shutil; shutil.copy('hidden.json', tmp_path / 'x')", {"hidden.json": "{}"}, {},
        "E-FOREIGN-INPUT hidden.json",
    ),
    "the same in another folder": Attempt(
        "import os; os.chdir('sub'); open('hidden.json').read(); os.chdir('..')",
        {"sub/hidden.json": "{}"}, {}, "E-FOREIGN-INPUT sub/hidden.json",
    ),
    "the same by another program": Attempt(
        "import subprocess; subprocess.run(['cat', 'hidden.json'], check=True)",
        {"hidden.json": "{}"}, {}, "E-FOREIGN-INPUT hidden.json",
    ),
    "the same by a shell": Attempt(
        "import os; os.system('cat hidden.json >/dev/null')", {"hidden.json": "{}"}, {},
        "E-FOREIGN-INPUT hidden.json",
    ),
    "the same by a program elsewhere": Attempt(
        "import subprocess; subprocess.run('cat <hidden.json', shell=True, check=True, cwd='sub')",
        {"sub/hidden.json": "{}"}, {}, "E-FOREIGN-INPUT sub/hidden.json",
    ),
    "data among the caches": Attempt(
        "open('.pytest_cache/hidden.json').read()", {".pytest_cache/hidden.json": "{}"}, {},
        "E-FOREIGN-INPUT .pytest_cache/hidden.json",
    ),
    "data beside the evidence": Attempt(
        "open('.spec11/0/hidden.json').read()", {".spec11/0/hidden.json": "{}"}, {},
        "E-FOREIGN-INPUT .spec11/0/hidden.json",
    ),
    "committed data": Attempt("open('known.json').read()", {}, {"known.json": "{}"}),
    "a file that the test wrote": Attempt(
        "p = tmp_path / 'x'; p.write_text('1'); p.read_text()"
    ),
    "a file that the test wrote where git looks away": Attempt(
        "open('hidden.json', 'w').close(); open('hidden.json').read()"
    ),
    "a module that the test wrote": Attempt(
        "import sys; (tmp_path / 'made_here.py').write_text('X = 1');"
        " sys.path.insert(0, str(tmp_path)); import made_here; sys.path.pop(0)"
    ),
    "what an oracle observes": Attempt(
        "assert files.read('hidden.json') == b'{}'", {"hidden.json": "{}"}
    ),
    "a file beside which nobody reads": Attempt("pass", {"hidden.json": "{}", "hidden.py": PLAIN}),
}  # fmt: skip


def prepare(team: Callable[..., Team], attempt: Attempt) -> Team:
    """A checkout whose first test does this; what git ignores is there, and no part of it."""
    ours = team(ANSWERS.format(body=attempt.body) + REST)
    hidden = "hidden.*\nsub/conftest.py\n.pytest_cache/\npytest.ini\n"
    ours.write(".gitignore", f".spec11/\n__pycache__/\n{hidden}")
    for name, text in {**attempt.committed, **attempt.ignored}.items():
        (ours.path / name).parent.mkdir(parents=True, exist_ok=True)
        ours.write(name, text)
    ours.commit()
    return ours


def find_foreign(ours: Team) -> list[str]:
    """Code and subject of each reason that names a foreign file."""
    return sorted(
        f"{code} {subject}"
        for subject, codes in ours.reasons().items()
        for code in codes
        if code.startswith("E-FOREIGN")
    )


@pytest.mark.parametrize("name", ATTEMPTS)
def test_only_what_is_committed_speaks(team: Callable[..., Team], name: str) -> None:
    attempt = ATTEMPTS[name]
    ours = prepare(team, attempt)

    found = ours.run("--spec11-scope", "signoff")

    assert found.status == 0, found.out
    assert find_foreign(ours) == ([attempt.names] if attempt.names else [])


def test_every_worker_of_xdist_is_heard(team: Callable[..., Team]) -> None:
    ours = prepare(team, ATTEMPTS["data that git ignores"])
    assert ours.run("-n", "2", "--spec11-scope", "signoff").status == 0
    assert find_foreign(ours) == ["E-FOREIGN-INPUT hidden.json"]
    roles = [reading.start["role"] for reading in map(ours.journal, ("controller", "gw0", "gw1"))]
    assert len(ours.records("surroundings")) == len(roles)


def test_a_database_that_git_ignores_is_an_input(team: Callable[..., Team]) -> None:
    body = "import sqlite3; sqlite3.connect('hidden.db').close()"
    ours = prepare(team, Attempt(body))
    with closing(sqlite3.connect(ours.path / "hidden.db")) as made, made:
        made.execute("CREATE TABLE t (x)")
    assert ours.run("--spec11-scope", "signoff").status == 0
    assert find_foreign(ours) == ["E-FOREIGN-INPUT hidden.db"]


def test_a_committed_link_does_not_commit_what_it_leads_to(
    team: Callable[..., Team], tmp_path: Path
) -> None:
    ours = prepare(team, Attempt("open('linked.json').read()"))
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    (ours.path / "linked.json").symlink_to(outside)
    ours.commit()
    assert ours.run("--spec11-scope", "signoff").status == 0
    assert find_foreign(ours) == [f"E-FOREIGN-INPUT {outside}"]


def test_settings_that_git_ignores_are_an_input(team: Callable[..., Team]) -> None:
    ours = prepare(team, Attempt("pass"))
    ours.write("pytest.ini", "[pytest]\nspec11_catalogue = catalogue.json\n")
    assert ours.run("--spec11-scope", "signoff").status == 0
    assert find_foreign(ours) == ["E-FOREIGN-INPUT pytest.ini"]


def test_a_plugin_from_elsewhere_is_code_of_nobody(
    team: Callable[..., Team], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = prepare(team, Attempt("pass"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "helps.py").write_text("def pytest_configure(): pass\n")
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    command = [sys.executable, "-m", "pytest", "-p", "helps", "--spec11-scope", "signoff"]
    done = subprocess.run(command, cwd=ours.path, check=False, capture_output=True)  # noqa: S603
    assert done.returncode == 0
    assert find_foreign(ours) == [f"E-FOREIGN-CODE {elsewhere / 'helps.py'}"]
    (said,) = ours.records("surroundings")
    assert said["python"]["variables"]["PYTHONPATH"] == str(elsewhere)
    assert {"name": "helps", "distribution": ""} in said["plugins"]


@pytest.mark.parametrize("name", ["helper", "test_proof"])
def test_a_forged_compiled_file_is_code_of_nobody(team: Callable[..., Team], name: str) -> None:
    ours = prepare(team, Attempt("import helper", {}, {"helper.py": PLAIN}))
    assert ours.run("--spec11-scope", "signoff").status == 0
    assert find_foreign(ours) == []
    assert ours.run("--spec11-scope", "signoff").status == 0  # by compiled files of the first run
    assert find_foreign(ours) == []
    (compiled,) = (ours.path / "__pycache__").glob(f"{name}.*.pyc")
    content = compiled.read_bytes()
    code = marshal.loads(content[16:])  # noqa: S302  # Python made it a moment ago
    forged = code.replace(co_consts=(*code.co_consts, "forged"))
    compiled.write_bytes(content[:16] + marshal.dumps(forged))

    assert ours.run("--spec11-scope", "signoff").status in {0, 1}

    assert find_foreign(ours) == [f"E-FOREIGN-CODE __pycache__/{compiled.name}"]


@pytest.mark.parametrize("how", ["-O", "-OO"])
def test_a_python_without_assertions_is_refused(team: Callable[..., Team], how: str) -> None:
    ours = team()
    command = [sys.executable, how, "-m", "pytest", "--spec11-scope", "signoff"]
    done = subprocess.run(command, cwd=ours.path, check=False, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "spec11 does not run under -O: Python removes the assertions" in done.stderr


def test_the_command_pytest_of_an_environment_elsewhere_is_installed(
    team: Callable[..., Team],
) -> None:
    ours = prepare(team, Attempt("pass"))
    command = [str(Path(sys.executable).with_name("pytest")), "--spec11-scope", "signoff"]
    done = subprocess.run(command, cwd=ours.path, check=False, capture_output=True)  # noqa: S603
    assert done.returncode == 0
    assert find_foreign(ours) == []
