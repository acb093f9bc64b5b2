"""What the docs point to is there: decisions, words of the glossary, links, anchors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[2]
SOURCES: Final = ("engine", "pytest_spec11", "reports", "scenarios", "tests", "benchmarks")
KINDS: Final = {".py", ".sql", ".md", ".toml", ".json"}
NO_CITATIONS: Final = {  # ids there are planted, or are variables of a shell
    "docs/decisions.md",
    "scenarios/course/lines.toml",
    "tests/policy/test_docs.py",
}
ID: Final = re.compile(r"(?<![\w$])[DB]\d{1,2}\b")
ROW: Final = re.compile(r"^\| ([DB]\d{1,2}) \|.*\| (\S+) \|$", re.MULTILINE)
WORD: Final = re.compile(r"^\| ([a-z][\w -]*) \| ", re.MULTILINE)
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")


def files(root: Path) -> Iterator[tuple[str, str]]:
    """Every source and every page, by its path."""
    places = [*root.glob("*.md"), *root.glob("*.py"), *(root / "docs").rglob("*")]
    places += [each for name in SOURCES for each in (root / name).rglob("*")]
    for path in sorted(places):
        if path.suffix in KINDS and "node_modules" not in path.parts:
            yield path.relative_to(root).as_posix(), path.read_text("utf-8")


def list_cited(root: Path) -> dict[str, str]:
    """Every id of a decision that is cited, with a file that does."""
    return {
        id_: near
        for near, text in files(root)
        if near not in NO_CITATIONS
        for id_ in ID.findall(text)
    }


def read_decisions() -> dict[str, str]:
    """What holds each decision, by its id."""
    return dict(ROW.findall((ROOT / "docs/decisions.md").read_text("utf-8")))


def anchor(heading: str) -> str:
    """The anchor that a heading has on a page, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def dead_links(root: Path) -> list[str]:
    """Relative links of pages that lead nowhere."""
    found = []
    for path in [*root.glob("*.md"), *(root / "docs").glob("*.md")]:
        text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        for link in LINK.findall(text):
            place, _, name = link.partition("#")
            target = path.parent / place if place else path
            if "://" in link:
                continue
            if not target.exists():
                found.append(f"{path.name}: {link}")
            elif name:
                names = map(anchor, HEADING.findall(target.read_text("utf-8")))
                found += [] if name in names else [f"{path.name}: {link}"]
    return found


def test_every_id_that_is_cited_is_a_decision() -> None:
    known = read_decisions()
    assert {id_: near for id_, near in list_cited(ROOT).items() if id_ not in known} == {}


def test_every_decision_is_cited() -> None:
    assert read_decisions().keys() - list_cited(ROOT).keys() == set()


def test_what_holds_a_decision_is_there() -> None:
    document = json.loads((ROOT / "pytest_spec11/requirements/catalogue.json").read_bytes())
    claims = {each["id"] for scenario in document["scenarios"] for each in scenario["claims"]}

    held = read_decisions()
    assert len(held) > 50
    tests = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")}
    assert {id_: by for id_, by in held.items() if by not in claims | tests} == {}


def test_an_id_that_nobody_decided_is_found(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine/planted.py").write_text('"""A rule (D99), and D105 of a linter."""\n')

    assert list_cited(tmp_path) == {"D99": "engine/planted.py"}


def words() -> list[str]:
    return [
        word
        for word in WORD.findall((ROOT / "docs/glossary.md").read_text("utf-8"))
        if word != "word"
    ]


def test_every_word_of_the_glossary_is_used_in_sources_and_in_pages() -> None:
    everything = [each for each in files(ROOT) if each[0] != "docs/glossary.md"]
    pages = "\n".join(text for near, text in everything if near.endswith(".md")).lower()
    code = "\n".join(text for near, text in everything if near.endswith(".py")).lower()

    assert len(words()) > 30
    assert [word for word in words() if not is_used(word, pages) or not is_used(word, code)] == []


def is_used(word: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(word)}(s|es)?\b", text) is not None


def test_a_word_that_nobody_uses_is_found() -> None:
    assert not is_used("gang", "the gangway")
    assert is_used("lane", "all lanes")


def test_words_of_the_glossary_are_explained_once() -> None:
    assert sorted(words()) == sorted(set(words()))


def test_every_link_of_a_page_leads_somewhere() -> None:
    assert dead_links(ROOT) == []


@pytest.mark.parametrize("link", ["gone.md", "README.md#gone", "#gone", "docs/"])
def test_a_link_that_leads_nowhere_is_found(link: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"# Here it is\n[good](#here-it-is) [bad]({link})\n")

    assert dead_links(tmp_path) == [f"README.md: {link}"]


STOP: Final = re.compile(r"`([\w/]+\.py):(\w+)`")


def missing_stops(root: Path, page: str) -> list[str]:
    """Functions that a page names as ``file.py:function`` and that are not in that file."""
    return [
        f"{name}:{function}"
        for name, function in STOP.findall(page)
        if not (root / name).is_file()
        or not re.search(
            rf"^ *(async )?def {function}\(", (root / name).read_text("utf-8"), re.MULTILINE
        )
    ]


def test_every_function_of_the_walks_exists() -> None:
    page = (ROOT / "docs/architecture.md").read_text("utf-8")

    assert len(STOP.findall(page)) > 15
    assert missing_stops(ROOT, page) == []


def test_a_walk_over_a_function_that_is_gone_is_found() -> None:
    page = "`engine/api/runs.py:start` → `engine/api/runs.py:gone` → `engine/gone.py:start`"

    assert missing_stops(ROOT, page) == ["engine/api/runs.py:gone", "engine/gone.py:start"]


def list_mapped(root: Path) -> set[str]:
    """The folders that the map of the README names, two levels deep."""
    text = (root / "README.md").read_text("utf-8").partition("## Map\n```\n")[2].partition("```")[0]
    found, top = set(), ""
    for line in text.splitlines():
        names = re.findall(r"(?<!\S)(\w+)/(?!\S)", line)
        if line.startswith(" "):
            found |= {f"{top}/{name}" for name in names}
        elif names:
            top = names[0]
            found.add(top)
    return found


def test_the_map_of_the_readme_names_the_folders_that_are_there() -> None:
    packages = ("pytest_spec11", "engine", "reports", "scenarios", "tests", "benchmarks")
    nested = {
        path.parent.relative_to(ROOT).as_posix()
        for package in packages[:4]
        for path in (ROOT / package).glob("*/__init__.py")
    }

    assert list_mapped(ROOT) == {*packages, *nested, "docs"}
