//! What the operator sees: mistakes, their words and exit codes; what wins over what; the lines of
//! the start; where modules and packages are found.

use std::io::BufRead;
use std::io::BufReader;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;

use crate::support::PATIENCE;
use crate::support::Server;
use crate::support::Site;
use crate::support::corelane;
use crate::support::repository;

const VERSION: &str = env!("CORELANE_PYTHON_VERSION");

const HELLO: &str = "def app(environ, start_response):\n    \
                         start_response('200 OK', [])\n    return [b'hello']\n";

/// How a program that should not serve has ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the program to its end, in this folder.
fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = corelane();
    command.current_dir(folder).args(arguments).envs(variables.iter().copied());
    end_of(command.spawn().expect("corelane starts"))
}

/// Its output is short, so it does not have to be read while it runs.
fn end_of(mut child: Child) -> Ended {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it does not end: {:?}", child.wait_with_output().unwrap());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Asserts a mistake of the configuration: code 2, and exactly this line.
fn assert_mistake(folder: &Site, arguments: &[&str], expected: &str) {
    let ended = run(folder.path(), arguments, &[]);
    assert_eq!(ended.stderr, format!("corelane: {expected}\n"), "{arguments:?}");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
}

/// A port that was free just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asserts that importing an application fails, in words that have these parts.
fn assert_not_loaded(folder: &Site, arguments: &[&str], parts: &[&str]) -> String {
    let port = free_port();
    let bind = format!("127.0.0.1:{port}");
    let ended = run(folder.path(), &[&["-w", "2", "-b", &bind], arguments].concat(), &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
    let first = "corelane: application \"app\" cannot be loaded: ";
    assert!(ended.stderr.starts_with(first), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("corelane: ").count(), 1, "one message: {}", ended.stderr);
    for part in parts {
        assert!(ended.stderr.contains(part), "{part:?} in {}", ended.stderr);
    }
    TcpListener::bind(&bind).expect("nobody listens any more");
    ended.stderr
}

/// Starts a server in this folder.
fn start_in(folder: &Site, arguments: &[&str]) -> Server {
    Server::start_with(arguments, |command| command.current_dir(folder.path()))
}

/// A request that names a host.
fn get(server: &Server, host: &str, path: &str) -> (u16, String) {
    let mut client = server.connect();
    let response = client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).response();
    (response.status, response.text())
}

#[test]
fn mistakes_of_the_command_line() {
    let folder = Site::new(&[("app.py", HELLO.as_bytes())]);
    let shown = folder.path().display();
    for (arguments, expected) in [
        (
            &["-b", "nope", "app"][..],
            "--bind: \"nope\" has no port: write one, such as 127.0.0.1:8000",
        ),
        (
            &["--workers", "0", "app"],
            "--workers: \"0\" is not a number of lanes: write a number from 1 to 256, or auto",
        ),
        (
            &["--static", "public"],
            "--static: \"public\" is not PREFIX=DIR: write one such as /static=./static",
        ),
        (
            &["--static", "/=pubic"],
            &format!(
                "--static: there is no directory \"{shown}/pubic\": make it or correct the path"
            ),
        ),
        (
            &["--chdir", "nope", "app"],
            &format!(
                "--chdir: there is no directory \"{shown}/nope\": make it or correct the path"
            ),
        ),
        (
            &["-c", "nope.toml"],
            "--config: there is no file \"nope.toml\": make it or correct the path",
        ),
        (&["app.py"], "APP: \"app.py\" names a file: write the module, app"),
    ] {
        assert_mistake(&folder, arguments, expected);
    }
    for (arguments, part) in [
        (&["--thread", "2", "app"][..], "tip: a similar argument exists: '--threads'"),
        (&["--nope"], "unexpected argument '--nope' found"),
        (&["app", "app"], "unexpected argument 'app' found"),
    ] {
        let ended = run(folder.path(), arguments, &[]);
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(ended.stderr.contains(part) && ended.stdout.is_empty(), "{}", ended.stderr);
    }
}

#[test]
fn mistakes_of_the_file() {
    let folder = Site::new(&[("public/index.html", b"")]);
    let shown = folder.path().display();
    let route = "[[site]]\n[[site.route]]\npath = \"/\"\n";
    for (text, expected) in [
        (
            format!("{route}fles = \"public\"\n"),
            "4: unknown key \"fles\" in [[site.route]]: did you mean \"files\"?".to_owned(),
        ),
        (
            format!("lanes = true\n{route}files = \"public\"\n"),
            "1: lanes: must be a text or a number, but is a boolean: \
             write lanes = \"auto\" or lanes = 4"
                .to_owned(),
        ),
        (
            format!("\nlanes = \"many\"\n{route}files = \"public\"\n"),
            "2: lanes: \"many\" is not a number of lanes: write a number from 1 to 256, or auto"
                .to_owned(),
        ),
        (
            format!("{route}files = \"pubic\"\n"),
            format!(
                "4: files: there is no directory \"{shown}/pubic\": make it or correct the path"
            ),
        ),
        (
            format!("[app.shop]\ntarget = \"shop\"\n{route}app = \"shpo\"\n"),
            "6: app: there is no [app.shpo]: did you mean \"shop\"?".to_owned(),
        ),
    ] {
        folder.write("c.toml", text.as_bytes());
        for task in [&["-c", "c.toml"][..], &["--check-config", "-c", "c.toml"]] {
            assert_mistake(&folder, task, &format!("c.toml:{expected}"));
        }
    }
}

#[test]
fn nothing_to_serve_is_a_mistake_that_shows_what_to_write() {
    let ended = run(Site::new(&[]).path(), &[], &[]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.starts_with("corelane: nothing to serve: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("\n  corelane --static /=./public\n"), "{}", ended.stderr);
}

#[test]
fn a_good_configuration_and_the_version_are_told_with_0() {
    let folder = Site::new(&[("public/index.html", b"")]);
    let ended = run(folder.path(), &["--check-config", "--static", "/=public", "app"], &[]);
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (Some(0), "configuration is good: 1 site, 1 route, 1 application, 1 address\n", "")
    );
    for flag in ["--version", "-V"] {
        let ended = run(folder.path(), &[flag], &[]);
        let expected = format!("corelane {} (Python {VERSION})\n", env!("CARGO_PKG_VERSION"));
        assert_eq!((ended.code, ended.stdout), (Some(0), expected));
    }
}

#[test]
fn an_application_that_is_not_there_is_told_in_one_line() {
    let folder = Site::new(&[
        ("shop.py", b"import package\nanswer = 5\ndef create_app():\n    return None\n"),
        ("package/__init__.py", b""),
        ("package/views.py", b""),
    ]);
    let shown = folder.path().display();
    for (target, expected) in [
        ("shopp", format!("there is no module 'shopp' in '{shown}': did you mean 'shop'?")),
        (
            "elsewhere",
            format!(
                "there is no module 'elsewhere' in '{shown}': correct the target, or say with \
                 chdir or pythonpath where it is"
            ),
        ),
        (
            "package.view:app",
            format!("there is no module 'package.view' in '{shown}': did you mean 'package.views'?"),
        ),
        ("shop:create_ap", "module 'shop' has no 'create_ap': did you mean 'create_app'?".into()),
        ("shop:nope", "module 'shop' has no 'nope': correct the target".into()),
        (
            "shop",
            "module 'shop' has neither 'application' nor 'app': name the WSGI callable as shop:NAME"
                .into(),
        ),
        (
            "shop:answer",
            "'shop:answer' gives an object of type int, which is not callable".into(),
        ),
        (
            "shop:create_app()",
            "'shop:create_app()' gives an object of type NoneType, which is not callable".into(),
        ),
    ] {
        let text = assert_not_loaded(&folder, &[target], &[&expected]);
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn an_exception_of_the_import_is_told_with_the_applications_own_traceback() {
    let folder = Site::new(&[
        ("broken.py", b"\nraise ValueError('on purpose')\n"),
        ("lacking.py", b"import surely_not_installed\n"),
        ("leaving.py", b"import sys\nsys.exit(3)\n"),
        ("wrong.py", b"def app(:\n"),
        ("factory.py", b"def create_app():\n    raise RuntimeError('no database')\n"),
        (
            "refusing.py",
            b"raise ImportError('module a._b does not support loading in subinterpreters')\n",
        ),
    ]);
    for (target, parts) in [
        (
            "broken",
            &[
                "importing 'broken' failed: ValueError: on purpose\nTraceback",
                "broken.py\", line 2",
            ][..],
        ),
        (
            "lacking",
            &[
                "No module named 'surely_not_installed' (no virtual environment is in use: name \
                 the application's with --venv)\n",
                "lacking.py\", line 1",
            ],
        ),
        ("leaving", &["importing 'leaving' failed: SystemExit: 3\n", "leaving.py\", line 2"]),
        ("wrong", &["SyntaxError: ", "wrong.py\", line 1"]),
        ("factory:create_app()", &["RuntimeError: no database\n", "factory.py\", line 2"]),
        (
            "refusing",
            &[
                "the C extension 'a._b' refuses to load in subinterpreters",
                "pure Python build of 'a'",
            ],
        ),
    ] {
        let text = assert_not_loaded(&folder, &[target], parts);
        assert!(!text.contains("importlib") && !text.contains("_corelane"), "{text}");
        assert_not_loaded(&folder, &["--threads", "0", target], parts);
    }
}

#[test]
fn a_port_in_use_is_told_with_a_remedy() {
    let folder = Site::new(&[("a.txt", b"text")]);
    let server = Server::start(&["--static", &folder.at("/")]);
    let bind = server.address.to_string();
    let ended = run(folder.path(), &["--bind", &bind, "--static", "/=."], &[]);
    assert_eq!(ended.code, Some(1));
    let expected = format!("corelane: cannot listen on {bind}: Address already in use");
    assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
    let remedy = format!("sport = :{}", server.address.port());
    assert!(ended.stderr.contains(&remedy), "{}", ended.stderr);
    assert_eq!(server.get("/a.txt").text(), "text");
}

#[test]
fn a_signal_ends_the_import() {
    let text = "import sys, time\nprint('importing now', file=sys.stderr)\ntime.sleep(100)\n";
    let folder = Site::new(&[("slow.py", text.as_bytes())]);
    let port = free_port();
    let mut command = corelane();
    command.current_dir(folder.path());
    command.args(["-w", "2", "-b", &format!("127.0.0.1:{port}"), "slow"]);
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert_eq!(line, "importing now\n");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it listens before it can answer");
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(end_of(child).code, Some(128 + 15));
}

#[test]
fn what_an_application_does_at_its_import_does_not_keep_it_from_ending() {
    let folder = Site::new(&[
        (
            "busy.py",
            format!(
                "import os, sys, threading, time\nos.chdir('/')\nprint('printed at import')\n\
                 threading.Thread(target=time.sleep, args=(100,)).start()\n\
                 threading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n{HELLO}"
            )
            .as_bytes(),
        ),
        ("public/a.txt", b"a file"),
    ]);
    let chdir = folder.path().to_str().unwrap();
    let public = format!("/static={chdir}/public");
    let mut server = Server::start(&["-w", "2", "--chdir", chdir, "--static", &public, "busy"]);
    assert_eq!(server.get("/").text(), "hello");
    assert_eq!(server.get("/static/a.txt").text(), "a file");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
    let folder = Site::new(&[("public/a.txt", b"")]);
    let route = "[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \"public\"\n";
    folder.write("with.toml", format!("lanes = 2\n{route}").as_bytes());
    folder.write("without.toml", route.as_bytes());
    let cpus = std::thread::available_parallelism().unwrap().get();
    let web = ("WEB_CONCURRENCY", "4");
    let own = ("CORELANE_WORKERS", "3");
    for (arguments, variables, lanes) in [
        (&["-c", "with.toml", "-w", "1"][..], &[web, own][..], 1),
        (&["-c", "with.toml"], &[web, own], 3),
        (&["-c", "with.toml"], &[web], 4),
        (&["-c", "with.toml"], &[("CORELANE_WORKERS", "")], 2),
        (&["-c", "without.toml"], &[], cpus),
    ] {
        let server = Server::start_with(arguments, |command| {
            command.current_dir(folder.path()).envs(variables.iter().copied())
        });
        let text = if lanes == 1 { ": 1 lane on".into() } else { format!(": {lanes} lanes on") };
        server.wait_for_log(&text);
    }
}

#[test]
fn port_counts_where_nothing_else_names_an_address() {
    let folder = Site::new(&[("a.txt", b"text")]);
    let start = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = corelane();
        command.current_dir(folder.path()).args(["--static", "/=."]).args(arguments);
        command.envs(variables.iter().copied());
        Server::launch(command)
    };
    let port = free_port().to_string();
    let server = start(&[], &[("PORT", &port)]);
    let expected = format!("listening on http://0.0.0.0:{port} (here: http://127.0.0.1:{port})");
    server.wait_for_log(&expected);
    assert_eq!(server.get("/a.txt").text(), "text");
    for (arguments, variables) in [
        (&["-b", "127.0.0.1:0"][..], &[("PORT", "1")][..]),
        (&[], &[("PORT", "1"), ("CORELANE_BIND", "127.0.0.1:0")]),
    ] {
        let server = start(arguments, variables);
        assert!(server.address.ip().is_loopback(), "{}", server.address);
        assert_ne!(server.address.port(), 1);
    }
}

#[test]
fn the_file_in_the_current_folder_is_found_unless_something_else_is_served() {
    let folder = Site::new(&[
        ("public/a.txt", b"of the file"),
        ("other/a.txt", b"of the flag"),
        ("corelane.toml", b"[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \"public\"\n"),
    ]);
    for (arguments, expected) in
        [(&[][..], "of the file"), (&["--static", "/=other"], "of the flag")]
    {
        let server = start_in(&folder, arguments);
        assert_eq!(server.get("/a.txt").text(), expected);
    }
}

#[test]
fn the_start_says_what_serves_where() {
    let folder = Site::new(&[("shop.py", HELLO.as_bytes()), ("public/a.txt", b"text")]);
    let arguments =
        ["-w", "2", "--threads", "3", "--static", "/files=public", "-b", "[::1]:0", "shop"];
    let server = start_in(&folder, &arguments);
    server.wait_for_log("listening on http://[::1]:");
    let shown = folder.path().display();
    let lanes = format!("corelane {}: 2 lanes on CPU ", env!("CARGO_PKG_VERSION"));
    let app = format!("application app: shop on Python {VERSION}.");
    for expected in [
        lanes.as_str(),
        &format!(", process {}", server.pid()),
        &app,
        ", up to 3 threads in each lane",
        &format!("route /files to {shown}/public"),
        "route / to application app",
        &format!("listening on http://{}", server.address),
    ] {
        assert!(server.log().contains(expected), "{expected:?} in {}", server.log());
    }
}

#[test]
fn sites_answer_for_their_hosts() {
    let folder = Site::new(&[
        ("one/a.txt", b"one"),
        ("two/a.txt", b"two"),
        ("rest/a.txt", b"rest"),
        (
            "corelane.toml",
            b"[[site]]\nhosts = [\"one.test\"]\n[[site.route]]\npath = \"/\"\nfiles = \"one\"\n\
              cache_control = \"public, max-age=60\"\n\
              [[site]]\nhosts = [\"*.one.test\", \"two.test\"]\n[[site.route]]\npath = \"/\"\n\
              files = \"two\"\n",
        ),
    ]);
    let start = || start_in(&folder, &[]);
    let server = start();
    let found = |text: &str| (200, text.to_owned());
    assert_eq!(get(&server, "one.test", "/a.txt"), found("one"));
    assert_eq!(get(&server, "ONE.test.:8000", "/a.txt"), found("one"));
    assert_eq!(get(&server, "b.a.one.test", "/a.txt"), found("two"));
    assert_eq!(get(&server, "two.test", "/a.txt"), found("two"));
    assert_eq!(get(&server, "other.test", "/a.txt").0, 404, "no site has this host");
    server.wait_for_log("route one.test / to ");
    server.wait_for_log("route *.one.test two.test / to ");

    let mut text = std::fs::read_to_string(folder.path().join("corelane.toml")).unwrap();
    text += "[[site]]\n[[site.route]]\npath = \"/\"\nfiles = \"rest\"\n";
    folder.write("corelane.toml", text.as_bytes());
    let server = start();
    assert_eq!(get(&server, "other.test", "/a.txt"), found("rest"));
    let mut client = server.connect();
    let mut cache_control = |host: &str| {
        let request = format!("GET /a.txt HTTP/1.1\r\nHost: {host}\r\n\r\n");
        client.send(request).response().header("cache-control").map(str::to_owned)
    };
    assert_eq!(cache_control("one.test").as_deref(), Some("public, max-age=60"));
    assert_eq!(cache_control("two.test"), None);
}

#[test]
fn several_folders_and_an_application() {
    let folder = Site::new(&[
        ("app.py", HELLO.as_bytes()),
        ("static/a.txt", b"static"),
        ("media/a.txt", b"media"),
        ("site/a.txt", b"site"),
    ]);
    for more in [&[][..], &["--static", "/=site"]] {
        let flags = ["--static", "/static=static", "--static", "/media/=media"];
        let arguments = [&flags[..], more, &["app"]].concat();
        let server = start_in(&folder, &arguments);
        assert_eq!(server.get("/static/a.txt").text(), "static");
        assert_eq!(server.get("/media/a.txt").text(), "media");
        assert_eq!(server.get("/static/none.txt").status, 404);
        assert_eq!(server.get("/other").text(), "hello");
        let expected = if more.is_empty() { "hello" } else { "site" };
        assert_eq!(server.get("/a.txt").text(), expected);
    }
}

#[test]
fn targets_name_what_is_called() {
    let named = |name: &str| {
        format!(
            "def {name}(environ, start_response):\n    \
                 start_response('200 OK', [])\n    return [b'{name}']\n"
        )
    };
    let both = format!("{}{}", named("app"), named("application"));
    let sub =
        format!("class attr:\n    @staticmethod\n    {}", named("sub").replace('\n', "\n    "));
    let factory = format!("{}def create_app():\n    return made\n", named("made"));
    let folder = Site::new(&[
        ("both.py", both.as_bytes()),
        ("one.py", named("app").as_bytes()),
        ("deep.py", sub.as_bytes()),
        ("package/factory.py", factory.as_bytes()),
    ]);
    for (target, expected) in [
        ("both", "application"),
        ("both:app", "app"),
        ("one", "app"),
        ("deep:attr.sub", "sub"),
        ("package.factory:create_app()", "made"),
    ] {
        assert_eq!(start_in(&folder, &["-w", "1", target]).get("/").text(), expected);
    }
}

#[test]
fn modules_come_from_pythonpath_and_chdir_in_this_order() {
    let answering = |text: &str| HELLO.replace("hello", text);
    let folder = Site::new(&[
        ("shop/app.py", b"from first import text\nfrom second import app\n"),
        ("shop/first.py", b"import no_such_module\n"),
        ("lib/first.py", b"text = 'lib'\n"),
        ("shop/second.py", b"import no_such_module\n"),
        ("more/second.py", answering("of more").as_bytes()),
    ]);
    let arguments = ["-w", "1", "--chdir", "shop", "--pythonpath", "lib,more", "app"];
    let server = start_in(&folder, &arguments);
    assert_eq!(server.get("/").text(), "of more");
}

/// Makes a virtual environment with a module `packaged` whose application answers `text`.
fn make_venv(folder: &Site, name: &str, text: &str) {
    let mut command = Command::new(repository().join("scripts/python"));
    command.args(["-m", "venv", "--without-pip", name]).current_dir(folder.path());
    assert!(command.status().unwrap().success());
    let module = format!("{name}/lib/python{VERSION}/site-packages/packaged.py");
    folder.write(&module, HELLO.replace("hello", text).as_bytes());
}

#[test]
fn packages_come_from_the_given_environment_else_the_active_else_the_one_beside() {
    let folder = Site::new(&[("app.py", b"from packaged import app\n")]);
    for name in [".venv", "active", "given"] {
        make_venv(&folder, name, name);
    }
    let old = "home = /usr\nversion = 3.1.4\n";
    folder.write("old/pyvenv.cfg", old.as_bytes());
    for (arguments, active, expected) in [
        (&["app"][..], "", ".venv"),
        (&["app"], "active", "active"),
        (&["--venv", "given", "app"], "active", "given"),
        (&["app"], "old", ".venv"),
        (&["app"], "gone", ".venv"),
    ] {
        let arguments = [&["-w", "1"], arguments].concat();
        let server = Server::start_with(&arguments, |command| {
            command.current_dir(folder.path()).env("VIRTUAL_ENV", active)
        });
        assert_eq!(server.get("/").text(), expected, "{arguments:?} {active:?}");
        let warned = server.log().contains("it is ignored");
        assert_eq!(warned, ["old", "gone"].contains(&active), "{}", server.log());
    }
    let shown = folder.path().join("old");
    let shown = shown.display();
    let expected = format!(
        "--venv: \"{shown}\" was made by Python 3.1, but corelane runs Python {VERSION}: make it \
         with python{VERSION} -m venv \"{shown}\""
    );
    assert_mistake(&folder, &["--venv", "old", "app"], &expected);
}
