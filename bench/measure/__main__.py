"""The command line: `scripts/bench [SCENARIO [PEER]] [--quick] [--rounds N] ...`."""

import argparse
import dataclasses
import os
import pathlib
import tempfile

import peers

from . import machine, pictures, publish, report, scenario, turns
from .rows import Table
from .work import Work

TEXT = """examples:
  scripts/bench                        everything; writes bench/runs/DATE-KERNEL
  scripts/bench --quick                the bars of the design in about 3 minutes
  scripts/bench file-13b nginx         one pair
  scripts/bench wsgi-hello             one scenario with all its peers
  scripts/bench --only wsgi-hello,flask-hello    these, in a folder of their own in bench/runs
  scripts/bench --list                 what there is
  scripts/bench --publish RUN RUN      the tables of README and docs; of a scenario the last run counts
"""


def main():
    options = arguments()
    everything = scenario.read_all()
    if options.list:
        return list_all(everything)
    if options.publish:
        return publish.publish(options.publish, everything)
    chosen = choose(everything, options)
    turns_each, rounds, seconds = (3, 1, 2) if options.quick else (3, 2, 2)
    seconds = options.seconds or seconds
    folder = report.new_folder(kept=not (options.quick or options.scenario))
    table = Table(folder)
    with tempfile.TemporaryDirectory(prefix="corelane-bench-") as scratch:
        scratch = pathlib.Path(scratch)
        bench = turns.Bench(
            work=Work(scratch),
            scratch=scratch,
            seconds=seconds,
            turns=turns_each,
            cpus=tuple(sorted(os.sched_getaffinity(0))),
        )
        seen = machine.describe(chosen, dataclasses.replace(bench, work=None), options.rounds or rounds)
        machine.write(seen, folder)
        run(bench, chosen, options.rounds or rounds, table)
    report.write(folder, chosen, table.rows, seen)
    pictures.draw(folder, chosen, table.rows)
    print(f"\n{report.bars(chosen, table.rows)}\nWritten to {folder}")


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures corelane beside its peers on this machine.",
        epilog=TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="?", help="one scenario, by name (see --list)")
    parser.add_argument("peer", nargs="?", help="one peer of it")
    parser.add_argument("--only", metavar="A,B", help="several scenarios, by name")
    parser.add_argument("--quick", action="store_true", help="the bars of the design, in about 3 minutes")
    parser.add_argument("--rounds", type=int, help="how often both servers are started anew")
    parser.add_argument("--seconds", type=int, help="of load in a turn")
    parser.add_argument("--list", action="store_true", help="scenarios and peers")
    parser.add_argument("--publish", metavar="RUN", nargs="+", help="put runs into README and docs")
    return parser.parse_args()


def list_all(everything):
    for one in everything.values():
        print(f"{one.name:24} {one.title}\n{'':24} beside {', '.join(one.peers)}")


def choose(everything, options):
    """The scenarios to run, each with the peers to run it with."""
    names = options.only.split(",") if options.only else [options.scenario or ""]
    for name in filter(None, names):
        if name not in everything:
            raise SystemExit(f"no scenario {name!r}; there are: {', '.join(everything)}")
    if options.peer and options.peer not in peers.names():
        raise SystemExit(f"no peer {options.peer!r}; there are: {', '.join(peers.names())}")
    chosen = [one for one in everything.values() if names == [""] or one.name in names]
    if options.quick and not options.scenario:
        chosen = [one.quickly() for one in chosen if one.quick]
    if options.peer:
        chosen = [dataclasses.replace(one, peers=(options.peer,), bars=bars(one, options)) for one in chosen]
    return chosen


def bars(one, options):
    return {peer: bar for peer, bar in one.bars.items() if peer == options.peer}


def run(bench, chosen, rounds, table):
    """All turns, with a line in the terminal for each pair of them."""
    pairs = [(one, peer) for one in chosen for peer in one.peers]
    for number, (one, peer) in enumerate(pairs, 1):
        print(f"\n[{number}/{len(pairs)}] {one.title}, beside {peer}", flush=True)
        if one.unbuilt:
            print(f"    {one.unbuilt}")
            continue
        for lanes in one.lanes:
            for round_number in range(rounds):
                for row in turns.play(bench, one, peer, lanes, round_number):
                    table.add(row)
                    print(report.line(one, row), flush=True)
        for summary in report.compare(one, peer, table.rows):
            print(f"    {report.sentence(one, summary)}", flush=True)


if __name__ == "__main__":
    main()
