import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmelt.retrieval.text import TERMS_LIMIT, content_hash
from snowmelt.training.vectors_content import ContentConfig, fit_encoder
from tests.retrieval import shop

ENCODER = fit_encoder(shop.catalogue(), ContentConfig())


def similarity(first: str, second: str) -> float:
    vectors = []
    for title in (first, second):
        dense = np.zeros(len(ENCODER.vocabulary))
        places, values = ENCODER.encode(title, "", ())
        dense[places] = values
        vectors.append(dense)
    return float(vectors[0] @ vectors[1])


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ("red lamp", "red lamp", 0.999, 1.001),
        ("red lamp", "RED  Lamp!", 0.999, 1.001),
        ("red lamp", "blue lamp", 0.05, 0.9),
        ("red lamp", "blue mug", 0.0, 0.0),
        ("red lamp", "zyxwv", 0.0, 0.0),
    ],
)
def test_similarity(first: str, second: str, low: float, high: float) -> None:
    assert low <= similarity(first, second) <= high


@given(st.text(max_size=200), st.text(max_size=200), st.lists(st.text(min_size=1, max_size=10), max_size=4))
def test_a_vector_is_at_most_of_length_one(title: str, text: str, categories: list[str]) -> None:
    places, values = ENCODER.encode(title, text, categories)
    assert values.dtype == np.float32
    assert np.all(np.diff(places) > 0)
    assert np.sum(values.astype(float) ** 2) <= 1 + 1e-5
    again = ENCODER.encode(title, text, categories)
    assert again[1].tobytes() == values.tobytes()


def test_a_page_of_text_keeps_its_heaviest_terms() -> None:
    long = shop.columns({"long": " ".join(f"w{n}" for n in range(500)), "other": "w1 w2"})
    places, values = fit_encoder(long, ContentConfig()).encode(long.titles[0], "", ())
    assert len(places) == len(values) == TERMS_LIMIT


def test_the_vocabulary_keeps_the_most_frequent_terms() -> None:
    kept = fit_encoder(shop.catalogue(), ContentConfig(terms_max=4))
    assert len(kept.vocabulary) == 4
    assert len(kept.encode("red lamp", "", ("lamp",))[0]) > 0


def test_hashes_tell_content_apart() -> None:
    contents = [("a", "b", ()), ("ab", "", ()), ("a", "", ("b",)), ("a", "", ("b", "c")), ("a", "", ("c", "b"))]
    assert len({content_hash(*content) for content in contents}) == len(contents)
