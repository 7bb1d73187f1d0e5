"""fgscore doctor: can this machine do it, how long will it take, and how large will it be?"""

from __future__ import annotations

import typer

from . import _estimate, _extract, _next, _run
from . import _options as o


def doctor(
    subject: o.Subject = None,
    dataset: o.Dataset = None,
    regions: o.Regions = None,
    encoder: o.Encoder = None,
    prompt: o.Prompt = None,
    root: o.Root = None,
    protocol: o.Protocol = None,
    partial: o.Partial = False,
    force: o.Force = False,
    limit: o.Limit = None,
    classes: o.Classes = None,
    device: o.Device = "auto",
    batch_size: o.BatchSize = 0,
    workers: o.Workers = 0,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Check device, disk and cluster; with a data set, also weights, memory for a batch, time and space of its extract.

    For that the photos are indexed, as by extract, and 32 of them extracted into a temporary folder. Faults exit 1.

    Example: fgscore doctor
    Example: fgscore doctor cub --root /photos --batch-size 256
    """
    from fgscore.execute import doctor as checks
    from fgscore.execute import preflight
    from fgscore.execute.estimate import estimate
    from fgscore.extract.index import Photos, index_listed
    from fgscore.extract.thumbnails import SIZE

    store = _run.store(data)
    found, expected = list(checks.machine(store.layout, device)), []
    if subject or dataset:
        name = _extract.dataset(subject, dataset, protocol)
        how = _extract.runtime(data, device, batch_size, workers)
        chosen = _extract.components(name, regions, encoder, prompt, how)
        with _run.Bars() as bars:
            photos = Photos(root, partial, force, limit, classes)
            listed, wrong = preflight.look(store, name, chosen, photos, True, bars)
            found += [checks.Check(what, checks.FAULT, str(error)) for what, error in wrong]
            found += checks.components(chosen, {what for what, _ in wrong})
            if listed and not any(one.state == checks.FAULT for one in found):
                expected = estimate(store, index_listed(store, listed, bars), chosen, how, SIZE, bars)
                found.append(checks.space(store.layout, sum(one.bytes for one in expected)))
    faults = any(one.state == checks.FAULT for one in found)

    def show() -> None:
        from fgscore import terminal
        from fgscore.tables import Column, Table

        told = [{**vars(one), "found": _next.inside(one.found)} for one in found]
        columns = [Column("what", "looked at"), Column("state", "state"), Column("found", "found")]
        terminal.show(Table("checks", "", columns, told))
        if expected:
            print()
            _estimate.table(expected)

    content = {"checks": [vars(one) for one in found], "expected": [one.to_json() for one in expected]}
    _run.emit(content, json, show)
    if faults:
        raise typer.Exit(1)


if __name__ == "__main__":
    _run.main(doctor)
