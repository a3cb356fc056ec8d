"""The raw data of a run: one line of CSV for each turn, written as soon as it is over."""

import csv
import dataclasses

from .turns import Row

NAMES = [field.name for field in dataclasses.fields(Row)]
TEXTS = {"scenario", "peer", "server", "note", "void"}
COUNTS = {"at", "turn", "requests"}


class Table:
    """All rows until now, in memory and in raw.csv."""

    def __init__(self, folder):
        self.rows, self.file = [], folder / "raw.csv"
        with open(self.file, "w", newline="") as file:
            csv.writer(file).writerow(NAMES)

    def add(self, row):
        self.rows.append(row)
        with open(self.file, "a", newline="") as file:
            csv.writer(file).writerow(to_text(getattr(row, name)) for name in NAMES)


def read(folder):
    """The rows of a run that was written."""
    with open(folder / "raw.csv", newline="") as file:
        return [
            Row(**{name: of_text(name, text) for name, text in line.items()}) for line in csv.DictReader(file)
        ]


def to_text(value):
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def of_text(name, text):
    if name in TEXTS:
        return text
    if not text:
        return None
    return int(text) if name in COUNTS else float(text)
