"""What became of a version: approvals, aliases, releases, and how it fared."""

from trivet.workspace.cards.card import Gap, Grid, Section
from trivet.workspace.cards.evidence import Evidence
from trivet.workspace.cards.words import grouped, lines, written


def governance(evidence: Evidence) -> Section:
    """Who approved it, where its aliases pointed, what was decided about it."""
    grids: list[Grid] = []
    if evidence.approvals:
        rows = tuple(
            (
                each.requested.place,
                each.by,
                ", ".join(each.given) or "nobody",
                f"{len(each.given)} of {each.needed}",
                each.state,
            )
            for each in evidence.approvals
        )
        heads = ("alias", "asked by", "approved by", "approvals", "state")
        grids.append(Grid(caption="Approvals", headings=heads, rows=rows))
    if evidence.moves:
        rows = tuple((f"{each.time:%Y-%m-%d %H:%M}", each.by, each.text) for each in evidence.moves)
        heads = ("time (UTC)", "by", "move")
        grids.append(Grid(caption="Aliases and stages", headings=heads, rows=rows))
    if evidence.releases:
        rows = tuple(
            (plan.endpoint, str(plan.generation), plan.stage, who, plan.why)
            for who, plan in evidence.releases
        )
        heads = ("endpoint", "generation", "stage", "by", "why")
        grids.append(Grid(caption="Releases", headings=heads, rows=rows))
    gaps: list[Gap] = []
    if not evidence.approvals:
        command = "`trivet models protect champion --approvals 1`, then move the alias"
        gaps.append(Gap(what="an approval by somebody else", command=command))
    return Section(
        key="governance",
        title="Approvals and releases",
        lines=lines([("deprecated", str(evidence.deprecation or ""))]),
        grids=tuple(grids),
        gaps=tuple(gaps),
    )


def monitoring(evidence: Evidence) -> Section:
    """How it fared since it is served."""
    windows, alerts = evidence.windows, evidence.alerts
    if not windows:
        gap = Gap(what="windows of served traffic", command="`trivet release`, then `trivet up`")
        return Section(key="monitoring", title="Monitoring", gaps=(gap,))
    figures = sorted({name for window in windows for name in window.figures})
    rows = tuple(
        (
            f"{window.start:%Y-%m-%d %H:%M}",
            f"{window.end:%Y-%m-%d %H:%M}",
            grouped(window.predictions),
            grouped(window.labelled),
            *(
                written(found.value, found.low, found.high)
                if (found := window.figures.get(name)) is not None
                else ""
                for name in figures
            ),
        )
        for window in windows[-50:]
    )
    heads = ("from (UTC)", "to", "predictions", "with truth", *figures)
    found = [("windows", grouped(len(windows))), ("alerts", grouped(len(alerts)))]
    if evidence.baseline is not None:
        base = evidence.baseline
        found.append(("watched", f"{base.loss}, {base.level:.4g} on held-out rows"))
    found += [(f"alert {alert.event_time:%Y-%m-%d}", alert.summary) for alert in alerts]
    return Section(
        key="monitoring",
        title="Monitoring",
        lines=lines(found),
        grids=(Grid(caption="The newest windows", headings=heads, rows=rows),),
    )
