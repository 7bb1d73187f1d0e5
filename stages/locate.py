"""fgscore locate: whether the best regions lie on the annotated object or part."""

from __future__ import annotations

from typing import Any

from . import _options as o
from . import _run


def locate(
    subject: o.Subject = None,
    scorer: o.Scorer = ["all"],  # noqa: B006 (Typer copies it)
    target: o.Target = [o.TARGET],  # noqa: B006
    k: o.K_ = None,
    dataset: o.Dataset = None,
    regions: o.Regions = None,
    encoder: o.Encoder = None,
    prompt: o.Prompt = None,
    root: o.Root = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Say how much of the top k lies on the annotated object (boxes of cub, cars, aircraft) or part (pets, demo).

    Beside it the chance level: the same of all regions.

    Example: fgscore locate demo
    Example: fgscore locate cub --scorer soft_margin --target global --target oracle --k 1 --k 5
    """
    from fgscore.errors import DataError
    from fgscore.study.locate import locate as run_locate

    chosen, modes, pools = _run.scorers(scorer), _run.targets(target), _run.poolings(["topk"], k)
    rows: list[Any] = []
    without = []
    with _run.Bars() as bars:
        found = _run.bundles(data, _run.subject(subject, dataset, False), regions, encoder, prompt)
        for runs in _run.scored(found, chosen, modes, "locate"):
            made = run_locate(runs, pools, root, bars)
            rows += made
            without += [] if made else [runs[0].bundle.dataset]
    if not rows:
        raise DataError(
            f"expected object boxes or part maps, found none of {', '.join(dict.fromkeys(without))}; cub, cars, pets, "
            "aircraft and demo have some"
        )

    def show() -> None:
        from fgscore import terminal
        from fgscore.study import locate_tables

        terminal.show(*locate_tables.tables(rows))
        for name in dict.fromkeys(without):
            print(terminal.visible(f"left out {name}: no annotations"))

    _run.emit({"located": rows}, json, show)


if __name__ == "__main__":
    _run.main(locate)
