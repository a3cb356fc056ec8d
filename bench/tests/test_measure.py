"""The bench tells the truth: a wrong answer voids its row, ratios are of pairs, a typo is an error.

Servers here are real processes that answer wrongly on purpose; the load is a few requests, not wrk.
"""

import dataclasses
import http.client
import pathlib
import sys
import tempfile
import types
import unittest
from unittest import mock

BENCH = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BENCH))

import peers
from measure import answer, load, report, rows, scenario, turns
from measure.server import Job, Missing
from measure.work import Work

# Answers /13.txt as it is told: rightly until so many answers were given, then so.
SERVER = """
import http.server, sys
port, right_ones, wrong = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    given = 0
    def do_GET(self):
        Handler.given += 1
        kind = wrong if Handler.given > right_ones else "right"
        body = {"byte": b"Hello, World!", "short": b"Hello", "long": b"Hello, world!" * 9}.get(kind, b"Hello, world!")
        self.send_response(500 if kind == "status" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
LOAD_REQUESTS = 20
SAMPLES_BEFORE = 2  # one when it has come up, one before the turn


def peer_that_answers(right_ones, wrong="right"):
    """A peer whose server is SERVER."""
    made = types.ModuleType("peer")
    made.commands = lambda job: [[sys.executable, "-c", SERVER, job.port, right_ones, wrong]]
    return made


def ask(scenario, port, connections, seconds, cpus, scratch):
    """Stands in for wrk: asks, and counts bytes, but does not look at them."""
    total = 0
    for _ in range(LOAD_REQUESTS):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", scenario.requests[0].path)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as fault:
            raise RuntimeError(f"load: {fault!r}") from fault
        head = f"HTTP/1.1 {response.status} {response.reason}\r\n{response.headers.as_string()}\n"
        total += len(head.replace("\n", "\r\n").replace("\r\r", "\r")) + len(response.read())
        connection.close()
    return load.Seen(LOAD_REQUESTS, 1.0, total, 0, 1.0, 2.0, 3.0)


class Turns(unittest.TestCase):
    def play(self, peer):
        """The peer's row of one turn, beside a corelane that is right."""
        servers = {"corelane": peer_that_answers(10**9), "peer": peer}
        one = scenario.Scenario(
            "made-up", "made up", "", ("site",), ("peer",), (scenario.Request("/13.txt"),), connections=(1,)
        )
        with (
            tempfile.TemporaryDirectory() as scratch,
            mock.patch.object(peers, "find", servers.get),
            mock.patch.object(load, "run", ask),
            mock.patch.object(turns, "warm"),
            mock.patch.object(turns, "START_SECONDS", 5),
        ):
            bench = turns.Bench(Work(scratch), pathlib.Path(scratch), 1, 1, (0,))
            own, other = turns.play(bench, one, "peer", 1, 0)
        self.assertEqual(own.void, "")
        self.assertEqual(own.requests, LOAD_REQUESTS)
        self.compared = report.compare(one, "peer", [own, other])[0]
        return other

    def test_right_answers_make_a_row_and_a_ratio(self):
        row = self.play(peer_that_answers(10**9))
        self.assertEqual(row.void, "")
        self.assertGreater(row.pss_mib, 0)
        self.assertEqual(row.p99_ms, 2.0)

    def test_a_wrong_byte_from_the_start_voids(self):
        row = self.play(peer_that_answers(0, "byte"))
        self.assertIn("first wrong one is 7", row.void)
        self.assertEqual(self.compared.ratios, ())

    def test_a_byte_that_turns_wrong_after_the_load_voids(self):
        row = self.play(peer_that_answers(SAMPLES_BEFORE + LOAD_REQUESTS, "byte"))
        self.assertIn("first wrong one is 7", row.void)
        self.assertEqual(self.compared.ratios, ())

    def test_answers_of_another_size_under_load_void(self):
        row = self.play(peer_that_answers(SAMPLES_BEFORE, "long"))
        self.assertNotEqual(row.void, "")

    def test_a_wrong_status_voids(self):
        row = self.play(peer_that_answers(SAMPLES_BEFORE + LOAD_REQUESTS, "status"))
        self.assertIn("status 500, not 200", row.void)

    def test_a_short_body_voids(self):
        row = self.play(peer_that_answers(SAMPLES_BEFORE, "short"))
        self.assertIn("Content-Length: 5, not 13", row.void)

    def test_a_server_that_ends_in_the_middle_voids_its_row_alone(self):
        peer = types.ModuleType("peer")
        ends = SERVER.replace(
            "Handler.given += 1", f"Handler.given += 1; Handler.given > {SAMPLES_BEFORE} and exit_now()"
        )
        ends = ends.replace(
            "import http.server, sys", "import http.server, os, sys\nexit_now = lambda: os._exit(1)"
        )
        peer.commands = lambda job: [[sys.executable, "-c", ends, job.port, 10**9, "right"]]
        self.assertNotEqual(self.play(peer).void, "")
        self.assertEqual(self.compared.ratios, ())

    def test_a_missing_peer_is_told(self):
        peer = types.ModuleType("peer")
        peer.commands = mock.Mock(side_effect=Missing("no such server"))
        self.assertEqual(self.play(peer).void, "no such server")
        self.assertIn("peer: no such server", self.compared.remarks)

    def test_a_peer_that_does_not_start_tells_its_last_words(self):
        peer = types.ModuleType("peer")
        peer.commands = lambda job: [[sys.executable, "-c", "raise SystemExit('cannot go on')"]]
        self.assertIn("cannot go on", self.play(peer).void)


class Judging(unittest.TestCase):
    seen = load.Seen(1000, 1.0, 1000 * 150, 0, 1.0, 2.0, 3.0)
    usage = types.SimpleNamespace(pids=frozenset({1}))

    def judge(self, **changes):
        seen = dataclasses.replace(self.seen, **changes)
        return turns.what_was_wrong(seen, self.usage, self.usage, 150, 4)

    def test_what_is_right_is_not_void(self):
        self.assertEqual(self.judge(), "")
        self.assertEqual(self.judge(bytes=1000 * 150 + 4 * 150), "")  # in flight at the end

    def test_one_bad_answer_voids(self):
        self.assertEqual(self.judge(bad=1), "1 wrong or broken answers")

    def test_bytes_that_do_not_fit_void(self):
        self.assertEqual(self.judge(bytes=1000 * 160), "160 bytes an answer, not 150")

    def test_no_answer_voids(self):
        self.assertEqual(self.judge(requests=0), "no answer")

    def test_a_worker_that_died_voids(self):
        after = types.SimpleNamespace(pids=frozenset({1, 2}))
        self.assertIn("began or ended", turns.what_was_wrong(self.seen, self.usage, after, 150, 4))


class Ratios(unittest.TestCase):
    one = scenario.Scenario("s", "S", "", (), ("peer",), (), bars={"peer": 0.5})

    def rows(self, pairs, **changes):
        made = []
        for turn, (own, other) in enumerate(pairs):
            made.append(turns.Row("s", "peer", "corelane", 64, turn, cpu_us=own))
            made.append(turns.Row("s", "peer", "peer", 64, turn, cpu_us=other))
        return [dataclasses.replace(made[0], **changes), *made[1:]]

    def test_least_median_and_greatest_are_of_the_pairs(self):
        # The median of the values would give 3 / 8; pair by pair it is 1 / 2.
        (seen,) = report.compare(self.one, "peer", self.rows([(2, 8), (3, 6), (9, 9)]))
        self.assertEqual(seen.ratios, (0.25, 0.5, 1.0))
        self.assertEqual((seen.ratio, seen.own, seen.other), (0.5, 3, 8))

    def test_bars_are_held_or_missed(self):
        self.assertIn("| held |", report.bars([self.one], self.rows([(1, 2)])))
        self.assertIn("**missed**", report.bars([self.one], self.rows([(1.02, 2)])))

    def test_one_void_turn_voids_the_ratio(self):
        data = self.rows([(1, 2), (1, 2)], void="wrong")
        self.assertIn("| no ratio |", report.bars([self.one], data))
        self.assertIn("corelane: wrong", report.remarks([self.one], data))

    def test_rows_are_read_as_they_were_written(self):
        with tempfile.TemporaryDirectory() as folder:
            table = rows.Table(pathlib.Path(folder))
            for row in self.rows([(1.5, 2.25)], note="a, b", requests=7):
                table.add(row)
            self.assertEqual(rows.read(pathlib.Path(folder)), table.rows)


class Scenarios(unittest.TestCase):
    def test_every_file_is_right_and_names_peers_that_are_there(self):
        everything = scenario.read_all()
        self.assertGreaterEqual(len(everything), 20)
        for one in everything.values():
            self.assertLessEqual(set(one.peers), set(peers.names()), one.name)
            self.assertTrue(one.shows and one.title and one.requests, one.name)

    def test_every_peer_says_why_it_is_fair(self):
        for name in peers.names():
            module = peers.find(name)
            self.assertTrue(callable(module.commands) and callable(module.version), name)
            if name not in ("corelane", "corelane-quiet", "corelane-unlogged", "floor"):
                self.assertIn("\nFair: ", module.__doc__, name)

    def test_an_access_log_is_written_where_the_scenario_wants_one(self):
        with tempfile.TemporaryDirectory() as folder:
            job = Job(1, pathlib.Path(folder), None, BENCH, 1, None, pathlib.Path(folder))
            for name, wanted in {"corelane": True, "corelane-unlogged": False, "nginx": True}.items():
                for asked in (False, True):
                    with self.subTest(name, asked=asked):
                        try:
                            [words] = peers.find(name).commands(dataclasses.replace(job, access_log=asked))
                        except Missing as why:
                            self.skipTest(str(why))
                        file = pathlib.Path(words[-1])
                        said = " ".join(map(str, words)) + (file.read_text() if file.is_file() else "")
                        self.assertEqual("/access.log" in said, asked and wanted)

    def test_an_unknown_key_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "001-typo.toml")
            file.write_text(
                'title = "t"\nshows = "s"\nserves = []\npeers = []\nconections = [1]\nrequest = []\n'
            )
            with self.assertRaisesRegex(SystemExit, "conections"):
                scenario.read(file)

    def test_what_is_right_comes_from_no_server(self):
        with tempfile.TemporaryDirectory() as folder:
            work = Work(folder)
            self.assertEqual(work.expected(scenario.Request("/13.txt"), None).body, b"Hello, world!")
            self.assertEqual(work.expected(scenario.Request("/"), "hello:app").body, b"Hello, world!")
            page = work.expected(scenario.Request("/books/1990"), "flask_page:app").body
            self.assertEqual(page.count(b"<tr"), 10)
            self.assertIn(b"The book &lt;99&gt; &amp; its cover", page)
            taken = work.expected(scenario.Request("/", "POST", body_bytes=8192), "hello:take")
            self.assertEqual(taken.body.split()[0], b"8192")


if __name__ == "__main__":
    unittest.main()
