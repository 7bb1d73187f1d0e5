"""fgscore probe: train a linear probe on pooled features and measure it on the test images."""

from __future__ import annotations

from fgscore.errors import UsageError

from . import _features, _run
from . import _options as o


def probe(
    subject: o.Subject = None,
    scorer: o.Scorer = [o.SCORER],  # noqa: B006 (Typer copies it)
    target: o.Target = [o.TARGET],  # noqa: B006
    pool: o.Pool = [o.POOL],  # noqa: B006
    k: o.K_ = None,
    head: o.Head = [o.HEAD],  # noqa: B006
    seed: o.Seed = 0,
    features: o.Features = "unit",
    dataset: o.Dataset = None,
    regions: o.Regions = None,
    encoder: o.Encoder = None,
    prompt: o.Prompt = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Fit a head on pooled features, print top-1 and mean per-class accuracy on the test images.

    Scores that are missing are computed; results known already are read back.

    Example: fgscore probe --scorer entropy --k 5
    Example: fgscore probe --scorer all --target global --target local --k 1 --k 5 --k all
    Example: fgscore probe --pool none --head logreg --head zeroshot
    """
    from fgscore.pipeline.probe import ProbeRun
    from fgscore.pipeline.probe import probe as run_probes
    from fgscore.probe import bind

    chosen, modes, pools = _run.scorers(scorer), _run.targets(target), _run.poolings(pool, k)
    heads = [bind(_seeded(text, seed)) for text in dict.fromkeys(head)]
    with _run.Bars() as bars:
        found = _run.bundles(data, _run.subject(subject, dataset, False), regions, encoder, prompt)
        runs = [
            ProbeRun(features_run, one)
            for bundle in _features.usable(found, pools)
            for features_run in _features.feature_runs(bundle, chosen, modes, pools, features)
            for one in heads
        ]
        rows = run_probes(list({run.digest(): run for run in runs}.values()), bars)

    def show() -> None:
        from fgscore.report import tables

        tables.show(tables.probe_rows(rows), tables.PROBE_COLUMNS)
        known = sum(row["cached"] for row in rows)
        if known:
            print(f"\n{known} of {len(rows)} results were known already.")

    _run.emit({"results": rows}, json, show)


def _seeded(head: str, seed: int) -> str:
    """``--seed`` is short for the head's own seed, where it has one."""
    if not seed or not head.strip().startswith("logreg"):
        return head
    if "seed" in head:
        raise UsageError(f"expected the seed once, found --seed {seed} and --head {head!r}")
    name, _, rest = head.strip().partition("(")
    inside = rest.removesuffix(")")
    return f"{name}({inside}{', ' if inside else ''}seed={seed})"


if __name__ == "__main__":
    _run.main(probe)
