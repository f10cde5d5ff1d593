"""Links between documents, and from the code into them, lead somewhere."""

from __future__ import annotations

import ast
import re
from collections import Counter

import pytest

from tests.architecture.code import ROOT, calls, dotted, modules, tracked

LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]+)?\)")
FROM_CODE = re.compile(r"\b(docs/[a-z0-9/_-]+\.(?:md|yml))(#[a-z0-9-]+)?")
DOCUMENTS = [name for name in tracked() if name.endswith(".md") and not name.startswith("tests/")]


def _anchors(path: str) -> set[str]:
    """As forges make them: lower case, words joined by hyphens, without punctuation."""
    heads = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", head.strip().lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links__of_a_document__lead_somewhere(document: str) -> None:
    for target, anchor in LINK.findall((ROOT / document).read_text()):
        path = ((ROOT / document).parent / target).resolve() if target else ROOT / document
        assert path.exists(), f"{document}: {target}"
        if anchor and path.suffix == ".md":
            assert anchor in _anchors(str(path.relative_to(ROOT))), f"{document}: {target}{anchor}"


def test_mentions__of_documents_in_the_code__lead_somewhere() -> None:
    for name in tracked():
        if name.startswith("keeper/") and name.endswith((".py", ".sol")):
            for path, anchor in FROM_CODE.findall((ROOT / name).read_text()):
                if not re.search(rf"https?://\S*{re.escape(path)}", (ROOT / name).read_text()):
                    assert (ROOT / path).is_file(), f"{name}: {path}"
                    assert not anchor or anchor in _anchors(path), f"{name}: {path}{anchor}"


def test_glossary__any_word__is_defined_once() -> None:
    rows = re.findall(r"^\| (.*?) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    words = Counter(word for row in rows for word in re.findall(r"\*{1,2}([^*]+)\*{1,2}", row))
    assert [word for word, times in words.items() if times > 1] == []


def test_decisions__each_file__is_listed_under_its_own_title() -> None:
    listed = dict(re.findall(r"^- \[(.*?)\]\((.*?)\)", (ROOT / "docs/decisions/README.md").read_text(), re.MULTILINE))
    files = {
        path.name: path.read_text().partition("\n")[0].removeprefix("# ")
        for path in (ROOT / "docs/decisions").glob("0*.md")
    }
    assert {name: title for title, name in listed.items()} == files


def test_environment__each_variable_that_is_read__is_named_in_the_reference() -> None:
    read = {
        given.value
        for path, tree in modules().items()
        if not path.startswith("keeper/devnet/")
        for call in calls(tree)
        for given in (*call.args, *(word.value for word in call.keywords if word.arg == "envvar"))
        if isinstance(given, ast.Constant) and re.fullmatch(r"[A-Z]+(_[A-Z]+)*", str(given.value))
        if "environ" in ast.unparse(call) or dotted(call.func) == "typer.Option"
    }
    assert {"STATE_DIRECTORY", "KEEPER_CONFIG", "KEEPER_COMMIT", "NOTIFY_SOCKET"} <= read, (
        "the search finds what it should"
    )
    text = (ROOT / "config/README.md").read_text()
    assert [name for name in sorted(read) if f"`{name}`" not in text] == []
