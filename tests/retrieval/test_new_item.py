"""A new or changed item is found at once, without new tables."""

from dataclasses import replace

import numpy as np

from snowmelt.retrieval import RetrievalQuery, RetrievalTables, Retriever
from snowmelt.retrieval.shelf import Shelf
from tests.retrieval import shop
from tests.retrieval.test_retriever import by_source, ids


def test_a_new_item_is_proposed_by_its_words_and_its_vector(tables: RetrievalTables, items: shop.PlainItems) -> None:
    retriever = Retriever(tables, items)
    query = RetrievalQuery(shop.user("i11", "i12", "i13"), 20, shop.NOW_MS)
    before, _ = retriever.retrieve(query)
    assert "fresh" not in ids(before, items)
    items.content = shop.with_item(items.content, "fresh", "violet mug")
    found, _ = retriever.retrieve(query)
    assert by_source(found, items, "new_items")[0] == "fresh"
    assert "fresh" in by_source(found, items, "content_neighbours")[:10]
    assert "fresh" in by_source(found, items, "vectors")[:10]


def test_a_user_of_a_new_item_gets_its_like(tables: RetrievalTables, items: shop.PlainItems) -> None:
    items.content = shop.with_item(items.content, "fresh", "violet mug")
    found, _ = Retriever(tables, items).retrieve(RetrievalQuery(shop.user("fresh"), 20, shop.NOW_MS))
    mugs = {f"i{n}" for n in range(10, 20)}
    assert set(by_source(found, items, "content_neighbours")[:5]) <= mugs
    assert set(by_source(found, items, "vectors")[:5]) <= mugs
    assert by_source(found, items, "item_to_item") == []


def test_changed_content_moves_an_item_and_keeps_what_was_learnt(tables: RetrievalTables) -> None:
    content = shop.catalogue()
    before = Shelf.stock(tables, content)
    after = Shelf.stock(tables, shop.with_item(content, "i5", "navy clock"), before)
    (row,) = after.catalog.rows(shop.keys("i5"))
    place = after.table_places[row]
    assert place not in after.items.layout.main_rows
    assert after.items.layout.fresh_rows.tolist() == [row]
    learnt = tables.evidence[place]
    old, new = before.items.vectors(np.array([row])), after.items.vectors(np.array([row]))
    words = tables.from_content(*tables.encoder.encode("navy clock", "", content.categories[5]))
    change = words - tables.from_content(*tables.contents.row(int(place)))
    np.testing.assert_allclose(new[0] - old[0], (1 - learnt) * change, atol=1e-5)


def test_a_change_of_price_embeds_nothing(tables: RetrievalTables) -> None:
    content = shop.with_item(shop.catalogue(), "fresh", "violet mug")
    before = Shelf.stock(tables, content)
    after = Shelf.stock(tables, replace(content, prices=content.prices + 1), before)
    assert after.hashes.tolist() == before.hashes.tolist()
    assert after.contents.fresh.weights.tobytes() == before.contents.fresh.weights.tobytes()
    assert after.items.fresh_vectors.tobytes() == before.items.fresh_vectors.tobytes()


def test_items_one_by_one_end_where_all_at_once_does(tables: RetrievalTables) -> None:
    content, shelf = shop.catalogue(), None
    for number in range(6):
        content = shop.with_item(content, f"fresh{number}", f"{shop.COLOURS[number]} velvet mug")
        shelf = Shelf.stock(tables, content, shelf)
    once = Shelf.stock(tables, content)
    assert shelf is not None
    assert shelf.catalog.keys.tolist() == once.catalog.keys.tolist()
    assert shelf.items.fresh_vectors.tobytes() == once.items.fresh_vectors.tobytes()
    assert shelf.contents.fresh.weights.tobytes() == once.contents.fresh.weights.tobytes()


def test_readers_keep_the_shelf_they_took(tables: RetrievalTables, items: shop.PlainItems) -> None:
    retriever = Retriever(tables, items)
    old = retriever.refresh()
    items.content = shop.with_item(items.content, "fresh", "violet mug")
    new = retriever.refresh()
    assert (len(old.catalog), len(new.catalog)) == (40, 41)
    assert retriever.refresh() is new
