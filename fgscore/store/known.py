"""A data set by the name that the store keeps it under, as the commands that need its photos take it."""

from __future__ import annotations

from fgscore import specs
from fgscore.datasets import DataSet
from fgscore.errors import UsageError, quoted
from fgscore.store import index as index_store
from fgscore.store.bundle import LIMIT
from fgscore.store.cache import Store
from fgscore.store.match import dataset_key


def as_indexed(store: Store, written: str) -> str:
    """``written`` itself, or, of a name that is no data set but the store's own, the data set that was indexed under
    it: ``folder(name='mine')`` of ``mine``.

    Raises :class:`UsageError` where it names a limited copy, or came without photos, from a file of the user's, whose
    code no store leads to, or in more than one way.
    """
    spec = specs.parse(written)
    if LIMIT in spec.params and (
        spec.name in DataSet.ours_named() or any(store.artefacts("index", dataset_key(spec.name)))
    ):
        photos = specs.text(spec.name, {key: value for key, value in spec.params.items() if key != LIMIT})
        raise UsageError(f"{written} names a limited copy; what needs its photos takes {quoted(photos)} --limit "
                         f"{spec.params[LIMIT]}")  # fmt: skip
    if specs.file_of(spec.name) or spec.name in DataSet.names():
        return written
    indexed = list(store.artefacts("index", dataset_key(written)))
    if not indexed:
        return written  # binding it says what is wrong
    whole = [index for index in indexed if not index.recipe.extra.get(LIMIT)]
    found = list(dict.fromkeys(index_store.written(index) for index in whole or indexed))
    named = [specs.parse(component) for component in found]
    if any(one.name == index_store.IMPORTED for one in named):
        raise UsageError(f"{written} was imported: the store knows no photos of it; name those, as in `fgscore extract "
                         "\"folder(name='mine')\" --root DIR`")  # fmt: skip
    for one in named:
        if one.name not in DataSet.ours_named():
            where = f"./{one.name}" if specs.file_of(one.name) else one.name
            raise UsageError(f"{written} was indexed by {one.name}, which is not ours to run because a store says so; "
                             f"write it out: {specs.text(where, one.params)}")  # fmt: skip
    if len(found) > 1:
        raise UsageError(f"{written} was indexed in {len(found)} ways; name one of them: {', '.join(found)}")
    return specs.text(named[0].name, {**named[0].params, **spec.params})
