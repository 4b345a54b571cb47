"""The documentation as one whole: an index that leads to every page, links and pictures that exist."""

from __future__ import annotations

import re
from functools import cache
from itertools import product
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
PICTURES = DOCS / "pictures"
PAGES = sorted(DOCS.rglob("*.md"))
READ = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "deploy" / "README.md"]

#: An image's words and target; then a link's target, where an image may be what is pressed.
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|!\[[^\]]*\]\([^)]*\))*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)

STUDIO = ("sign-in", "generate", "voices", "clone", "design", "history", "usage", "account")
OPERATIONS = (
    "sign-in", "overview", "incidents", "incident", "cutover", "playbook", "drills", "known-good", "audit",
)  # fmt: skip
SERIES = (
    "1-healthy", "2-failing", "3-restoring", "4-verifying", "5-mitigated", "6-closed", "7-report",
)  # fmt: skip
WANTED = frozenset(
    {
        f"{app}-{page}-{device}-{scheme}.webp"
        for app, pages in (("studio", STUDIO), ("operations", OPERATIONS))
        for page, device, scheme in product(pages, ("desktop", "phone"), ("light", "dark"))
    }
    | {f"drill-{name}.webp" for name in SERIES}
)


@cache
def prose(page: Path) -> str:
    """The page without what is shown as code: links in there are nobody's."""
    return CODE.sub("", FENCE.sub("", page.read_text()))


def is_local(target: str) -> bool:
    return not re.match(r"[a-z]+:", target)


@cache
def links(page: Path) -> tuple[tuple[Path, str], ...]:
    """Files of this repository that the page leads to, each with the heading that is meant."""
    found = []
    for target in LINK.findall(prose(page)):
        if is_local(target):
            name, _, anchor = target.partition("#")
            found.append(((page.parent / name).resolve() if name else page, anchor))
    return tuple(found)


@cache
def images(page: Path) -> tuple[tuple[str, Path], ...]:
    return tuple(
        (alt, (page.parent / target).resolve())
        for alt, target in IMAGE.findall(prose(page))
        if is_local(target)
    )


@cache
def anchors(page: Path) -> frozenset[str]:
    """Names of the page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text())
    bare = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in HEADING.findall(text))
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in bare)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_every_page_is_reached_from_the_index() -> None:
    reached: set[Path] = set()
    to_read = [INDEX]
    while to_read:
        page = to_read.pop()
        if page in reached:
            continue
        reached.add(page)
        to_read += [target for target, _ in links(page) if target.suffix == ".md" and target.is_file()]
    assert not [name(page) for page in PAGES if page not in reached]


def test_the_index_has_a_row_for_every_page() -> None:
    """Once, in the table of the reader who needs it first; other folders have an index of their own."""
    listed = re.findall(r"^\| \[([^\]]+)\]\(([^)]+)\) \|", INDEX.read_text(), re.MULTILINE)
    assert all(shown == target for shown, target in listed)
    targets = [target for _, target in listed]
    assert sorted(set(targets)) == sorted(targets), "listed twice"
    own = {str(page.relative_to(DOCS)) for page in [*DOCS.glob("*.md"), *(DOCS / "runbooks").glob("*.md")]}
    assert own - {"README.md"} <= set(targets), "in no table of docs/README.md"


@pytest.mark.parametrize("page", READ, ids=name)
def test_links_lead_to_a_file_and_its_heading(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), f"{name(page)}: {target}"
        if anchor:
            assert target.suffix != ".md" or anchor in anchors(target), (
                f"{name(page)}: {name(target)}#{anchor}"
            )


@pytest.mark.parametrize("page", [page for page in READ if images(page)], ids=name)
def test_a_picture_exists_and_says_what_is_seen(page: Path) -> None:
    for alt, target in images(page):
        assert target.is_file(), f"{name(page)}: there is no {target.name}; `make pictures` makes them"
        assert len(alt) >= 20, f"{name(page)}: {target.name} has no words for whoever does not see it"


def test_every_picture_is_there_and_is_shown() -> None:
    there = {path.name for path in PICTURES.iterdir() if path.suffix != ".md"}
    assert there == WANTED, "make pictures"
    shown = {target.name for page in READ for _, target in images(page) if target.parent == PICTURES}
    assert shown >= there
