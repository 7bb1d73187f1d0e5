"""fgscore aggregate: pool scored regions into one feature vector an image."""

from __future__ import annotations

from . import _features, _next, _run
from . import _options as o


def aggregate(
    subject: o.Subject = None,
    scorer: o.Scorer = [o.SCORER],  # noqa: B006 (Typer copies it)
    target: o.Target = [o.TARGET],  # noqa: B006
    pool: o.Pool = [o.POOL],  # noqa: B006
    k: o.K_ = None,
    features: o.Features = "unit",
    dataset: o.Dataset = None,
    regions: o.Regions = None,
    encoder: o.Encoder = None,
    prompt: o.Prompt = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Pool scored regions into [global; local] features and store them. Scores that are missing are computed.

    Example: fgscore aggregate --scorer entropy --k 1 --k 5 --k all
    """
    from fgscore.evaluate.features import aggregate_features
    from fgscore.evaluate.runs import feature_runs

    chosen, modes, pools = _run.scorers(scorer), _run.targets(target), _run.poolings(pool, k)
    summed, rows, name = _features.rows(features), [], _run.subject(subject, dataset, False)
    with _run.Bars() as bars:
        found = _run.bundles(data, name, regions, encoder, prompt)
        every = [
            run
            for bundle in _features.usable(found, pools)
            for run in feature_runs(bundle, chosen, modes, pools, summed)
        ]
        for runs in _run.by_bundle(_run.with_needs(every)):
            bundle = runs[0].bundle
            made = [s for s in aggregate_features(runs, bars) if s.kind == "features"]
            for run, summary in zip(runs, made, strict=True):
                rows.append(
                    {
                        **bundle.labels,
                        "scorer": run.scores.scorer.canonical if run.scores else "",
                        "target": run.scores.target_text if run.scores else "",
                        "pool": run.pooling.canonical,
                        "computed": summary.computed,
                        "reused": summary.reused,
                        "artefact": summary.label,
                    }
                )

    def show() -> None:
        from fgscore import terminal
        from fgscore.evaluate import strategies
        from fgscore.tables import Column, Table

        columns = [
            *strategies.columns("dataset", "regions", "encoder", "prompt", "scorer", "target", "pool"),
            Column("computed", "shards made", "count"),
            Column("reused", "already there", "count"),
            Column("artefact", "artefact"),
        ]
        marked = [{**row, "target": strategies.target_name(row["target"])} for row in rows]
        terminal.show(Table("features", "", columns, marked, once=("dataset", "encoder", "prompt")))
        print()
        where = {"regions": regions, "encoder": encoder, "prompt": prompt}
        how = {"scorer": scorer, "target": target, "pool": pool, "k": k, "features": features}
        _next.step(_next.meant("probe", name, **where, **how))

    _run.emit({"features": rows}, json, show)


if __name__ == "__main__":
    _run.main(aggregate)
