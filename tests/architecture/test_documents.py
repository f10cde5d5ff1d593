"""Links between documents, and from the code into them, lead somewhere."""

from __future__ import annotations

import re

import pytest

from tests.architecture.code import ROOT, tracked

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
