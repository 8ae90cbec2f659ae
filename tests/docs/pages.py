"""The pages of the repository, and what stands in their code."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", flags=re.M | re.S)
_INLINE = re.compile(r"`([^`\n]+)`")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def fences(page: Path) -> list[str]:
    """The lines that stand in fenced blocks."""
    return [line.strip() for _, _, body in _FENCE.findall(page.read_text()) for line in body.splitlines()]


def spans(page: Path) -> list[str]:
    """What stands between backticks in running text."""
    return _INLINE.findall(_FENCE.sub("", page.read_text()))


def section(page: Path, title: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page.read_text(), flags=re.M | re.S)
    assert found, f"{name(page)} has no section {title}"
    return found[1]


def tracked() -> list[Path]:
    """Every file of the checkout that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [path for each in listed.stdout.split("\0") if each and (path := ROOT / each).is_file()]
