"""What was seen, in words: lines in the terminal, summary.md, and each bar beside its ratio.

A ratio is corelane's value over its peer's in the same pair of turns; of all pairs the least, the median
and the greatest are told. Less is better in every column but requests a second.
"""

import dataclasses
import datetime
import pathlib
import platform
import statistics

from .scenario import MEASURES

RUNS = pathlib.Path(__file__).resolve().parent.parent / "runs"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One scenario beside one peer at one number of connections or lanes."""

    peer: str
    at: int
    own: float | None  # medians
    other: float | None
    ratios: tuple  # sorted; empty where a side is missing or void
    own_rps: float | None
    other_rps: float | None
    own_p99: float | None
    other_p99: float | None
    remarks: tuple  # why a side is void, and notes

    @property
    def ratio(self):
        return statistics.median(self.ratios) if self.ratios else None


def compare(scenario, peer, rows):
    """The comparisons of a scenario with one of its peers."""
    chosen = [row for row in rows if (row.scenario, row.peer) == (scenario.name, peer)]
    return [
        compare_at(scenario, peer, at, [row for row in chosen if row.at == at])
        for at in dict.fromkeys(row.at for row in chosen)
    ]


def compare_at(scenario, peer, at, rows):
    own = [row for row in rows if row.server == "corelane"]
    other = [row for row in rows if row.server == peer]

    def value(row):
        return None if row.void else getattr(row, scenario.compares)

    pairs = [(value(a), value(b)) for a, b in zip(own, other)]
    void = any(row.void for row in rows)  # one wrong answer, and the whole comparison counts for nothing
    ratios = sorted(a / b for a, b in pairs if a and b) if not void else []
    remarks = [f"{row.server}: {row.void}" for row in rows if row.void]
    remarks += [f"{row.server}: {shorten(row.note)}" for row in rows if row.note and not row.void]
    return Comparison(
        peer,
        at,
        own=median(map(value, own)),
        other=median(map(value, other)),
        ratios=tuple(ratios),
        own_rps=median(row.requests_per_second for row in own if not row.void),
        other_rps=median(row.requests_per_second for row in other if not row.void),
        own_p99=median(row.p99_ms for row in own if not row.void),
        other_p99=median(row.p99_ms for row in other if not row.void),
        remarks=tuple(dict.fromkeys(remarks)),
    )


def shorten(note):
    """Without the figure that differs from turn to turn."""
    return note.split(": server")[0]


def median(values):
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def line(scenario, row):
    """A turn, for the terminal."""
    if row.void:
        return f"    {row.turn + 1}  {row.server:16} void: {row.void}"
    parts = [f"{figure(getattr(row, scenario.compares)):>9} {MEASURES[scenario.compares]}"]
    if row.requests_per_second:
        parts += [f"{row.requests_per_second:>9,.0f} requests/s", f"p99 {figure(row.p99_ms)} ms"]
    at = f"at {row.at}" if len(scenario.connections) > 1 or len(scenario.lanes) > 1 else ""
    return f"    {row.turn + 1}  {row.server:16} {at:8}{'  '.join(parts)}  {row.note}"


def sentence(scenario, comparison):
    """A comparison, for the terminal."""
    at = f" at {comparison.at}" if len(scenario.connections) > 1 or len(scenario.lanes) > 1 else ""
    if comparison.ratio is None:
        return f"= no ratio{at}: {'; '.join(comparison.remarks)}"
    return f"= ratio {span(comparison)}{at}, less is better"


def span(comparison):
    low, high = comparison.ratios[0], comparison.ratios[-1]
    return f"{comparison.ratio:.2f} ({low:.2f} to {high:.2f})"


def figure(value):
    """Three digits that count."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def new_folder(kept):
    """Where the run goes: a folder of its own, or the same one again for a run that is just a look."""
    name = f"{datetime.date.today().isoformat()}-{platform.release()}"
    folder = RUNS / (name if kept else "partial")
    number = 2
    while kept and folder.exists():
        folder = RUNS / f"{name}-{number}"
        number += 1
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write(folder, scenarios, rows, machine):
    """summary.md of a run."""
    parts = [f"# Run of {machine['date']}", made_on(machine), "## Bars", bars(scenarios, rows), "## All"]
    parts += [table(scenarios, rows), "## Why rows are void, and what limited them", remarks(scenarios, rows)]
    (folder / "summary.md").write_text("\n\n".join(parts) + "\n")


def made_on(machine):
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"Linux {machine['kernel']}, {machine['processor']}, {machine['cpus']} CPUs, "
        f"{machine['memory_gib']} GiB, Python {machine['python']}, {machine['wrk']}, commit "
        f"{machine['commit']}. {machine['turns']} turns of {machine['seconds']} s for each server in "
        f"{machine['rounds']} rounds; one CPU for the server and another for the load. {versions}."
    )


def bars(scenarios, rows):
    """Each bar beside its ratio: held or missed."""
    lines = ["| bar | beside | at most | seen | |", "|---|---|---|---|---|"]
    for one in scenarios:
        for peer, most in one.bars.items():
            last = (compare(one, peer, rows) or [None])[-1]
            seen = last and last.ratio
            verdict = one.unbuilt or (verdict_of(seen, most) if seen else "no ratio")
            lines.append(f"| {one.title} | {peer} | {most:.2f} | {span(last) if seen else ''} | {verdict} |")
        if one.bar_value is not None:
            own = median(getattr(row, one.compares) for row in rows if is_own(row, one))
            verdict = verdict_of(own, one.bar_value) if own else "void"
            measure = MEASURES[one.compares]
            lines.append(f"| {one.title} | {measure} | {figure(one.bar_value)} | {figure(own)} | {verdict} |")
    return "\n".join(lines)


def is_own(row, scenario):
    return row.scenario == scenario.name and row.server == "corelane" and not row.void


def verdict_of(seen, most):
    return "held" if seen <= most else "**missed**"


def table(scenarios, rows):
    """Every comparison: corelane's value, the peer's, the ratio, requests a second, p99."""
    lines = [
        "| work | at | corelane | beside | its value | ratio | requests/s | its | p99 ms | its |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in scenarios:
        lines.append(f"| *{one.title}: {MEASURES[one.compares]}* | | | | | | | | | |")
        for peer in one.peers:
            for seen in compare(one, peer, rows):
                ratio = (
                    f"**{seen.ratio:.2f}** ({seen.ratios[0]:.2f}–{seen.ratios[-1]:.2f})"
                    if seen.ratios
                    else "void"
                )
                cells = [one.name, seen.at, figure(seen.own), peer, figure(seen.other), ratio]
                cells += map(figure, (seen.own_rps, seen.other_rps, seen.own_p99, seen.other_p99))
                lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def remarks(scenarios, rows):
    lines = []
    for one in scenarios:
        if one.unbuilt:
            lines.append(f"- {one.name}: {one.unbuilt}")
        for peer in one.peers:
            for seen in compare(one, peer, rows):
                lines += [f"- {one.name}, {peer}, {seen.at}: {remark}" for remark in seen.remarks]
    return "\n".join(lines) or "None."
