"""fgscore embed: global, text and region embeddings of what is indexed, and thumbnails."""

from __future__ import annotations

from . import _options as o
from . import _run, extract


def embed(
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
    device: o.Device = "auto",
    devices: o.Devices = None,
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
    """Embed whole photos, class names and regions; regions and thumbnails that are not there yet are made first.

    Example: fgscore embed cub --encoder "clip(model='openai/clip-vit-base-patch32', outside='keep')"
    Example: fgscore embed cub --prompt "a photo of a {}, a type of bird."
    """
    extract.extract(**locals())  # the same work: embeddings need their regions


if __name__ == "__main__":
    _run.main(embed)
