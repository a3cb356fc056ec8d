//! One send of a head and a file on one connection, by one way, and the CPU time that it took.

use std::fs::File;
use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendFlags;
use rustix::net::sockopt;
use rustix::pipe::PipeFlags;
use rustix::pipe::SpliceFlags;
use rustix::time::ClockId;

use crate::crossover::raw;
use crate::crossover::way::Contestant;
use crate::crossover::way::Join;
use crate::crossover::way::Way;

/// A head of the length that corelane's have.
const HEAD: [u8; 260] = [b'h'; 260];

/// Bytes of head and file.
#[must_use]
pub const fn answer_bytes(file_bytes: usize) -> usize {
    HEAD.len() + file_bytes
}

/// The file, in all the forms in which it is sent.
pub struct Source {
    /// Open for reading.
    pub file: File,
    /// A copy in memory.
    pub memory: Vec<u8>,
    /// The same bytes as a mapping.
    pub mapping: &'static [u8],
}

/// How much a number of sends took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// How many those were.
    pub sends: u32,
    /// CPU time of the thread.
    pub cpu: Duration,
    /// Calls that moved bytes, or tried to.
    pub calls: u64,
    /// Waits for room in the socket.
    pub waits: u64,
}

/// Sends by one way.
pub struct Sender {
    contestant: Contestant,
    pipe: (OwnedFd, OwnedFd),
    buffer: Vec<u8>,
    /// What was spent so far.
    pub spent: Spent,
}

impl Sender {
    /// Makes what the way needs.
    ///
    /// # Errors
    ///
    /// As pipe2(2) and fcntl(2).
    pub fn new(contestant: Contestant) -> io::Result<Self> {
        let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let mut buffer = Vec::new();
        match contestant.way {
            Way::Splice { pipe_bytes } | Way::Vmsplice { pipe_bytes } => {
                rustix::pipe::fcntl_setpipe_size(&pipe.1, pipe_bytes)?;
            }
            Way::ReadAndSend { piece_bytes } => buffer.resize(piece_bytes, 0),
            _ => {}
        }
        Ok(Self { contestant, pipe, buffer, spent: Spent::default() })
    }

    /// Sets a socket up for this way.
    ///
    /// # Errors
    ///
    /// As setsockopt(2).
    pub fn prepare(&self, socket: &TcpStream) -> io::Result<()> {
        let options = self.contestant.options;
        socket.set_nodelay(!options.delay)?;
        if let Some(bytes) = options.send_buffer_bytes {
            sockopt::set_socket_send_buffer_size(socket, bytes)?;
        }
        if let Some(bytes) = options.unsent_bytes {
            raw::limit_unsent(socket, bytes)?;
        }
        if let Some(name) = options.congestion {
            sockopt::set_tcp_congestion(socket, name)?;
        }
        if self.contestant.way == Way::ZeroCopy {
            raw::allow_zero_copy(socket)?;
        }
        Ok(())
    }

    /// Waits until the peer asks, then sends one answer; the time of the wait does not count.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says.
    pub fn answer(&mut self, socket: &mut TcpStream, source: &Source) -> io::Result<()> {
        socket.set_nonblocking(false)?;
        socket.read_exact(&mut [0])?;
        socket.set_nonblocking(true)?;
        let start = cpu_time();
        self.send(socket, source)?;
        self.spent.cpu += cpu_time().saturating_sub(start);
        self.spent.sends += 1;
        Ok(())
    }

    fn send(&mut self, socket: &TcpStream, source: &Source) -> io::Result<()> {
        let join = self.contestant.options.join;
        if join == Join::Cork {
            sockopt::set_tcp_cork(socket, true)?;
        }
        let more = if join == Join::More { SendFlags::MORE } else { SendFlags::empty() };
        match self.contestant.way {
            Way::Memory => self.gather(socket, &HEAD, &source.memory)?,
            Way::Mapping => self.gather(socket, &HEAD, source.mapping)?,
            Way::ReadAndSend { .. } => {
                self.read_and_send(socket, &source.file, source.memory.len())?
            }
            Way::Sendfile { slice_bytes } => {
                self.bytes(socket, &HEAD, more)?;
                self.sendfile(socket, &source.file, source.memory.len(), slice_bytes)?;
            }
            Way::Splice { pipe_bytes } => {
                self.bytes(socket, &HEAD, more)?;
                self.splice(socket, &source.file, source.memory.len(), pipe_bytes)?;
            }
            Way::Vmsplice { .. } => {
                self.bytes(socket, &HEAD, more)?;
                self.vmsplice(socket, source.mapping)?;
            }
            Way::ZeroCopy => {
                self.bytes(socket, &HEAD, more)?;
                self.bytes(socket, source.mapping, SendFlags::from_bits_retain(ZERO_COPY))?;
                reap(socket)?;
            }
        }
        if join == Join::Cork {
            sockopt::set_tcp_cork(socket, false)?;
        }
        Ok(())
    }

    fn gather(&mut self, socket: &TcpStream, head: &[u8], body: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while sent < head.len() + body.len() {
            let rest = body.get(sent.saturating_sub(head.len())..).unwrap_or_default();
            let first = head.get(sent..).unwrap_or_default();
            let parts = [IoSlice::new(first), IoSlice::new(rest)];
            let parts = if first.is_empty() { &parts[1..] } else { &parts[..] };
            sent += self.moved(socket, || {
                rustix::net::sendmsg(socket, parts, &mut SendAncillaryBuffer::default(), FLAGS)
            })?;
        }
        Ok(())
    }

    fn bytes(&mut self, socket: &TcpStream, bytes: &[u8], more: SendFlags) -> io::Result<()> {
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = bytes.get(sent..).unwrap_or_default();
            sent += self.moved(socket, || rustix::net::send(socket, rest, FLAGS | more))?;
        }
        Ok(())
    }

    fn read_and_send(&mut self, socket: &TcpStream, file: &File, bytes: usize) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut read = 0;
        while read < bytes {
            let piece = buffer.len().min(bytes - read);
            let piece = &mut buffer[..piece];
            file.read_exact_at(piece, read as u64)?;
            self.spent.calls += 1;
            if read == 0 {
                self.gather(socket, &HEAD, piece)?;
            } else {
                self.bytes(socket, piece, SendFlags::empty())?;
            }
            read += piece.len();
        }
        self.buffer = buffer;
        Ok(())
    }

    fn sendfile(
        &mut self,
        socket: &TcpStream,
        file: &File,
        bytes: usize,
        slice_bytes: usize,
    ) -> io::Result<()> {
        let mut offset = 0;
        while offset < bytes as u64 {
            let left = usize::try_from(bytes as u64 - offset).unwrap_or(0).min(slice_bytes);
            self.moved(socket, || rustix::fs::sendfile(socket, file, Some(&mut offset), left))?;
        }
        Ok(())
    }

    fn splice(
        &mut self,
        socket: &TcpStream,
        file: &File,
        bytes: usize,
        pipe_bytes: usize,
    ) -> io::Result<()> {
        let mut offset = 0;
        while offset < bytes as u64 {
            let left = usize::try_from(bytes as u64 - offset).unwrap_or(0).min(pipe_bytes);
            let flags = SpliceFlags::NONBLOCK;
            let taken =
                rustix::pipe::splice(file, Some(&mut offset), &self.pipe.1, None, left, flags)?;
            self.spent.calls += 1;
            self.drain_pipe(socket, taken)?;
        }
        Ok(())
    }

    fn vmsplice(&mut self, socket: &TcpStream, mapping: &'static [u8]) -> io::Result<()> {
        let mut left = mapping;
        while !left.is_empty() {
            let taken = raw::vmsplice(&self.pipe.1, left)?;
            self.spent.calls += 1;
            self.drain_pipe(socket, taken)?;
            left = left.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    fn drain_pipe(&mut self, socket: &TcpStream, bytes: usize) -> io::Result<()> {
        let reading = self.pipe.0.try_clone()?;
        let mut moved = 0;
        while moved < bytes {
            moved += self.moved(socket, || {
                let flags = SpliceFlags::NONBLOCK;
                rustix::pipe::splice(&reading, None, socket, None, bytes - moved, flags)
            })?;
        }
        Ok(())
    }

    /// One call; where there is no room, a wait for it and 0.
    fn moved(
        &mut self,
        socket: &TcpStream,
        call: impl FnOnce() -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        self.spent.calls += 1;
        match call() {
            Err(rustix::io::Errno::AGAIN) => {
                self.spent.waits += 1;
                let mut polled = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)];
                rustix::event::poll(&mut polled, None)?;
                Ok(0)
            }
            moved => Ok(moved?),
        }
    }
}

const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// MSG_ZEROCOPY, which rustix has no name for.
const ZERO_COPY: u32 = 0x0400_0000;

/// Takes the completions that are there. Those that come later are taken after the next send.
fn reap(socket: &TcpStream) -> io::Result<()> {
    loop {
        let mut space = [MaybeUninit::uninit(); 128];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::ERRQUEUE | RecvFlags::DONTWAIT;
        match rustix::net::recvmsg(socket, &mut [], &mut control, flags) {
            Ok(_) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// CPU time of this thread.
#[must_use]
pub fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}
