"""Puts the tables of one or several runs into README.md and docs/benchmarks.md, between two marks, so that no figure is
typed by hand.
"""

import pathlib

from . import machine, pictures, report, rows

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PICTURES = REPOSITORY / "docs/benchmarks"
ALTS = {
    "ratios": "Bars: corelane's cost over each peer's, by scenario",
    "connections": "Lines: requests a second over the number of connections",
    "memory": "Lines: memory over the number of lanes or workers",
}

# The README's rows: scenario, peers, what the work is called there.
README = [
    ("file-13b", ["nginx"], "13-byte file, 64 connections"),
    ("file-100k", ["nginx"], "100 KB file, 64 connections"),
    ("file-10m", ["nginx"], "10 MB file, 8 connections"),
    ("site-tree", ["nginx"], "a site of 20 files"),
    ("whole-job", ["nginx-gunicorn"], "that site, and a Flask page in every eleventh request"),
    ("flask-page", ["gunicorn-gthread", "granian", "uwsgi", "bjoern"], "Flask page with Jinja and SQLite"),
    ("flask-hello", ["gunicorn-gthread", "granian", "fastpysgi", "bjoern"], "Flask hello"),
    ("wsgi-hello-inline", ["fastpysgi", "bjoern"], "WSGI hello, `--threads 0`"),
    ("wsgi-hello", ["granian", "fastpysgi", "bjoern"], "WSGI hello"),
]


def publish(runs, everything):
    """Of a scenario that is in several of the runs the last one counts."""
    folders = [pathlib.Path(run).resolve() for run in runs]
    data, made = [], []
    for folder in folders:
        seen, newer = machine.read(folder), rows.read(folder)
        ran = {row.scenario for row in newer}
        data = [row for row in data if row.scenario not in ran] + newer
        link = folder.relative_to(REPOSITORY)
        made.append(f"[{link}](../{link}/): {report.made_on(seen)}")
        if len(folders) > 1:
            made[-1] += f" Scenarios: {len(ran)}."
    scenarios = [
        one for one in everything.values() if one.unbuilt or any(row.scenario == one.name for row in data)
    ]
    pictures.draw(PICTURES, scenarios, data)
    replace(REPOSITORY / "README.md", readme(everything, data))
    pictured = "\n".join(f"![{alt}](benchmarks/{name}.svg)\n" for name, alt in ALTS.items())
    parts = [*made, "### Bars", report.bars(scenarios, data), "### Pictures", pictured.strip()]
    parts += [
        "### All comparisons",
        report.table(scenarios, data),
        "### Remarks",
        report.remarks(scenarios, data),
    ]
    replace(REPOSITORY / "docs/benchmarks.md", "\n\n".join(parts))


def readme(everything, data):
    lines = ["| work, one core | beside | ratio of CPU a request (less is better) |", "|---|---|---|"]
    for name, peers, title in README:
        for peer in peers:
            for seen in report.compare(everything[name], peer, data):
                ratio = f"{seen.ratio:.2f}" if seen.ratio else "void"
                lines.append(
                    f"| {title} | {peer} | {f'**{ratio}**' if seen.ratio and seen.ratio <= 1 else ratio} |"
                )
    return "\n".join(lines)


def replace(file, text):
    before, rest = file.read_text().split("<!-- run -->\n", 1)
    _, after = rest.split("<!-- end of run -->\n", 1)
    file.write_text(f"{before}<!-- run -->\n{text}\n<!-- end of run -->\n{after}")
