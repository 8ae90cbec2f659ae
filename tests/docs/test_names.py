"""What the pages name is there: files, headings, decisions, topics, tables, reasons, settings."""

import re
from pathlib import Path

import pytest

from services.gateway.config import GatewaySettings
from services.ingest.config import IngestSettings
from services.ingest.verdicts import Why
from services.ranker.config import RankerSettings
from services.retrieval.config import RetrievalSettings
from services.trainer.config import TrainerSettings
from snowmelt.contracts import topics
from snowmelt.contracts.errors import Reason
from snowmelt.lake import TABLES
from snowmelt.runtime.config import NOT_SETTINGS, Settings
from tests.docs.pages import PAGES, ROOT, name, section, spans

DATA = ROOT / "docs/data.md"
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", flags=re.M)


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in map(_slug, _HEADING.findall(target.read_text())), link


def test_the_index_of_decisions_is_the_folder() -> None:
    folder = ROOT / "docs/adr"
    rows = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.+) \|$", (folder / "README.md").read_text(), flags=re.M)
    pages = sorted(page for page in folder.glob("*.md") if page.name != "README.md")
    titles = [page.read_text().partition("\n")[0] for page in pages]
    assert [file for _, file, _ in rows] == [page.name for page in pages]
    assert [f"# {number}: {title}" for number, _, title in rows] == titles
    assert all(file.startswith(number) for number, file, _ in rows)


def test_topics_of_the_data_page() -> None:
    named = re.findall(r"^\| `(snowmelt\.[a-z-]+)`", section(DATA, "Topics"), flags=re.M)
    assert tuple(named) == topics.LAKE_TOPICS
    everywhere = {span for span in spans(DATA) if re.fullmatch(r"snowmelt\.[a-z-]+", span)}
    assert everywhere <= {*topics.LAKE_TOPICS, topics.DEAD_LETTERS}


def test_tables_of_the_data_page() -> None:
    first = section(DATA, "Lake").strip().partition(".")[0]
    assert re.findall(r"`(\w+)`", first) == list(TABLES)


def test_reasons_of_the_data_page() -> None:
    named = re.findall(r"^\| `(\w+)` \|", section(DATA, "Dead letters"), flags=re.M)
    assert named == [why.value for why in Why]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_reasons_that_answers_give(page: Path) -> None:
    known = {reason.code for reason in Reason}
    named = re.findall(r"\banswers?\s+`(\w+)`", page.read_text())
    assert set(named) <= known


def test_reasons_are_looked_for() -> None:
    assert any(re.search(r"\banswers?\s+`(\w+)`", page.read_text()) for page in PAGES)


def _settings() -> set[str]:
    known = {f"SNOWMELT_{field.upper()}" for field in Settings.model_fields} | set(NOT_SETTINGS)
    for kind in (GatewaySettings, IngestSettings, RankerSettings, RetrievalSettings, TrainerSettings):
        prefix = str(kind.model_config["env_prefix"])
        known |= {prefix + field.upper() for field in kind.model_fields if field not in Settings.model_fields}
    return known


def test_settings_that_the_pages_name_exist() -> None:
    named = {found for page in PAGES for found in re.findall(r"\bSNOWMELT_[A-Z_]*[A-Z]\b(?!_)", page.read_text())}
    assert len(named) > 5
    assert named <= _settings()
