"""fgscore extract: index, regions and embeddings, the whole GPU half in one command."""

from __future__ import annotations

from typing import Annotated

import typer

from . import _cluster, _estimate, _extract, _next, _run
from . import _options as o


def extract(
    subject: o.Subject = None,
    dataset: o.Dataset = None,
    regions: o.Regions = None,
    encoder: o.Encoder = None,
    prompt: o.Prompt = None,
    draws: Annotated[
        int, typer.Option("--draws", min=1, max=100, help="So many seeds of each regions that are drawn, as crops are.")
    ] = 1,
    root: o.Root = None,
    protocol: o.Protocol = None,
    partial: o.Partial = False,
    force: o.Force = False,
    limit: o.Limit = None,
    classes: o.Classes = None,
    device: o.Device = "auto",
    devices: o.Devices = None,
    executor: o.Executor = None,
    jobs: o.Jobs = None,
    slurm: o.Slurm = None,
    wait: o.Wait = False,
    dry_run: o.DryRun = False,
    batch_size: o.BatchSize = 0,
    workers: o.Workers = 0,
    implementation: o.Implementation = "exact",
    profile: o.Profile = False,
    thumbnails: o.Thumbnails = True,
    thumbnail_size: o.ThumbnailSize = None,
    allow_failures: o.AllowFailures = False,
    retry_failed: o.RetryFailed = False,
    allow_equal_text: o.AllowEqualText = False,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Index, thumbnails, regions (random crops, then SAM masks) and all embeddings: what needs photos or a GPU, once.

    What is there already is left alone: an interrupted run goes on where it stopped, new photos cost only themselves.

    Example: fgscore extract cars
    Example: fgscore extract "folder(name='mine')" --root ~/mine --regions random_crop
    Example: fgscore extract "folder(name='new')" --root ~/new --classes names.txt
    Example: fgscore extract cub --draws 3 --dry-run
    Example: fgscore extract cub --devices 0,1,2,3
    Example: fgscore extract cub --executor slurm --jobs 16 --slurm partition=gpu --slurm gres=gpu:1
    """
    from fgscore.execute.devices import run as on_devices
    from fgscore.execute.estimate import estimate
    from fgscore.execute.jobs import Job
    from fgscore.execute.preflight import make_index
    from fgscore.extract.extraction import extract as run_extraction
    from fgscore.extract.index import Photos
    from fgscore.extract.thumbnails import SIZE
    from fgscore.store.bundle import with_limit

    name = _extract.dataset(subject, dataset, protocol, data)
    array = _cluster.wanted(executor, jobs, slurm, wait, devices)
    chosen_devices = _extract.devices(device, devices)
    how = _extract.runtime(data, chosen_devices[0], batch_size, workers, implementation, profile)
    chosen = _extract.components(data, name, regions, encoder, prompt, how, draws=draws)
    with _run.Bars() as bars:
        store = _run.store(data)
        size = (thumbnail_size or SIZE) if thumbnails else None
        photos = Photos(root, partial, force, limit, classes)
        here = array is None and len(chosen_devices) == 1
        indexed = make_index(store, name, chosen, photos, thumbnails, bars, allow_equal_text, here)
        _extract.say_lost(indexed, bars)
        if dry_run:
            expected = estimate(store, indexed, chosen, how, size, bars)
            return _estimate.show(store, expected, array.jobs if array else len(chosen_devices), json)
        job = Job.of(store, indexed, chosen, how, retry_failed, size, allow_equal_text)
        if array:
            made = _cluster.run(store, job, array, bars)
            if isinstance(made, _cluster.Detached):
                return made.show(json)
            summaries = [indexed.summary, *made]
        elif len(chosen_devices) > 1:
            summaries = [indexed.summary, *on_devices(job, chosen_devices, bars, bars.say)[1:]]
        else:
            summaries = run_extraction(
                store, indexed, chosen, how, bars, retry_failed, size, allow_equal_text=allow_equal_text
            )
    scorer = "entropy" if any(s.kind == "text" for s in summaries) else "region_global"
    step = _next.meant("score", with_limit(name, limit), scorer=[scorer])
    _extract.finish(summaries, json, allow_failures, step, profile, chosen.notes, indexed)


if __name__ == "__main__":
    _run.main(extract)
