//! The ways to compare, and how each of them is written in the table.

use std::fmt;

/// How the bytes get from the file into the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From memory that the program owns, with the head in one sendmsg(2).
    Memory,
    /// From a mapping of the file, with the head in one sendmsg(2).
    Mapping,
    /// pread(2) of so many bytes into one buffer that is used again and again, then send(2).
    ReadAndSend {
        /// Of the buffer.
        piece_bytes: usize,
    },
    /// The head with MSG_MORE, then sendfile(2) of at most so many bytes a call.
    Sendfile {
        /// Of one call.
        slice_bytes: usize,
    },
    /// The head with MSG_MORE, then splice(2) from the file into a pipe and on into the socket.
    Splice {
        /// Of the pipe.
        pipe_bytes: usize,
    },
    /// The head with MSG_MORE, then vmsplice(2) of a mapping into a pipe, and splice(2) from there.
    Vmsplice {
        /// Of the pipe.
        pipe_bytes: usize,
    },
    /// The head with MSG_MORE, then the mapping with MSG_ZEROCOPY, and its completions.
    ZeroCopy,
}

/// What is set on the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// SO_SNDBUF. None: what the kernel finds right.
    pub send_buffer_bytes: Option<usize>,
    /// TCP_NOTSENT_LOWAT.
    pub unsent_bytes: Option<u32>,
    /// How the head waits for the file.
    pub join: Join,
    /// Whether TCP_NODELAY is off.
    pub delay: bool,
    /// TCP_CONGESTION. None: the machine's.
    pub congestion: Option<&'static str>,
}

/// How a head and the file behind it come into the same segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// MSG_MORE with the head.
    #[default]
    More,
    /// TCP_CORK around both.
    Cork,
    /// Not at all.
    Apart,
}

/// One line of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contestant {
    /// How it sends.
    pub way: Way,
    /// On what kind of socket.
    pub options: Options,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// All ways, each with the options that the kernel chooses.
pub fn ways() -> Vec<Contestant> {
    let ways = [
        Way::Memory,
        Way::Mapping,
        Way::ReadAndSend { piece_bytes: 64 * KIB },
        Way::ReadAndSend { piece_bytes: 128 * KIB },
        Way::ReadAndSend { piece_bytes: 256 * KIB },
        Way::Sendfile { slice_bytes: 64 * KIB },
        Way::Sendfile { slice_bytes: 128 * KIB },
        Way::Sendfile { slice_bytes: 256 * KIB },
        Way::Sendfile { slice_bytes: MIB },
        Way::Sendfile { slice_bytes: usize::MAX },
        Way::Splice { pipe_bytes: 64 * KIB },
        Way::Splice { pipe_bytes: MIB },
        Way::Vmsplice { pipe_bytes: MIB },
        Way::ZeroCopy,
    ];
    ways.map(|way| Contestant { way, options: Options::default() }).to_vec()
}

/// The three ways that a server would take, each with other options than the kernel's.
pub fn options() -> Vec<Contestant> {
    let plain = Options::default();
    let options = [
        plain,
        Options { send_buffer_bytes: Some(256 * KIB), ..plain },
        Options { send_buffer_bytes: Some(MIB), ..plain },
        Options { send_buffer_bytes: Some(4 * MIB), ..plain },
        Options { unsent_bytes: Some(128 * 1024), ..plain },
        Options { join: Join::Cork, ..plain },
        Options { join: Join::Apart, ..plain },
        Options { delay: true, ..plain },
        Options { congestion: Some("cubic"), ..plain },
        Options { congestion: Some("cubic"), send_buffer_bytes: Some(MIB), ..plain },
    ];
    let ways = [
        Way::Memory,
        Way::ReadAndSend { piece_bytes: 128 * KIB },
        Way::Sendfile { slice_bytes: 256 * KIB },
    ];
    let pair = |way| options.map(|options| Contestant { way, options });
    ways.into_iter().flat_map(pair).collect()
}

impl fmt::Display for Contestant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.way {
            Way::Memory => write!(out, "memory")?,
            Way::Mapping => write!(out, "mmap, send")?,
            Way::ReadAndSend { piece_bytes } => write!(out, "pread, send: {}", Size(piece_bytes))?,
            Way::Sendfile { slice_bytes: usize::MAX } => write!(out, "sendfile: whole")?,
            Way::Sendfile { slice_bytes } => write!(out, "sendfile: {}", Size(slice_bytes))?,
            Way::Splice { pipe_bytes } => write!(out, "splice: pipe of {}", Size(pipe_bytes))?,
            Way::Vmsplice { pipe_bytes } => write!(out, "vmsplice: pipe of {}", Size(pipe_bytes))?,
            Way::ZeroCopy => write!(out, "mmap, MSG_ZEROCOPY")?,
        }
        let Options { send_buffer_bytes, unsent_bytes, join, delay, congestion } = self.options;
        if let Some(bytes) = send_buffer_bytes {
            write!(out, ", SO_SNDBUF {}", Size(bytes))?;
        }
        if let Some(bytes) = unsent_bytes {
            write!(out, ", TCP_NOTSENT_LOWAT {}", Size(bytes as usize))?;
        }
        match join {
            Join::More => {}
            Join::Cork => write!(out, ", TCP_CORK")?,
            Join::Apart => write!(out, ", no MSG_MORE")?,
        }
        if delay {
            write!(out, ", no TCP_NODELAY")?;
        }
        if let Some(name) = congestion {
            write!(out, ", {name}")?;
        }
        Ok(())
    }
}

/// Bytes as people write them.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub usize);

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= MIB && bytes.is_multiple_of(MIB) => {
                write!(out, "{} MiB", bytes / MIB)
            }
            bytes if bytes >= KIB => write!(out, "{} KiB", bytes / KIB),
            bytes => write!(out, "{bytes} B"),
        }
    }
}
