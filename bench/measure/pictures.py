"""The pictures of a run, as SVG that is readable on a light and on a dark page.

matplotlib draws with three stand-in colours; in the file they become CSS variables, whose values follow
the reader's colour scheme. Texts stay texts, so that they can be searched and read aloud.
"""

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt

from . import report

# Stand-in, and what it is on a light and on a dark page.
INK, FAINT, OWN = "#010203", "#040506", "#070809"
SCHEMES = {
    INK: ("ink", "#1f2328", "#e6edf3"),
    FAINT: ("faint", "#d0d7de", "#3d444d"),
    OWN: ("own", "#0a7d6c", "#3fd0b6"),
}
OTHERS = ["#c2701c", "#7a68c8", "#3d85c6", "#b5475f", "#7f8c2a", "#8a8f98"]  # read well on both
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "corelane",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
} | {f"{what}color": INK for what in ("text.", "axes.label", "axes.title", "xtick.", "ytick.")}


def draw(folder, scenarios, rows):
    """ratios.svg, and where there is something to draw connections.svg and memory.svg."""
    with plt.rc_context(STYLE):
        draw_ratios(folder / "ratios.svg", scenarios, rows)
        sweeps = [one for one in scenarios if len(one.connections) > 1]
        draw_lines(
            folder / "connections.svg",
            sweeps,
            rows,
            "requests_per_second",
            "connections",
            "requests a second",
        )
        memory = [one for one in scenarios if one.load == "memory" and len(one.lanes) > 1 and not one.unbuilt]
        draw_lines(folder / "memory.svg", memory, rows, "pss_mib", "lanes or workers", "MiB (PSS)")


def draw_ratios(file, scenarios, rows):
    """A bar for each comparison; left of the line at 1 corelane needs less."""
    bars = []
    for one in scenarios:
        for peer in one.peers:
            for seen in report.compare(one, peer, rows):
                if seen.ratios and peer != "corelane-quiet":
                    at = f" ({seen.at})" if len(one.connections) > 1 or len(one.lanes) > 1 else ""
                    bars.append((f"{one.title}{at} / {peer}", seen))
    if not bars:
        return
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.21 * len(bars)))
    values = [seen.ratio for _, seen in bars]
    reach = [
        [seen.ratio - seen.ratios[0] for _, seen in bars],
        [seen.ratios[-1] - seen.ratio for _, seen in bars],
    ]
    colours = [OWN if value <= 1 else OTHERS[0] for value in values]
    axes.barh(range(len(bars)), values, color=colours, height=0.7)
    axes.errorbar(values, range(len(bars)), xerr=reach, fmt="none", ecolor=INK, elinewidth=0.8, capsize=1.5)
    axes.set_yticks(range(len(bars)), [name for name, _ in bars], fontsize=8)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.axvline(1, color=INK, linewidth=1)
    longest = min(2.5, max(1.2, max(values) * 1.1))
    axes.set_xlim(0, longest)
    for place, value in enumerate(values):
        if value > longest:
            axes.text(longest, place, f" {value:.1f}", va="center", fontsize=8)
    axes.grid(axis="y", visible=False)
    axes.set_title("corelane's cost over its peer's: less is better", loc="left")
    save(figure, file)


def draw_lines(file, scenarios, rows, measure, across, upward):
    """One panel for each scenario, one line for each server."""
    if not scenarios:
        return
    figure, panels = plt.subplots(1, len(scenarios), figsize=(4.8 * len(scenarios), 3.6), squeeze=False)
    for one, axes in zip(scenarios, panels[0]):
        for number, server in enumerate(["corelane", *one.peers]):
            points = medians(one, server, rows, measure)
            colour = OWN if server == "corelane" else OTHERS[(number - 1) % len(OTHERS)]
            axes.plot(
                list(points), list(points.values()), marker="o", markersize=4, color=colour, label=server
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(one.connections if len(one.connections) > 1 else one.lanes)
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(across)
        axes.set_ylabel(upward)
        axes.set_title(one.title, loc="left", fontsize=10)
        axes.legend(frameon=False, fontsize=8)
    save(figure, file)


def medians(scenario, server, rows, measure):
    own = [row for row in rows if row.scenario == scenario.name and row.server == server]
    at = sorted({row.at for row in own} - {row.at for row in own if row.void})
    points = {x: report.median(getattr(row, measure) for row in own if row.at == x) for x in at}
    return {x: y for x, y in points.items() if y is not None}


def save(figure, file):
    figure.tight_layout()
    figure.savefig(file, transparent=True, metadata={"Date": None})
    plt.close(figure)
    text = file.read_text()
    for colour, (name, _, _) in SCHEMES.items():
        text = text.replace(colour, f"var(--{name})")
    light = " ".join(f"--{name}: {light};" for name, light, _ in SCHEMES.values())
    dark = " ".join(f"--{name}: {dark};" for name, _, dark in SCHEMES.values())
    style = f"<style>:root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}</style>"
    head, rest = text.split("<defs>", 1)
    file.write_text(f"{head}<defs>{style}{rest}")
