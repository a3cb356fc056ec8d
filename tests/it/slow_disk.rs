//! A disk that is slow, or hangs, or fails: the one who asks for its files waits, and nobody else.
//!
//! The disk is a file system of this very test (FUSE): a read of it takes as long as a gate is
//! shut. That needs /dev/fuse and the right to mount. Where they are missing the tests say that
//! they were skipped; with CORELANE_REQUIRE_FUSE=1 they fail there.
//!
//! Without a ring the lane still waits where a path is looked up on such a disk (openat2(2)), so
//! that one test is for the ring alone. And also with a ring it waits where the path is known to the
//! kernel but opening the file itself takes long, as network file systems may have it: these tests
//! have no such disk.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use fuser::BackgroundSession;
use fuser::Errno;
use fuser::FileAttr;
use fuser::FileHandle;
use fuser::FileType;
use fuser::Filesystem;
use fuser::FopenFlags;
use fuser::Generation;
use fuser::INodeNo;
use fuser::LockOwner;
use fuser::MountOption;
use fuser::OpenFlags;
use fuser::ReplyAttr;
use fuser::ReplyData;
use fuser::ReplyEntry;
use fuser::ReplyOpen;
use fuser::Request;
use rustix::mount::UnmountFlags;
use rustix::process::Signal;

use crate::support::Client;
use crate::support::PATIENCE;
use crate::support::Server;
use crate::support::Site;
use crate::support::pattern;

const LARGE: usize = 1024 * 1024;
const SMALL: usize = 2048;
const MEDIUM: usize = 100_000;
/// Where `/broken.bin` fails.
const BROKEN_FROM: u64 = 128 * 1024;
/// Long enough that the kernel asks for nothing twice.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// What is on the disk: number, folder that it is in, name, bytes. The numbers are the inodes'.
const FILES: &[(u64, u64, &str, usize)] = &[
    (SLOW, ROOT, "slow.bin", LARGE),
    (SLOW_SMALL, ROOT, "slow-small.txt", SMALL),
    (BROKEN, ROOT, "broken.bin", LARGE),
    (5, ROOT, "quick.bin", MEDIUM),
    (6, ROOT, "quick.txt", SMALL),
    (STUCK, ROOT, "stuck", 0),
    (8, STUCK, "file.txt", SMALL),
    (FORGOTTEN, ROOT, "forgotten.bin", MEDIUM),
];
const ROOT: u64 = 1;
const SLOW: u64 = 2;
const SLOW_SMALL: u64 = 3;
const BROKEN: u64 = 4;
/// A folder in which looking for a name takes as long as the gate is shut.
const STUCK: u64 = 7;

/// Of which the kernel must ask for size and times each time, which takes as long as the gate is
/// shut.
const FORGOTTEN: u64 = 9;

/// What holds answers of the disk back.
#[derive(Default)]
struct Gate {
    state: Mutex<Held>,
    changed: Condvar,
}

#[derive(Default)]
struct Held {
    is_open: bool,
    /// What answers, when the gate opens.
    answers: Vec<Box<dyn FnOnce() + Send>>,
}

impl Gate {
    /// Answers now or later.
    fn pass(&self, answer: impl FnOnce() + Send + 'static) {
        let mut held = self.state.lock().unwrap();
        if held.is_open {
            drop(held);
            answer();
        } else {
            held.answers.push(Box::new(answer));
            self.changed.notify_all();
        }
    }

    fn wait_for_somebody(&self) {
        let held = self.state.lock().unwrap();
        let until = Instant::now() + PATIENCE;
        let (held, _) = self
            .changed
            .wait_timeout_while(held, until - Instant::now(), |held| held.answers.is_empty())
            .unwrap();
        assert!(!held.answers.is_empty(), "nobody asks the disk");
    }

    fn open(&self) {
        let mut held = self.state.lock().unwrap();
        held.is_open = true;
        let answers = std::mem::take(&mut held.answers);
        drop(held);
        answers.into_iter().for_each(|answer| answer());
    }
}

struct Disk {
    gate: Arc<Gate>,
}

fn attributes(inode: u64) -> Option<FileAttr> {
    let size = FILES.iter().find(|(number, ..)| *number == inode).map(|(.., size)| *size);
    let is_folder = inode == ROOT || inode == STUCK;
    if size.is_none() && !is_folder {
        return None;
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let size = size.unwrap_or_default() as u64;
    Some(FileAttr {
        ino: INodeNo(inode),
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: if is_folder { FileType::Directory } else { FileType::RegularFile },
        perm: if is_folder { 0o755 } else { 0o644 },
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    })
}

impl Filesystem for Disk {
    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let parent = u64::from(parent);
        let found = FILES.iter().find(|(_, folder, other, _)| *folder == parent && name == *other);
        let found = found.and_then(|(inode, ..)| attributes(*inode));
        let answer = move || match found {
            Some(found) if found.ino == INodeNo(FORGOTTEN) => {
                reply.entry(&Duration::ZERO, &found, Generation(0));
            }
            Some(found) => reply.entry(&FOR_EVER, &found, Generation(0)),
            None => reply.error(Errno::ENOENT),
        };
        if parent == STUCK { self.gate.pass(answer) } else { answer() }
    }

    fn getattr(&self, _request: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let inode = u64::from(inode);
        match attributes(inode) {
            Some(found) if inode == FORGOTTEN => {
                self.gate.pass(move || reply.attr(&Duration::ZERO, &found));
            }
            Some(found) => reply.attr(&FOR_EVER, &found),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _request: &Request, _inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        // As a local disk has it. Without this each open(2) throws away the pages that are there,
        // and waits in the kernel for those that are just being read.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let inode = u64::from(inode);
        if inode == BROKEN && offset + u64::from(size) > BROKEN_FROM {
            return reply.error(Errno::EIO);
        }
        let bytes = content(inode);
        let start = bytes.len().min(usize::try_from(offset).unwrap());
        let end = bytes.len().min(start + size as usize);
        let answer = move || reply.data(&bytes[start..end]);
        if matches!(inode, SLOW | SLOW_SMALL) { self.gate.pass(answer) } else { answer() }
    }
}

fn content(inode: u64) -> Vec<u8> {
    let size = FILES.iter().find(|(number, ..)| *number == inode).map_or(0, |(.., size)| *size);
    pattern(size)
}

/// The disk, mounted on a folder of its own until this goes.
struct Mounted {
    gate: Arc<Gate>,
    _session: BackgroundSession,
    folder: Site,
}

impl Mounted {
    /// None where it cannot be mounted.
    fn new() -> Option<Self> {
        let folder = Site::new(&[]);
        let gate = Arc::new(Gate::default());
        let mut config = fuser::Config::default();
        config.mount_options = vec![MountOption::RO, MountOption::FSName("slow".to_owned())];
        match fuser::spawn_mount(Disk { gate: Arc::clone(&gate) }, folder.path(), &config) {
            Ok(session) => Some(Self { gate, _session: session, folder }),
            Err(error) => {
                let required = std::env::var_os("CORELANE_REQUIRE_FUSE").is_some();
                assert!(!required, "no file system can be mounted here: {error}");
                eprintln!("SKIPPED: no file system can be mounted here ({error}): slow disks");
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The kernel may close the files of a server that was killed some time after its end.
        let _ = rustix::mount::unmount(self.folder.path(), UnmountFlags::DETACH);
    }
}

/// One lane with the disk at `/disk`, and a folder of files that are in memory at `/`.
struct Served {
    // In the order in which they end: while the server uses the disk it cannot be unmounted.
    server: Server,
    disk: Mounted,
    _site: Site,
}

impl Served {
    /// None where nothing can be mounted.
    fn start(io: &str) -> Option<Self> {
        let disk = Mounted::new()?;
        let site = Site::new(&[("hot.txt", &pattern(SMALL)), ("hot.bin", &pattern(LARGE))]);
        let (at_root, at_disk) = (site.at("/"), disk.folder.at("/disk"));
        let fixed = ["--workers", "1", "--graceful-timeout", "1s", "--io", io];
        let folders = ["--static", &at_root, "--static", &at_disk];
        let server = Server::start(&[&fixed[..], &folders].concat());
        Some(Self { server, disk, _site: site })
    }

    /// A client that has asked for this.
    fn ask(&self, path: &str, fields: &str) -> Client {
        let mut client = self.server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
        client
    }

    /// Others get what does not hang, on old and new connections, also from the same disk.
    fn serves_others(&self) {
        let mut client = self.server.connect();
        for round in 0..20 {
            if round % 5 == 0 {
                client = self.server.connect();
            }
            for (path, bytes) in [
                ("/hot.txt", SMALL),
                ("/hot.bin", LARGE),
                ("/disk/quick.txt", SMALL),
                ("/disk/quick.bin", MEDIUM),
            ] {
                let response = client.get(path);
                assert_eq!(response.status, 200, "{path}");
                assert!(response.body == pattern(bytes), "{path}: the bytes differ");
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Who waits for an answer of the disk cannot be killed.
        self.disk.gate.open();
    }
}

/// Each way to wait that there is. The server itself says where there is no ring.
const IO: [&str; 2] = ["uring", "epoll"];

#[test]
fn a_file_that_hangs_makes_only_those_wait_who_ask_for_it() {
    for io in IO {
        for (path, bytes) in [("/disk/slow.bin", LARGE), ("/disk/slow-small.txt", SMALL)] {
            let Some(served) = Served::start(io) else { return };
            let mut first = served.ask(path, "");
            served.disk.gate.wait_for_somebody();
            // The same file again, when its first pages are on their way.
            let mut second = served.ask(path, "");
            served.serves_others();
            served.disk.gate.open();
            for client in [&mut first, &mut second] {
                let response = client.response();
                assert_eq!(response.status, 200, "{io} {path}");
                assert!(response.body == pattern(bytes), "{io} {path}: the bytes differ");
            }
            served.serves_others();
        }
    }
}

#[test]
fn a_range_of_a_file_that_hangs() {
    for io in IO {
        let Some(served) = Served::start(io) else { return };
        let mut waiting = served.ask("/disk/slow.bin", "Range: bytes=300001-700000\r\n");
        served.disk.gate.wait_for_somebody();
        served.serves_others();
        served.disk.gate.open();
        let response = waiting.response();
        assert_eq!(response.status, 206, "{io}");
        assert!(response.body == pattern(LARGE)[300_001..=700_000], "{io}: the bytes differ");
    }
}

#[test]
fn a_disk_that_does_not_say_how_a_file_is_makes_only_those_wait_who_ask_for_it() {
    for io in IO {
        let Some(served) = Served::start(io) else { return };
        let mut waiting = served.ask("/disk/forgotten.bin", "");
        served.disk.gate.wait_for_somebody();
        served.serves_others();
        served.disk.gate.open();
        for _ in 0..3 {
            let response = waiting.response();
            assert_eq!(response.status, 200, "{io}");
            assert!(response.body == pattern(MEDIUM), "{io}: the bytes differ");
            waiting.send("GET /disk/forgotten.bin HTTP/1.1\r\nHost: test\r\n\r\n");
        }
    }
}

#[test]
fn a_folder_that_hangs_makes_only_those_wait_who_look_into_it() {
    // Without a ring the lane itself would wait here.
    let Some(served) = Served::start("auto") else { return };
    if served.server.log().contains("refuses io_uring") {
        eprintln!("SKIPPED: there is no ring here: folders that hang");
        return;
    }
    let mut waiting = served.ask("/disk/stuck/file.txt", "");
    served.disk.gate.wait_for_somebody();
    served.serves_others();
    served.disk.gate.open();
    assert!(waiting.response().body == pattern(SMALL), "the bytes differ");
}

#[test]
fn a_disk_that_fails_cuts_the_answer_short_and_is_told_in_the_log() {
    for io in IO {
        let Some(served) = Served::start(io) else { return };
        let mut client = served.ask("/disk/broken.bin", "");
        let head = client.head_response();
        assert_eq!(head.header("content-length"), Some(&*LARGE.to_string()), "{io}");
        let body = client.rest();
        assert!(body.len() as u64 <= BROKEN_FROM, "{io}: {} bytes", body.len());
        assert!(body == pattern(LARGE)[..body.len()], "{io}: the bytes differ");
        served.server.wait_for_log("a file could not be read");
        served.serves_others();
        let log = served.server.log();
        assert_eq!(log.matches("a file could not be read").count(), 1, "{io}: {log}");
    }
}

#[test]
fn the_process_ends_in_time_although_the_disk_hangs() {
    for io in IO {
        let Some(mut served) = Served::start(io) else { return };
        let _waiting = served.ask("/disk/slow.bin", "");
        served.disk.gate.wait_for_somebody();
        let start = Instant::now();
        served.server.signal(Signal::TERM);
        assert_eq!(served.server.wait().code(), Some(0), "{io}");
        // A second for the request, and five for the lane that it may hold.
        assert!(start.elapsed() < PATIENCE / 2, "{io}: {:?}", start.elapsed());
    }
}
