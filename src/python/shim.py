"""What corelane does in Python itself, in each interpreter: start an application, describe faults.

Everything here runs at the start, at a fault or at the end, and not for each request, apart from
what an application writes to wsgi.errors.
"""

import ast
import atexit
import gc
import io
import os
import site
import sys
import threading
import traceback
from wsgiref.util import FileWrapper

log_line = None  # set by corelane: writes one line to the error log
ERROR_LINE_CHARS_MAX = 0  # set by corelane


class Refusal(Exception):
    """The configuration does not fit; the text is for the operator, a traceback would not help."""


# ---- the start of an application ---------------------------------------------------------------


def prepare(target, chdir, pythonpath, venv):
    """Makes this interpreter the application's and returns its WSGI callable."""
    sys.argv = ["corelane"]
    if venv is not None:
        activate(venv)
    try:
        os.chdir(chdir)  # belongs to the whole process
    except OSError as error:
        raise Refusal(f"cannot enter the folder {chdir!r}: {error.strerror}") from None
    places = [*pythonpath, chdir]
    sys.path[:0] = places
    application = find(target, places)
    # What was imported stays: the collector need not look at it again with each full collection.
    gc.collect()
    gc.freeze()
    return application


def activate(venv):
    """Puts the packages of a virtual environment in the place of those of the base Python."""
    options = read_options(venv)
    check_version(venv, options)
    version = "python%d.%d" % sys.version_info[:2]
    packages = os.path.join(venv, "lib", version, "site-packages")
    if not os.path.isdir(packages):
        raise Refusal(f"the virtual environment {venv!r} has no {packages!r}")
    if options.get("include-system-site-packages", "false").lower() != "true":
        base = {*site.getsitepackages(), site.getusersitepackages()}
        sys.path[:] = [entry for entry in sys.path if entry not in base]
    site.addsitedir(packages)
    sys.prefix = sys.exec_prefix = venv
    sys.executable = os.path.join(venv, "bin", "python")


def read_options(venv):
    """The keys of pyvenv.cfg (PEP 405)."""
    path = os.path.join(venv, "pyvenv.cfg")
    options = {}
    try:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                key, equals, value = line.partition("=")
                if equals:
                    options[key.strip().lower()] = value.strip()
    except OSError as error:
        raise Refusal(f"{venv!r} is no virtual environment: {path}: {error.strerror}") from None
    return options


def check_version(venv, options):
    """Refuses an environment whose packages were installed for another Python."""
    # `venv` writes version, `virtualenv` and `uv` write version_info.
    found = options.get("version") or options.get("version_info") or ""
    ours = "%d.%d" % sys.version_info[:2]
    if found and found.split(".")[:2] != ours.split("."):
        raise Refusal(
            f"the virtual environment {venv!r} is for Python {found}, but corelane runs"
            f" Python {ours}: make one with python{ours} -m venv, or build corelane for"
            f" the other version"
        )


def find(target, places):
    """The WSGI callable that "module", "module:attr" or "module:create_app()" names. `places` are
    the folders that the operator expects its module in."""
    module_name, colon, rest = target.partition(":")
    if not module_name or (colon and not rest):
        raise Refusal(f"the target {target!r} is not module, module:attr or module:create_app()")
    module = import_module(module_name, places)
    if colon:
        names, arguments = parse_attribute(target, rest)
        found = module
        for name in names:
            try:
                found = getattr(found, name)
            except AttributeError:
                missing = f"module {module_name!r} has no {'.'.join(names)!r}"
                nearest = did_you_mean(name, dir(found)) or "correct the target"
                raise Refusal(f"{missing}: {nearest}") from None
        if arguments is not None:
            if not callable(found):
                raise Refusal(f"{module_name}:{'.'.join(names)} cannot be called")
            positional, keywords = arguments
            found = found(*positional, **keywords)
    else:
        found = getattr(module, "application", None)
        if found is None:
            found = getattr(module, "app", None)
        if found is None:
            raise Refusal(
                f"module {module_name!r} has neither 'application' nor 'app': name the WSGI"
                f" callable as {module_name}:NAME"
            )
    if not callable(found):
        kind = type(found).__name__
        raise Refusal(f"{target!r} gives an object of type {kind}, which is not callable")
    return found


def import_module(name, places):
    try:
        __import__(name)  # as the statement does it: without the import system in the traceback
    except ModuleNotFoundError as error:
        if error.name is None or error.__traceback__.tb_next is not None:
            raise  # by the application, for want of something else
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        import pkgutil  # here, because most applications are found

        above, _, _ = error.name.rpartition(".")
        folders = getattr(sys.modules.get(above), "__path__", []) if above else places
        there = [f"{above}.{found.name}".lstrip(".") for found in pkgutil.iter_modules(folders)]
        nearest = did_you_mean(error.name, there)
        nearest = nearest or "correct the target, or say with chdir or pythonpath where it is"
        looked = " or ".join(map(repr, places))
        raise Refusal(f"there is no module {error.name!r} in {looked}: {nearest}") from None
    return sys.modules[name]


def did_you_mean(name, there):
    import difflib  # here, because most names are right

    near = difflib.get_close_matches(name, there, n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def parse_attribute(target, text):
    """"a.b" gives (["a", "b"], None), "a(1, k=2)" gives (["a"], ([1], {"k": 2}))."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        arguments = None
        if isinstance(node, ast.Call):
            positional = [ast.literal_eval(argument) for argument in node.args]
            keywords = {word.arg: ast.literal_eval(word.value) for word in node.keywords}
            if None in keywords:
                raise ValueError("**")
            arguments = (positional, keywords)
            node = node.func
        names = []
        while isinstance(node, ast.Attribute):
            names.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            raise ValueError("no name")
        return [node.id, *names], arguments
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise Refusal(
            f"the target {target!r} does not end in a name, or in a call with literal arguments"
            f" such as create_app('production')"
        ) from None


def explain(target, exception):
    """(reason, traceback) for an exception of prepare(); no traceback where it would not help."""
    if isinstance(exception, Refusal):
        return printable(str(exception)), ""
    reason = f"importing {target!r} failed: {in_one_line(exception)}"
    extension = refused_extension(exception)
    if extension is not None:
        package, _, _ = extension.partition(".")
        reason = (
            f"importing {target!r} failed: the C extension {extension!r} refuses to load in"
            " subinterpreters, and each lane is one. Until corelane has process isolation, use"
            f" a pure Python build of {package!r}, another package in its place, or another"
            " server (docs/wsgi.md lists what loads)"
        )
    elif isinstance(exception, ModuleNotFoundError):
        if sys.prefix == sys.base_prefix:
            reason += " (no virtual environment is in use: name the application's with --venv)"
        else:
            reason += f" (install it in {sys.prefix!r}, or name another environment with --venv)"
    exception = without_own_frames(exception)
    cause = exception.__cause__ or exception.__context__
    if exception.__traceback__ is None and cause is None and not isinstance(exception, SyntaxError):
        return printable(reason), ""  # a factory that was called wrongly: the line says it all
    return printable(reason), format_exception(exception)


def in_one_line(exception):
    kind = type(exception).__name__
    lines = (line.strip() for line in text_of(exception).splitlines())
    text = next(filter(None, lines), "")
    return f"{kind}: {text}" if text else kind


def text_of(exception):
    try:
        return str(exception)
    except Exception:
        return "(its text cannot be had)"


def refused_extension(exception):
    """The name of the C extension that does not load in a subinterpreter, if that is the cause."""
    found = None
    seen = set()
    while exception is not None and id(exception) not in seen:
        seen.add(id(exception))
        text = text_of(exception)
        # The innermost one knows best: outer ones repeat its text (numpy) or guess.
        if isinstance(exception, ImportError) and "subinterpreters" in text:
            kind, _, rest = text.partition(" ")
            if kind == "module":  # CPython: "module a.b does not support loading in ..."
                found = rest.partition(" ")[0]
            else:  # PyO3 has words of its own
                found = exception.name or importer(exception)
        exception = exception.__cause__ or exception.__context__
    return found


def importer(exception):
    """The module whose code raised the exception."""
    trace = exception.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_globals.get("__name__", "?") if trace is not None else "?"


def without_own_frames(exception):
    trace = exception.__traceback__
    while trace is not None and trace.tb_frame.f_globals is globals():
        trace = trace.tb_next
    return exception.with_traceback(trace)


def environ(software, lane, multithread):
    """The entries that all requests share, and a place for those that each has.

    A dict grows at 5, 10, 21, 42 entries: with 22 or more here a copy has room for 42, so that an
    ordinary request never makes it grow.
    """
    shared = {
        "SERVER_SOFTWARE": software,
        "GATEWAY_INTERFACE": "CGI/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": ErrorsStream(),
        "wsgi.multithread": bool(multithread),
        "wsgi.multiprocess": True,  # other lanes run the application in other interpreters
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
        "corelane.lane": lane,
    }
    own = (
        "REQUEST_METHOD SCRIPT_NAME PATH_INFO QUERY_STRING REQUEST_URI RAW_URI SERVER_PROTOCOL"
        " SERVER_NAME SERVER_PORT REMOTE_ADDR REMOTE_PORT wsgi.input"
    )
    return shared | dict.fromkeys(map(sys.intern, own.split()), "")


# ---- while it runs -----------------------------------------------------------------------------


class ErrorsStream(io.TextIOBase):
    """wsgi.errors: each line that is written becomes a line of the error log."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self):
        self._open_line = threading.local()  # so that lines of two threads do not mix

    def writable(self):
        return True

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, not {type(text).__name__}")
        *lines, rest = (getattr(self._open_line, "text", "") + text).split("\n")
        for line in lines:
            log_in_pieces(line)
        if len(rest) > ERROR_LINE_CHARS_MAX:
            log_in_pieces(rest)
            rest = ""
        self._open_line.text = rest
        return len(text)

    def flush(self):
        rest = getattr(self._open_line, "text", "")
        if rest:
            self._open_line.text = ""
            log_line(printable(rest))

    def close(self):
        """It is the server's: an application cannot close it."""
        self.flush()


def log_in_pieces(line):
    """Logs a line, which is cut where it is longer than a log line may be."""
    for start in range(0, len(line) or 1, ERROR_LINE_CHARS_MAX):
        log_line(printable(line[start : start + ERROR_LINE_CHARS_MAX]))


def format_exception(exception):
    """The traceback as Python prints it, without line limit, in text that UTF-8 can carry."""
    return printable("".join(traceback.format_exception(exception)))


def printable(text):
    """Text that UTF-8 can carry, with no control character but tab and line end: the log is read on
    terminals, and what an application logs may come from a peer."""
    return text.translate(CONTROLS).encode("utf-8", "backslashreplace").decode("utf-8")


CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"
}


def adopt_thread(name):
    """Names the calling thread of corelane's for Python, and lets threads that it starts be ordinary
    ones: CPython takes a thread that it did not start for a daemon, and daemons beget daemons."""
    thread = threading.current_thread()
    thread._daemonic = False
    thread.name = name


# ---- the end -----------------------------------------------------------------------------------


def finish():
    """Runs the exit handlers and flushes what was printed. The interpreter itself is not ended."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # closed, replaced, or a pipe without a reader
