//! Every bound of the program, by name and unit, with what happens there and why that number.
//!
//! A buffer, queue, cache, loop or wait without a line here is a defect. The asserts at the end
//! keep the numbers consistent with each other. It knows nothing else of the program.

use std::time::Duration;

// ---- the head of a request -------------------------------------------------------------------

/// Bytes of one request head, from the method to the empty line. Over it: 431. nginx takes four
/// buffers of 8 KiB.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Bytes of the request-target. Over it: 414. nginx and Apache take 8 KiB as well.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a method's name. Over it: 501 (RFC 9112 section 3). The longest registered one has 16.
pub const METHOD_BYTES_MAX: usize = 32;
/// Empty lines that are forgiven before a request line (RFC 9112 section 2.2). Over it: 400.
pub const LEADING_LINES_MAX: usize = 2;
/// Header fields in one head. Over it: 431. gunicorn's default.
pub const HEADER_COUNT_MAX: usize = 100;
/// Bytes of a PROXY header of version 1 (its specification, section 2.1). Over it the connection is
/// closed.
pub const PROXY_LINE_BYTES_MAX: usize = 107;
/// Bytes of a PROXY header of version 2 with its TLVs. Over it the connection is closed. The
/// largest addresses take 232; nginx takes 4 KiB as well.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;
/// Bytes of the first read buffer of a connection: most heads fit, and an idle connection owns no
/// more than this.
pub const READ_BUFFER_BYTES_MIN: usize = 1536;
/// Bytes that one connection may have read and not yet used: a whole head. Reading pauses there.
pub const READ_BUFFER_BYTES_MAX: usize = HEAD_BYTES_MAX;

// ---- the body of a request -------------------------------------------------------------------

/// Bytes of one request body, unless the operator says otherwise. Over it: 413.
pub const BODY_BYTES_MAX_DEFAULT: u64 = 64 * 1024 * 1024;
/// Bytes of a request body kept in memory; what is over it goes on in an unlinked temporary file.
pub const BODY_MEMORY_BYTES_MAX: usize = 64 * 1024;
/// Bytes read from the socket at once while a body arrives.
pub const BODY_READ_BYTES: usize = 64 * 1024;
/// Bytes of one chunk-size line with its extensions. Over it: 400. Extensions carry nothing for us.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Bytes of all chunk extensions of one body. Over it: 400. Without it a peer could make us read
/// hundreds of bytes for each byte of body (as in CVE-2023-39326).
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 8 * 1024;
/// Bytes of the trailer section after a chunked body. Over it: 431.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Bytes of an unread request body that are read and thrown away so that the connection can go on.
/// Over it the connection closes after the answer.
pub const DRAIN_BYTES_MAX: u64 = 64 * 1024;

// ---- time ------------------------------------------------------------------------------------

/// A whole head must have come within this after its first byte. Over it: 408. nginx: 60 s.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(15);
/// The slowest pace of a request body, and of an answer to a peer that is slow to read: beside the
/// longest wait each byte buys so much time. 20 times slower than the slowest modem; Apache's
/// mod_reqtimeout: 500.
pub const BYTES_PER_SECOND_MIN: u64 = 512;
/// Between two reads of a request body. Over it: 408. nginx: 60 s.
pub const BODY_WAIT_MAX: Duration = Duration::from_secs(30);
/// Between two requests on a kept connection, unless the operator says otherwise. Over it the
/// connection closes without a word. nginx: 75 s.
pub const IDLE_TIME_MAX_DEFAULT: Duration = Duration::from_secs(75);
/// Between two writes that make progress. Over it the connection is cut. nginx: 60 s.
pub const SEND_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a closing connection listens for the peer's last bytes, so that the answer is not lost
/// to a reset (RFC 9112 section 9.6).
pub const LINGER_TIME_MAX: Duration = Duration::from_secs(2);
/// How often a lane looks for passed deadlines. A deadline is late by at most this.
pub const DEADLINE_TICK: Duration = Duration::from_millis(250);
/// From the signal to stop until running requests are cut, unless the operator says otherwise.
pub const GRACEFUL_TIME_MAX_DEFAULT: Duration = Duration::from_secs(30);
/// Python's exit handlers of all interpreters together may take this long.
pub const EXIT_HANDLERS_TIME_MAX: Duration = Duration::from_secs(5);

// ---- connections and lanes -------------------------------------------------------------------

/// Lanes of one process. More CPUs than this are left unused.
pub const LANES_MAX: usize = 256;
/// Connections waiting to be accepted, for each listener. The kernel caps it at net.core.somaxconn.
pub const BACKLOG: i32 = 4096;
/// The start waits at most this long for an address on which somebody listens. Over it the start is
/// refused. gunicorn waits 5 s.
pub const ADDRESS_WAIT_MAX: Duration = Duration::from_secs(2);
/// Pause between two tries meanwhile.
pub const ADDRESS_PAUSE: Duration = Duration::from_millis(20);
/// Open connections of one lane. At it those that have been idle for longest make room for new
/// ones; where none is idle, the lane stops accepting until one closes.
pub const CONNECTIONS_PER_LANE_MAX: usize = 65_536;
/// Bytes that the connections of one lane hold together while they wait for their peers: parts of
/// heads and bodies, answers that are not read. Over it the lane accepts nothing, and those that
/// hold some and are nearest to their deadline are ended until it is below. So much is 8,000 heads
/// that stop just before their end, or 2,000 uploads that are slower than the disk.
pub const CONNECTION_MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes that a connection may hold without being counted there: an idle one has less.
pub const UNCOUNTED_BYTES_MAX: usize = 2 * READ_BUFFER_BYTES_MIN;
/// Requests that one connection may carry; the last answer says `Connection: close`. A connection
/// stays in the lane that accepted it, so those of a proxy that keeps them for ever would never
/// spread to other lanes. nginx has 1000, to give memory back that it collects for a connection;
/// corelane collects none, and a new connection costs as much as some ten requests.
pub const REQUESTS_PER_CONNECTION_MAX: u64 = 100_000;
/// Open connections of one client in one lane, unless the operator says otherwise: of an IPv4
/// address, or an IPv6 network of 64 bits. Over it a connection is closed at once. Browsers open 6;
/// behind the address of a large company or a mobile network are some hundreds of them.
pub const CONNECTIONS_PER_CLIENT_MAX_DEFAULT: usize = 512;
/// Submission entries of a lane's ring. A full queue is flushed to the kernel, nothing is lost.
pub const RING_ENTRIES: u32 = 128;
/// Completion entries of a lane's ring. The kernel keeps what overflows. All that are there are
/// served before the kernel gets the answers to them, so with 10,000 events at once the first of
/// them would wait for the last. 8192 and 1024 cost as much CPU time a request, at 64 connections
/// and at 1024.
pub const RING_COMPLETIONS: u32 = 256;
/// Bytes of answers that are collected for one write while pipelined requests wait.
pub const SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Spare buffers that a lane keeps. More are given back to the allocator.
pub const SPARE_BUFFERS_MAX: usize = 64;
/// Connections accepted in a row before the lane's other tasks have their turn.
pub const ACCEPT_BATCH_MAX: usize = 8;
/// Sockets closed in a row before the lane's other tasks have their turn. More than are accepted in
/// a row, so that ended connections do not pile up.
pub const CLOSE_BATCH_MAX: usize = 16;
/// Connections whose time is over that are ended in a row before the lane's other tasks have their
/// turn: each then sends its 408, or frees what it holds.
pub const EXPIRE_BATCH_MAX: usize = 16;
/// Pause after accept has failed for want of descriptors or memory, or while the lane is full. A
/// connection that closes ends it.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that are ended at once to make room for others where descriptors or places are
/// short: those that have been idle for longest.
pub const IDLE_ENDED_MAX: usize = 64;
/// Between two lines of the log on the same shortage. An attack may last for days.
pub const SHORTAGE_NOTICE_TIME: Duration = Duration::from_secs(10);

// ---- static files ----------------------------------------------------------------------------

/// A file up to this size is kept in the lane's cache and leaves with its head in one write; a
/// larger one leaves by sendfile. There the sender's CPU time is equal (8.1 and 7.5 us); at 8 KiB
/// memory is cheaper (7.2 and 7.9), at 32 KiB sendfile (10.0 and 6.6): runs/2026-11-21-crossover.
pub const INLINE_FILE_BYTES_MAX: u64 = 16 * 1024;
/// A body up to this size is copied behind its head; a larger one is gathered from where it lies.
pub const COPY_BODY_BYTES_MAX: usize = 4 * 1024;
/// Bytes that one sendfile call may move before other connections of the lane get their turn, while
/// many files are being sent.
/// Measured with 10 MB files, A B A B against 1 MiB: no more CPU time (2.02, 1.77, 1.94 ms a file
/// against 2.24, 1.94, 1.99), and a small file beside 100 downloads has a p99 of 0.5 and 2.7 ms
/// instead of 4.0 and 3.9.
pub const SENDFILE_SLICE_BYTES: usize = 256 * 1024;
/// The same while few files are being sent: 0.05 to 0.1 ms, with bbr to 0.3. 10 MB to 8 connections
/// take 1.45 ms instead of 2.13; a small file beside 1 to 100 downloads waited no longer that could
/// be seen (three noisy rounds).
pub const SENDFILE_SLICE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of all files being sent that may go in one turn of the lane, if their slices do not get
/// smaller than [`SENDFILE_SLICE_BYTES`] by it.
pub const SENDFILE_TURN_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of a file that are read at once where they are not in the page cache, into a buffer of the
/// connection's: what the kernel reads ahead by default.
pub const COLD_READ_BYTES: usize = 128 * 1024;
/// Distance of the bytes that are probed where the kernel does not count a file's cached pages.
pub const RESIDENCE_PROBE_BYTES: u64 = 64 * 1024;
/// Reads of one lane that wait for a disk at a time, where there is no ring. Further ones wait for
/// a thread. A ring of the usual size has 4 for each CPU.
pub const DISK_JOBS_MAX: usize = 16;
/// Entries of one lane's file cache. The one unused for longest goes.
pub const FILE_CACHE_ENTRIES_MAX: usize = 4096;
/// Bytes of file contents in one lane's file cache.
pub const FILE_CACHE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of forms that one lane has made (compressed files, listings), in its cache or still being
/// sent when the cache has let them go. Over it files leave as they are, and for a listing: 503.
/// Without it each slow reader could hold another one, of up to 4 MiB.
pub const MADE_FORMS_BYTES_MAX: usize = 2 * FILE_CACHE_BYTES_MAX;
/// An entry older than this is compared with the disk before it is used again, so that a changed
/// file is served in its new form within a second.
pub const FILE_FRESH_TIME: Duration = Duration::from_millis(500);
/// Bytes of all files that one lane is compressing or has waiting for it, but for the first of
/// them, which may be larger. Over it a file is sent as it is, and compressed for somebody later: 4
/// MiB of the worst bytes take 1 to 3 s, and nobody should wait for many of them.
pub const COMPRESS_PENDING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Devices beneath a folder of files of which a lane knows whether they are of this machine. Of
/// further ones it is asked again.
pub const DEVICES_KNOWN_MAX: usize = 16;
/// The path of a folder of files is looked for anew after this. What was found beneath the old one
/// just before may be used for [`FILE_FRESH_TIME`] from then on, so a deploy shows after both.
pub const ROOT_FRESH_TIME: Duration = Duration::from_millis(250);
/// A file that was written to more recently than this is not taken yet: the time of a write is
/// noted before its bytes are there, and two writes within a tick of the kernel's clock (up to 10
/// ms) may have the same time. The old version is served meanwhile, if there is one in memory. Once
/// for each look; a file that is written to all the time is taken as it is, and compared again.
pub const FILE_SETTLE_TIME: Duration = Duration::from_millis(20);
/// Steps to the form of a file that a client takes: its sidecars are looked for, one of them is
/// loaded again, the file is compressed. Over it the file is sent as it is: another one takes the
/// cache's room faster than this one can use it.
pub const FORM_STEPS_MAX: usize = 6;
/// Names of a folder that its listing shows. Those beyond it are not looked at, and the page says
/// so. 10,000 take some 30 ms of the workshop, and 1.5 MB.
pub const LISTING_ENTRIES_MAX: usize = 10_000;
/// Tries to open a path while its folders are being renamed (openat2(2): EAGAIN).
pub const OPEN_TRIES_MAX: usize = 4;
/// Ranges in one Range field. Over it the field is ignored, and the whole is sent. Apache takes
/// 200, nginx any number; readers of documents and archives ask for a few.
pub const RANGES_MAX: usize = 64;
/// What a part of multipart/byteranges costs beside its bytes: its boundary and two fields have 100
/// to 150. Ranges with a smaller gap between them are sent as one.
pub const RANGE_PART_HEAD_BYTES: u64 = 128;
/// Bytes of a file that is worth compressing. A smaller one and its head are one packet in any
/// case. nginx: 20, Caddy: 512.
pub const COMPRESS_BYTES_MIN: u64 = 1024;
/// Bytes of a file that is compressed: most take below 0.1 s, the worst ones some seconds. A larger
/// one leaves as it is, unless a compressed form lies beside it.
pub const COMPRESS_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of a file that is compressed as well as can be, within about 50 ms. Most scripts and pages
/// are smaller; a larger one would take half a second for each megabyte.
pub const COMPRESS_THOROUGH_BYTES_MAX: usize = 64 * 1024;
/// Percent of a file that its compressed form must save. Below it the file leaves as it is.
pub const COMPRESS_SAVED_PERCENT_MIN: usize = 5;

// ---- work off the I/O thread -----------------------------------------------------------------

/// Jobs of one lane's workshop that run at a time: compressing, checking a password, reading a
/// folder. They share the lane's CPU, so more would not be done sooner; with two, one that waits
/// for a disk does not hold up the other.
pub const WORKSHOP_JOBS_MAX: usize = 2;
/// Jobs of one lane that wait for their turn. Over it: 503 with Retry-After. So many passwords at
/// bcrypt's usual cost take some 4 s.
pub const WORKSHOP_QUEUE_MAX: usize = 64;

// ---- passwords -------------------------------------------------------------------------------

/// Bytes of a name and a password together. Over it they are wrong without being looked at. Names
/// and passwords of 255 bytes are the longest that others take.
pub const AUTH_CREDENTIALS_BYTES_MAX: usize = 1024;
/// How long a password that was right needs no further check. One check takes some 60 ms of CPU
/// time at bcrypt's cost 10; this often is nothing.
pub const AUTH_CACHE_TIME: Duration = Duration::from_secs(10 * 60);
/// Users of one realm. Over it the start is refused: one would not keep them in a file. A lane
/// remembers one right password for each, in 32 bytes.
pub const AUTH_USERS_MAX: usize = 10_000;
/// The cost of a bcrypt hash. Over it the start is refused. A check at 14 takes a second.
pub const AUTH_BCRYPT_COST_MAX: u32 = 14;
/// Memory of an Argon2 hash. Over it the start is refused. So much is what RFC 9106 recommends
/// where memory is short, and each lane checks as many at a time as its workshop has places.
pub const AUTH_ARGON2_MEMORY_KIB_MAX: u32 = 64 * 1024;
/// Passes of an Argon2 hash over its memory. Over it the start is refused. RFC 9106: 1 or 3.
pub const AUTH_ARGON2_PASSES_MAX: u32 = 10;
/// Lanes of an Argon2 hash, which are computed one after the other here. Over it the start is
/// refused. RFC 9106: 4.
pub const AUTH_ARGON2_LANES_MAX: u32 = 16;

// ---- Python ----------------------------------------------------------------------------------

/// Python threads of one lane and application, unless the operator says otherwise.
pub const PYTHON_THREADS_DEFAULT: usize = 8;
/// Python threads of one lane and application at most.
pub const PYTHON_THREADS_MAX: usize = 512;
/// Requests of one lane waiting for a Python thread. Over it: 503 with Retry-After.
pub const PYTHON_QUEUE_MAX: usize = 1024;
/// A request that waited this long for a Python thread gets a further thread started: the running
/// ones are blocked in I/O.
pub const PYTHON_THREAD_WAIT: Duration = Duration::from_millis(5);
/// Bytes of an answer that wait for the socket before the application's iterator is held back.
pub const STREAM_BYTES_MAX: usize = 256 * 1024;
/// How long a Python thread may wait for a client that reads more slowly than the answer is made.
/// Then its answer goes on into an unlinked temporary file: a thread is worth more than a client.
pub const SLOW_READER_PATIENCE: Duration = Duration::from_millis(50);
/// Bytes of one answer that wait in such a file. Over it the thread waits until the client has read
/// some of them, or all of them where the file system cannot free a part. nginx: 1 GiB.
pub const ANSWER_SPOOL_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of such a file whose room is given back at once, before the lane's other tasks have their
/// turn: about 0.2 ms.
pub const ANSWER_SPOOL_FREED_BYTES: u64 = 1024 * 1024;
/// Bytes of all such files of a lane. Over it threads wait for their clients.
pub const ANSWER_SPOOLS_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Bytes that `write()` may collect in a call on the I/O thread (`--threads 0`), where nothing can
/// wait for the socket. Over it the call raises.
pub const INLINE_WRITE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Pause of a call on the I/O thread after an empty piece, so that the lane's other tasks go on.
pub const INLINE_PAUSE: Duration = Duration::from_millis(1);
/// Pieces of a streamed answer that a connection sends in a row before the lane's other tasks have
/// their turn, even if the socket has room for more.
pub const STREAM_PIECES_MAX: usize = 16;
/// Bytes of the status line and headers of an application's answer. Over it: 500.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Pairs of `start_response` and `write` that an interpreter keeps for further calls. More are
/// dropped and made anew: only calls that run at the same time need more than one.
pub const PYTHON_SPARE_CALLABLES_MAX: usize = 64;
/// Characters of a line that an application writes to `wsgi.errors`. A longer one is logged in
/// pieces, whether the application has ended it or not.
pub const ERROR_LINE_CHARS_MAX: usize = 16 * 1024;
/// Bytes of a Python thread's stack, of which only the touched pages take memory. CPython 3.13
/// counts nested C calls, and its count fits the usual 8 MiB, not the 2 MiB of a Rust thread.
pub const PYTHON_STACK_BYTES: usize = 8 * 1024 * 1024;
/// How long the import of an application may take before the start says that it is still waiting.
pub const IMPORT_NOTICE_TIME: Duration = Duration::from_secs(10);

// ---- logs ------------------------------------------------------------------------------------

/// Bytes of access log lines that a lane collects before it hands them to the writer.
pub const ACCESS_LOG_BUFFER_BYTES: usize = 32 * 1024;
/// Filled access log buffers waiting for the writer, over all lanes. Over it lines are counted and
/// dropped, and the count is logged.
pub const ACCESS_LOG_QUEUE_MAX: usize = 64;
/// A line waits at most this long before it is handed over.
pub const ACCESS_LOG_DELAY_MAX: Duration = Duration::from_secs(1);
/// Bytes of one value from the peer in an access log line, after escaping. Over it `...` stands for
/// the rest: a target of 8 KiB of control bytes would take 32 KiB of log.
pub const ACCESS_LOG_FIELD_BYTES_MAX: usize = 2 * 1024;
/// Bytes of one access log line: four values with their `...`, and room for address, time, status
/// and sizes. A lane hands its buffer over when no line of this length fits any more.
pub const ACCESS_LOG_LINE_BYTES_MAX: usize = 4 * (ACCESS_LOG_FIELD_BYTES_MAX + 3) + 256;
/// The end of the process waits at most this long for an access log that takes nothing.
pub const ACCESS_LOG_STOP_TIME_MAX: Duration = Duration::from_secs(2);

// ---- configuration ---------------------------------------------------------------------------

/// Bytes of a host name (RFC 1035 section 2.3.4: 255 octets on the wire, 253 as text). A longer
/// Host of a request belongs to the site for every host; a longer one in the configuration is
/// refused.
pub const HOST_BYTES_MAX: usize = 253;
/// Bytes of a configuration file. Over it the start is refused: it is some other file.
pub const CONFIG_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of a pyvenv.cfg that are looked at. What is over it is not read: the file has five short
/// lines.
pub const PYVENV_CFG_BYTES_MAX: u64 = 64 * 1024;
/// The longest time that an operator may set. Over it the start is refused: a slip of the unit.
pub const OPERATOR_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The largest request body that an operator may allow. Over it the start is refused.
pub const OPERATOR_BODY_BYTES_MAX: u64 = 1 << 40;
/// Networks of proxies that are believed. Over it the start is refused: each new connection is
/// compared with all of them. The largest content networks publish some 200.
pub const PROXY_NETWORKS_MAX: usize = 1024;
/// Rules of one site. Over it the start is refused: each request is compared with all of them, and
/// those that name whole paths take some 10 ns each.
pub const RULES_PER_SITE_MAX: usize = 1024;
/// Bytes of a rule's pattern. Over it the start is refused: no file has a longer path than some
/// hundred.
pub const RULE_PATTERN_BYTES_MAX: usize = 512;
/// Bytes of a path that are compared one by one from the first star, `?`, bracket or brace of a
/// pattern on. Over it the start is refused: in the worst of patterns and paths each byte of the
/// path is compared with all of them.
pub const RULE_STEPS_MAX: usize = 128;
/// How often a pattern may have `?`, brackets, or an alternative in braces. Over it the start is
/// refused: behind a star the states in which a comparison can be double with each of them. Hashes
/// in names take 8 to 20.
pub const RULE_CHOICES_MAX: usize = 32;
/// Stars of a rule's pattern, each of one or two asterisks. Over it the start is refused: a target
/// names them by `$1` to `$9`.
pub const RULE_STARS_MAX: usize = 9;
/// Bytes of the program that a pattern is compiled to. Over it the start is refused.
pub const RULE_PROGRAM_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the states that a program keeps from one path to the next. Over it they are made anew.
pub const RULE_STATES_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the target of a redirect or rewrite. Over it the start is refused.
pub const RULE_TARGET_BYTES_MAX: usize = 2048;
/// Bytes of the path that a rule makes of a target and a request. Over it: 414, as `$1$1$1` would
/// make many bytes of few. The longest path that is taken fits, when each of its bytes is escaped.
pub const RULE_RESULT_BYTES_MAX: usize = 4 * TARGET_BYTES_MAX;
/// Bytes of the fields of all rules of a site, which may all match one request. Over it the start
/// is refused: browsers take heads of some 256 KiB, other proxies of 8 to 64.
pub const RULES_FIELDS_BYTES_MAX: usize = 32 * 1024;
/// Entries of each list of one rule on other origins. Over it the start is refused: each request is
/// compared with all of them.
pub const CORS_ENTRIES_MAX: usize = 256;
/// Bytes of a file of names and hashes. Over it the start is refused: it is some other file. So
/// many users as a realm may have, with names of usual length and hashes of Argon2, take 2 MiB.
pub const HTPASSWD_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The operator's own media types. Over it the start is refused. All registered extensions together
/// are some 1400, of which most are known without being written.
pub const MEDIA_TYPES_MAX: usize = 1024;
/// Names that may stand for a folder. Over it the start is refused: each costs a look at the disk.
pub const INDEX_NAMES_MAX: usize = 16;
/// Bytes of the path of a unix socket (unix(7): 108 with the NUL behind them).
pub const UNIX_PATH_BYTES_MAX: usize = 107;
/// Bytes of /etc/passwd or /etc/group that are looked at for the owner of a socket.
pub const ACCOUNTS_BYTES_MAX: u64 = 16 * 1024 * 1024;

const _: () = assert!(TARGET_BYTES_MAX < HEAD_BYTES_MAX, "a target must fit into a head");
const _: () = assert!(HEAD_BYTES_MAX <= u16::MAX as usize, "spans in a head are u16");
const _: () = assert!(3 * TARGET_BYTES_MAX + RULE_TARGET_BYTES_MAX <= RULE_RESULT_BYTES_MAX);
const _: () = assert!(READ_BUFFER_BYTES_MIN <= READ_BUFFER_BYTES_MAX);
const _: () = assert!(PROXY_LINE_BYTES_MAX <= PROXY_HEADER_BYTES_MAX);
const _: () = assert!(PROXY_HEADER_BYTES_MAX <= READ_BUFFER_BYTES_MAX, "it is read whole");
const _: () = assert!(ACCEPT_BATCH_MAX < CLOSE_BATCH_MAX, "ended connections would pile up");
const _: () = assert!(STREAM_BYTES_MAX as u64 <= ANSWER_SPOOL_BYTES_MAX);
const _: () = assert!(ANSWER_SPOOL_BYTES_MAX <= ANSWER_SPOOLS_BYTES_MAX);
const _: () = assert!(COPY_BODY_BYTES_MAX < SEND_BUFFER_BYTES_MAX);
const _: () = assert!(SENDFILE_SLICE_BYTES < SENDFILE_SLICE_BYTES_MAX);
const _: () = assert!(2 * SENDFILE_SLICE_BYTES_MAX <= SENDFILE_TURN_BYTES);
const _: () = assert!(COMPRESS_BYTES_MAX <= 8 << 20, "browsers refuse a larger window of zstd");
const _: () = assert!(COLD_READ_BYTES <= SENDFILE_SLICE_BYTES);
const _: () = assert!(CHUNK_LINE_BYTES_MAX < READ_BUFFER_BYTES_MIN);
const _: () = assert!(PYTHON_THREADS_DEFAULT <= PYTHON_THREADS_MAX);
const _: () = assert!(
    FILE_FRESH_TIME.as_millis() + ROOT_FRESH_TIME.as_millis() + FILE_SETTLE_TIME.as_millis() < 900,
    "a changed file or folder must show in a second"
);
const _: () = assert!(2 * ACCESS_LOG_LINE_BYTES_MAX <= ACCESS_LOG_BUFFER_BYTES);
const _: () = assert!(BODY_BYTES_MAX_DEFAULT <= OPERATOR_BODY_BYTES_MAX);
const _: () = assert!(IDLE_TIME_MAX_DEFAULT.as_secs() <= OPERATOR_TIME_MAX.as_secs());
const _: () = assert!(CONNECTIONS_PER_CLIENT_MAX_DEFAULT <= CONNECTIONS_PER_LANE_MAX);
const _: () = assert!(GRACEFUL_TIME_MAX_DEFAULT.as_secs() <= OPERATOR_TIME_MAX.as_secs());
