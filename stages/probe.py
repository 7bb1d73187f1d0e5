"""fgscore probe: train a linear probe on pooled features and measure it on the test images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fgscore.errors import UsageError, quoted

from . import _features, _next, _run
from . import _options as o


def probe(
    subject: o.Subject = None,
    scorer: o.Scorer = [o.SCORER],  # noqa: B006 (Typer copies it)
    target: o.Target = [o.TARGET],  # noqa: B006
    pool: o.Pool = [o.POOL],  # noqa: B006
    k: o.K_ = None,
    head: o.Head = [o.HEAD],  # noqa: B006
    seed: o.Seed = 0,
    shots: o.Shots = None,
    features: o.Features = "unit",
    dataset: o.Dataset = None,
    regions: o.Regions = None,
    encoder: o.Encoder = None,
    prompt: o.Prompt = None,
    save_probe: Annotated[
        Path | None,
        typer.Option("--save-probe", help="Keep the one classifier as FILE.safetensors.", show_default=False),
    ] = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Fit a head on pooled features, print top-1 and mean per-class accuracy on the test images.

    Scores that are missing are computed; results known already are read back.

    Example: fgscore probe --scorer entropy --k 5
    Example: fgscore probe --scorer all --target global --target local --k 1 --k 5 --k all
    Example: fgscore probe --pool none --head logreg --head zeroshot
    Example: fgscore probe --head adamw --shots 1 --shots 4 --shots 16
    Example: fgscore probe cub --scorer soft_margin --save-probe birds.safetensors
    """
    from fgscore.evaluate.probe import probe as run_probes
    from fgscore.evaluate.runs import probe_runs

    chosen, modes, pools = _run.scorers(scorer), _run.targets(target), _run.poolings(pool, k)
    heads = _run.heads(head, [seed])
    with _run.Bars() as bars:
        found = _run.bundles(data, _run.subject(subject, dataset, False), regions, encoder, prompt)
        usable = _features.usable(found, pools)
        every = probe_runs(usable, chosen, modes, pools, heads, shots or (None,), _features.rows(features))
        runs = {run.digest: run for run in _run.with_needs(every)}
        if save_probe:
            _check_saved(list(runs.values()), save_probe)
        _run.without_labels(list(runs.values()))
        rows = [result.to_json() for result in run_probes(list(runs.values()), bars)]
        if save_probe:
            from fgscore.evaluate.saved import save

            save(next(iter(runs.values())), save_probe)

    def show() -> None:
        from fgscore import terminal
        from fgscore.report import study

        terminal.show(study.every_result(rows))
        known = sum(row["cached"] for row in rows)
        if known:
            print(f"\n{known} of {len(rows)} results were known already.")
        if save_probe:
            print(f"\nFor photos: {_next.here(f'fgscore predict --probe {quoted(str(save_probe))} PHOTO...')}")

    _run.emit({"results": rows}, json, show)


def _check_saved(runs: list[Any], path: Path) -> None:
    from fgscore.evaluate.saved import check

    if len(runs) != 1:
        raise UsageError(
            f"--save-probe keeps one classifier, found {len(runs)} to be made; name one data set, scorer, k and head"
        )
    check(runs[0], path)


if __name__ == "__main__":
    _run.main(probe)
