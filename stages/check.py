"""fgscore check: look at the photos of a data set before anything is made of them."""

from __future__ import annotations

import typer

from . import _extract, _next, _run
from . import _options as o

SHOWN = 5


def check(
    subject: o.Subject = None,
    dataset: o.Dataset = None,
    root: o.Root = None,
    data: o.Data = o.DATA,
    json: o.Json = False,
) -> None:
    """Look at what is there: layout, counts by split, files that cannot be read or are no photos of the set, what is
    missing, the next command.

    Nothing is written. Exit code 0 when all is there and sound, 3 when some pictures cannot be used and all else is
    sound, 1 otherwise.

    Example: fgscore check cars --root ~/photos
    """
    from fgscore.acquire.check import check as run_check
    from fgscore.store.paths import Layout

    name = _extract.dataset(subject, dataset, None, data)
    with _run.Bars() as bars:
        report = run_check(name, Layout(data), root=root, progress=bars)

    def show() -> None:
        print(f"{name}: layout found in {report.layout}" if report.layout else f"{name}: not found in {report.root}")
        if report.layout:
            counts = ", ".join(f"{report.found.get(s, 0)} of {n} {s}" for s, n in report.expected.items())
            found, expected = sum(report.found.values()), sum(report.expected.values())
            classes = f"{report.classes} class{'es' * (report.classes != 1)}"
            print(f"photos: {found} of {expected} ({counts}), {classes}")
            _list("labels", [report.unlabelled] if report.unlabelled else [])
            _list("for a probe", report.probe)
        _list("missing", report.missing)
        _list("unreadable", [f"{path}: {reason}" for path, reason in report.unreadable.items()])
        _list("at fault", report.findings)
        _extract.show_account(report.account, report.remarks)
        print("sound" if report.sound else "not sound")
        if report.advice:
            print(report.advice)
        _next.step(report.next)
        if report.otherwise:
            _next.step(report.otherwise, "Or")

    commands = {key: _next.here(getattr(report, key)) for key in ("next", "otherwise")}
    _run.emit({**report.to_json(), **commands}, json, show)
    if not report.sound:
        raise typer.Exit(_run.QUARANTINED if report.usable else 1)


def _list(title: str, lines: list[str]) -> None:
    from fgscore.terminal import visible

    for line in lines[:SHOWN]:
        print(visible(f"{title}: {_next.inside(line)}"))
    if len(lines) > SHOWN:
        print(f"{title}: ... and {len(lines) - SHOWN} more; --json lists all")


if __name__ == "__main__":
    _run.main(check)
