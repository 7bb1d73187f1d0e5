"""What the commands of the GPU half share: the index, the components, the closing table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from . import _next, _run


def dataset(subject: str | None, option: str | None, protocol: str | None, data: Path) -> str:
    """The data set named, one that the store knows by its name as it was indexed, with ``--protocol`` as its parameter.
    Raises :class:`UsageError` where it has none."""
    from fgscore import specs
    from fgscore.errors import UsageError
    from fgscore.store.known import as_indexed

    name = as_indexed(_run.store(data), str(_run.subject(subject, option)))
    if protocol is None:
        return name
    spec = specs.parse(name)
    if spec.params.get("protocol", protocol) != protocol:
        raise UsageError(f"expected one protocol, found --protocol {protocol} and {name}")
    return specs.text(spec.name, {**spec.params, "protocol": protocol})


def devices(device: str, several: str | None) -> list[str]:
    """The devices that ``--device`` or ``--devices`` name, each checked. Raises :class:`UsageError` for both."""
    from fgscore.errors import UsageError
    from fgscore.execute.devices import parse
    from fgscore.runtime import Runtime

    if several is None:
        return [device]
    if device != "auto":
        raise UsageError(f"expected --device or --devices, found --device {device} and --devices {several}")
    named = parse(several)
    for name in dict.fromkeys(named):
        if name != "cpu":  # which needs no torch to be sure of
            Runtime(device=name).torch_device()
    return named


def runtime(
    data: Path, device: str, batch_size: int, workers: int, implementation: str = "exact", profile: bool = False
) -> Any:
    """How the run is carried out."""
    from fgscore.runtime import Runtime
    from fgscore.store.paths import Layout

    models, offline = Layout(data).models, _run.offline()
    return Runtime(models, device, batch_size, workers, offline, implementation, profile)


def components(
    data: Path,
    dataset: str,
    regions: list[str] | None,
    encoder: list[str] | None,
    prompt: list[str] | None,
    how: Any,
    may_be_cached: bool = True,
    draws: int = 1,
) -> Any:
    """What was asked for, the data set's own defaults in place of what was not. Regions may also be such as no
    generator makes here, if they are in the cache. Those that are drawn come in as many ``draws``, a seed each."""
    from fgscore.datasets import DataSet
    from fgscore.extract import known
    from fgscore.extract.drawn import drawn
    from fgscore.extract.parts import Parts

    chosen = DataSet.bind(dataset)
    store = _run.store(data)
    own = chosen.defaults
    return Parts.of(
        drawn(list(own.regions) if regions is None else regions, draws),
        [own.encoder] if encoder is None else encoder,
        prompt or [own.prompt],
        how,
        chosen.noun,
        lambda text: may_be_cached and known.is_cached(store, chosen.key, text),
    )


def finish(
    summaries: list[Any],
    as_json: bool,
    allow_failures: bool,
    next_step: str,
    profile: bool = False,
    notes: Mapping[str, list[str]] = {},
    indexed: Any = None,
) -> None:
    """Print what was made and what was there already, what ``notes`` say of which names, with ``profile`` where the
    time went, and of photos that were ``indexed`` what was left out; exit 3 where that were pictures, quarantined or
    passed over."""
    from fgscore import terminal
    from fgscore.tables import Column, Table

    failures = {f["image_id"]: f["reason"] for s in summaries for f in s.failures}
    computed = sum(s.computed for s in summaries)

    def show() -> None:
        columns = [
            Column("artefact", "artefact"),
            Column("computed", "shards made", "count"),
            Column("reused", "already there", "count"),
            Column("images", "images", "count"),
            Column("regions", "regions an image", "number"),
            Column("failed", "failed", "count"),
            Column("seconds", "time", "seconds"),
        ]
        rows = [
            {
                "artefact": s.label,
                "computed": s.computed,
                "reused": s.reused,
                "images": s.images or None,
                "regions": s.regions / s.images if s.kind == "regions" and s.images else None,
                "failed": len(s.failures) or None,
                "seconds": s.seconds,
            }
            for s in summaries
        ]
        terminal.show(Table("artefacts", "", columns, rows))
        if profile and computed:
            _show_profile(summaries)
        print()
        if not computed:
            print("Everything was there already: nothing was recomputed.")
        for image_id, reason in list(failures.items())[:10]:
            print(terminal.visible(f"quarantined {image_id}: {reason}"))
        if len(failures) > 10:
            print(f"... and {len(failures) - 10} more; --json lists all")
        for about, names in notes.items():
            more = f" and {len(names) - 5} more; --json lists all" if len(names) > 5 else ""
            print(terminal.visible(f"{len(names):,} {about}: {', '.join(names[:5])}{more}"))
        for s in (s for s in summaries if s.unseen):
            print(terminal.visible(s.label))
            print(f"  {s.unseen:,} of {s.regions:,} regions lie outside of what its model sees of their")
            print("  images, and take its nearest patch; with fit=squash it sees all of them")
        if indexed:
            show_account(indexed.account, indexed.remarks)
        _next.step(next_step)

    artefacts = [s.to_json() for s in summaries]
    content = {"artefacts": artefacts, "quarantined": failures, "notes": dict(notes), "computed": computed}
    if indexed:
        content |= {"passed_over": indexed.account.to_json(), "remarks": list(indexed.remarks)}
    _run.emit(content, as_json, show)
    if (failures or (indexed and indexed.account.lost)) and not allow_failures:
        raise typer.Exit(_run.QUARANTINED)


def say_lost(indexed: Any, bars: Any) -> None:
    """What was passed over and will be missed, on stderr, before anything takes long."""
    for line in indexed.account.lines(lost=True):
        bars.say(f"{indexed.artefact.dataset}: {line}")


def show_account(account: Any, remarks: Sequence[str]) -> None:
    """A line for each reason for which files are no photos of the set, and for each remark."""
    from fgscore.terminal import visible

    for line in account.lines():
        print(visible(line))
    for line in remarks:
        print(visible(f"note: {_next.inside(line)}"))


def _show_profile(summaries: list[Any]) -> None:
    """How long each step of what was computed took, summed over threads."""
    from fgscore import terminal
    from fgscore.tables import Column, Table

    steps = list(dict.fromkeys(step for s in summaries for step in s.spent))
    columns = [Column("artefact", "artefact"), *(Column(name, name, "seconds") for name in (*steps, "clock"))]
    rows = [{"artefact": s.label, **s.spent, "clock": s.seconds} for s in summaries if s.spent]
    print()
    terminal.show(Table("profile", "Where the seconds went", columns, rows))
