"""fgscore regions: crop boxes and masks of every photo."""

from __future__ import annotations

from . import _extract, _next, _run
from . import _options as o


def regions(
    subject: o.Subject = None,
    dataset: o.Dataset = None,
    regions: o.Regions = None,
    root: o.Root = None,
    protocol: o.Protocol = None,
    partial: o.Partial = False,
    force: o.Force = False,
    limit: o.Limit = None,
    classes: o.Classes = None,
    device: o.Device = "auto",
    workers: o.Workers = 0,
    implementation: o.Implementation = "exact",
    allow_failures: o.AllowFailures = False,
    retry_failed: o.RetryFailed = False,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Generate regions (random crops, SAM masks) of every photo and store them.

    Example: fgscore regions cub --regions "random_crop(n=64)"
    Example: fgscore regions cars --regions "sam(checkpoint='vit_b', points_per_side=16)"
    """
    from fgscore.execute.preflight import make_index
    from fgscore.extract.extraction import Extraction
    from fgscore.extract.index import Photos

    name = _extract.dataset(subject, dataset, protocol, data)
    how = _extract.runtime(data, device, 0, workers, implementation)
    chosen = _extract.components(data, name, regions, [], None, how, may_be_cached=False)
    with _run.Bars() as bars:
        store = _run.store(data)
        indexed = make_index(store, name, chosen, Photos(root, partial, force, limit, classes), False, bars)
        _extract.say_lost(indexed, bars)
        run = Extraction(store, indexed, how, bars, retry_failed)
        for generator in chosen.generators:
            run.fill([run.regions(generator)])
    step = _next.meant("embed", name, regions=regions)
    _extract.finish(run.summaries, json, allow_failures, step, notes=chosen.notes, indexed=indexed)


if __name__ == "__main__":
    _run.main(regions)
