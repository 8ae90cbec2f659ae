"""MovieLens out of a wheel: its quirks, and what happens where it cannot be had."""

import zipfile
from pathlib import Path

import pytest

from snowmelt.datasets import movielens
from snowmelt.datasets import open as opening
from snowmelt.training.errors import BadDataError

FILES = {
    "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\t2\t3\t881250949\n7\t1\t5\t881250900\n",
    "item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "1\tToy Story\t1995\tAnimation Children's Comedy\n2\tunkonwn\tunkonwn\tunknown\n3\tApt Pupil\t1998\tDrama\n",
    "user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n7\t24\tM\ttechnician\t05201\n",
}


def wheel(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "recbole-1.2.1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as opened:
        for kind, text in files.items():
            opened.writestr(f"{movielens.FOLDER}.{kind}", text)
    return path


def test_films_ratings_and_people(tmp_path: Path) -> None:
    data = movielens.read(wheel(tmp_path, FILES))
    assert [r["event_id"] for r in data.events.to_pylist()] == ["ml100k-7-1", "ml100k-7-2"]
    assert data.events["value"].to_pylist() == [5.0, 3.0]
    assert data.events["categories"].to_pylist()[0] == ["Animation", "Children's", "Comedy"]
    assert data.catalogue["title"].to_pylist() == ["Toy Story (1995)", "unkonwn", "Apt Pupil (1998)"]
    assert data.catalogue["available_from_ms"].to_pylist() == [788918400000, 0, 881250900000]
    assert data.users["attributes"].to_pylist()[0][3] == ("zip_code", "05201")
    assert data.end_ms == 881250950000
    assert "GroupLens" in data.source
    assert "research use" in data.terms


@pytest.mark.parametrize("files", [{}, {"inter": FILES["inter"]}])
def test_another_wheel_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(BadDataError, match="not the wheel that was expected"):
        movielens.read(wheel(tmp_path, files))


def test_a_cached_wheel_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWMELT_CACHE_DIR", str(tmp_path))
    folder = movielens.cache_folder()
    folder.mkdir(parents=True)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    wheel(folder, FILES)
    assert opening.open_data_set().name == "MovieLens-100k"


def test_where_the_registry_cannot_be_reached_a_simulated_shop_is_used_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNOWMELT_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    data = opening.open_data_set()
    assert data.simulated
    assert "simulated shop is used instead" in data.notes[0]
    assert "simulated" in data.source
