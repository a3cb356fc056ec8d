//! Lanes as the kernel sees them: pinned threads, one listener each, one interpreter each.

use std::collections::HashSet;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;

use corelane::limits::RING_COMPLETIONS;
use corelane::limits::RING_ENTRIES;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;

use crate::support::PATIENCE;
use crate::support::Server;
use crate::support::Site;
use crate::support::apps;

fn threads(server: &Server) -> Vec<(String, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    tasks
        .map(|task| {
            let path = task.unwrap().path();
            let name = std::fs::read_to_string(path.join("comm")).unwrap().trim().to_owned();
            let status = std::fs::read_to_string(path.join("status")).unwrap();
            let cpus = status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).unwrap();
            (name, cpus.split_whitespace().nth(1).unwrap().to_owned())
        })
        .collect()
}

#[test]
fn each_lane_is_a_pinned_thread_with_a_listener_of_its_own() {
    let site = Site::new(&[("a.txt", b"text")]);
    let server = Server::start(&["--workers", "2", "--static", &site.at("/")]);
    let threads = threads(&server);
    let cpus: Vec<&str> = (0..2)
        .map(|lane| {
            let name = format!("corelane-{lane}");
            let found = threads.iter().find(|(other, _)| *other == name);
            found.unwrap_or_else(|| panic!("no {name} in {threads:?}")).1.as_str()
        })
        .collect();
    assert!(cpus.iter().all(|cpu| cpu.parse::<usize>().is_ok()), "one CPU each: {cpus:?}");
    let several = std::thread::available_parallelism().unwrap().get() > 1;
    assert!(!several || cpus[0] != cpus[1], "{cpus:?}");
    // /proc/net/tcp: state 0A is LISTEN; the address is in hexadecimal.
    let port = format!("0100007F:{:04X}", server.address.port());
    let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", server.pid())).unwrap();
    let listening = table.lines().filter(|line| {
        let mut fields = line.split_whitespace();
        fields.nth(1) == Some(&port) && fields.nth(1) == Some("0A")
    });
    assert_eq!(listening.count(), 2, "{table}");
}

/// The scheduling policy of a thread: field 41 of proc_pid_stat(5).
fn policy(server: &Server, thread: &str) -> i32 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let stats =
        tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap());
    let name = format!("({thread})");
    let stat = stats.into_iter().find(|stat| stat.contains(&name)).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(41 - 3).unwrap().parse().unwrap()
}

#[test]
fn the_threads_of_a_core_take_turns_where_there_are_several() {
    const OTHER: i32 = 0;
    const BATCH: i32 = 3;
    let apps = apps();
    let app = |threads| {
        Server::start(&[
            "-w",
            "1",
            "--threads",
            threads,
            "--chdir",
            apps.to_str().unwrap(),
            "plain:app",
        ])
    };
    let beside = app("2");
    assert_eq!(policy(&beside, "corelane-0"), BATCH);
    assert_eq!(policy(&beside, "corelane-py-0-0"), BATCH);
    assert_eq!(policy(&app("0"), "corelane-0"), OTHER);
    let site = Site::new(&[("a.txt", b"text")]);
    let files = Server::start(&["-w", "1", "--static", &site.at("/")]);
    assert_eq!(policy(&files, "corelane-0"), OTHER);
}

#[test]
fn without_a_number_there_is_a_lane_for_each_cpu_of_the_affinity_mask() {
    let site = Site::new(&[("a.txt", b"text")]);
    let cpu = rustix::thread::sched_getaffinity(None).unwrap();
    let first = (0..rustix::thread::CpuSet::MAX_CPU).find(|cpu_id| cpu.is_set(*cpu_id)).unwrap();
    let server = Server::start_with(&["--static", &site.at("/")], |command| {
        let program = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut pinned = std::process::Command::new("taskset");
        pinned.args(["-c", &first.to_string()]).arg(program).args(arguments);
        pinned.stdin(std::process::Stdio::null());
        pinned.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        *command = pinned;
        command
    });
    server.wait_for_log(&format!("1 lane on CPU {first}"));
    assert_eq!(server.get("/a.txt").text(), "text");
}

#[test]
fn each_lane_has_an_interpreter_of_its_own_off_its_io_thread() {
    let apps = apps();
    let chdir = ["--chdir", apps.to_str().unwrap(), "plain:app"];
    for threads in ["2", "0"] {
        let fixed = ["--workers", "2", "--threads", threads];
        let server = Server::start(&[&fixed[..], &chdir[..]].concat());
        let mut interpreters = HashSet::new();
        let mut lanes = HashSet::new();
        let io_threads = io_threads(&server);
        for _ in 0..256 {
            let mut client = server.connect();
            let told: serde_json::Value =
                serde_json::from_slice(&client.get("/thread").body).unwrap();
            interpreters.insert(told["interpreter"].to_string());
            lanes.insert(client.get("/lane").text());
            assert_eq!(told["process"], server.pid());
            let thread = told["thread"].as_u64().unwrap();
            assert_eq!(io_threads.contains(&thread), threads == "0", "thread {thread}");
            if interpreters.len() == 2 && lanes.len() == 2 {
                break;
            }
        }
        assert_eq!(interpreters.len(), 2, "two lanes, two interpreters");
        assert_eq!(lanes, HashSet::from(["0".to_owned(), "1".to_owned()]));
    }
}

fn io_threads(server: &Server) -> HashSet<u64> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    tasks
        .filter_map(|task| {
            let path = task.unwrap().path();
            let name = std::fs::read_to_string(path.join("comm")).unwrap();
            let is_lane = ["corelane-0", "corelane-1"].contains(&name.trim());
            is_lane.then(|| path.file_name().unwrap().to_str().unwrap().parse().unwrap())
        })
        .collect()
}

#[test]
fn more_happens_at_once_than_the_ring_has_entries_for() {
    let site = Site::new(&[("a.txt", b"text")]);
    let server = Server::start(&["--workers", "1", "--static", &site.at("/")]);
    // The entries of its ring are flushed where they are full, and what is completed beyond its
    // places the kernel keeps.
    let wanted = RING_COMPLETIONS as usize + 500;
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .unwrap();
    // The other tests need some as well.
    let room = limit.maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap());
    let count = wanted.min(room.saturating_sub(2000));
    assert!(count > RING_ENTRIES as usize, "too few descriptors: {room}");
    let clients: Vec<TcpStream> = (0..count)
        .map(|_| {
            let client = TcpStream::connect(server.address).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client
        })
        .collect();
    let request = "GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    for _ in 0..3 {
        server.signal(Signal::STOP);
        for mut client in &clients {
            client.write_all(request.as_bytes()).unwrap();
        }
        server.signal(Signal::CONT);
        for mut client in &clients {
            let mut answer = Vec::new();
            let mut piece = [0; 1024];
            while !answer.ends_with(b"\r\n\r\ntext") {
                let bytes = client.read(&mut piece).unwrap();
                assert_ne!(bytes, 0, "{}", answer.escape_ascii());
                answer.extend_from_slice(&piece[..bytes]);
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
        }
    }
}
