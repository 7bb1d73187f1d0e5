"""fgscore index: list, check and hash the photos of a data set."""

from __future__ import annotations

from . import _extract, _next, _run
from . import _options as o


def index(
    subject: o.Subject = None,
    dataset: o.Dataset = None,
    root: o.Root = None,
    protocol: o.Protocol = None,
    partial: o.Partial = False,
    force: o.Force = False,
    limit: o.Limit = None,
    classes: o.Classes = None,
    allow_failures: o.AllowFailures = False,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """List, check and hash the photos of a data set: the first artefact, parent of all others.

    Example: fgscore index cub --root ~/photos
    Example: fgscore index "folder(name='mine')" --root ~/mine
    """
    from fgscore.extract.index import make_index

    name = _extract.dataset(subject, dataset, protocol, data)
    with _run.Bars() as bars:
        store = _run.store(data)
        made = make_index(
            store, name, root=root, partial=partial, force=force, limit=limit, classes=classes, progress=bars
        )
    _extract.finish([made.summary], json, allow_failures, _next.meant("extract", name), indexed=made)


if __name__ == "__main__":
    _run.main(index)
