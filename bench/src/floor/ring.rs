//! The ring: entries that are right by construction, and the one system call of a turn.
//!
//! It owns the submission side. What an entry points to is either nothing, or a static; received
//! bytes go to the provided buffers, which outlive the ring (`server` holds both).

#![expect(unsafe_code, reason = "an entry is a promise about memory that the compiler cannot see")]

use std::io;
use std::os::fd::RawFd;

use io_uring::CompletionQueue;
use io_uring::IoUring;
use io_uring::SubmissionQueue;
use io_uring::Submitter;
use io_uring::opcode;
use io_uring::squeue::Entry;
use io_uring::types::Fd;
use io_uring::types::Fixed;
use io_uring::types::Timespec;

/// The group of the provided buffers that every receive takes from.
pub const BUFFER_GROUP: u16 = 0;

/// Entries that wait for one submission at most; a longer turn submits in between.
const ENTRIES: u32 = 1024;

/// What completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A connection was accepted.
    Accept,
    /// Bytes were received.
    Receive,
    /// Answers were sent.
    Send,
    /// A connection was shut or closed, in that slot.
    End,
    /// The wait is over after which accepting is tried again.
    Pause,
}

/// A ring for one thread: task work runs when that thread enters the kernel, and at no other time.
///
/// # Errors
///
/// As io_uring_setup(2): the kernel is older than 6.1, or io_uring is forbidden.
pub fn set_up() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(8 * ENTRIES)
        .dontfork()
        .build(ENTRIES)
}

/// The side of the ring that takes entries.
pub struct Issuer<'r> {
    submitter: Submitter<'r>,
    queue: SubmissionQueue<'r>,
    listener: RawFd,
}

/// After EMFILE or ENFILE, before the next try.
static PAUSE: Timespec = Timespec::new().nsec(50_000_000);

impl<'r> Issuer<'r> {
    /// Takes the ring apart. The completion side is for whoever handles completions.
    ///
    /// # Errors
    ///
    /// When the kernel does not register the ring's own descriptor.
    pub fn new(ring: &'r mut IoUring, listener: RawFd) -> io::Result<(Self, CompletionQueue<'r>)> {
        let (mut submitter, queue, completions) = ring.split();
        submitter.register_ring_fd()?;
        Ok((Self { submitter, queue, listener }, completions))
    }

    /// Submits everything and waits for a completion.
    ///
    /// # Errors
    ///
    /// As io_uring_enter(2), but for EINTR and EBUSY, after which completions are to be handled.
    pub fn turn(&mut self) -> io::Result<()> {
        self.queue.sync();
        match self.submitter.submit_and_wait(1) {
            Err(error) if !is_passing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Accepts connections into direct descriptors, until a completion says that there are no more.
    pub fn accept(&mut self) {
        let entry = opcode::AcceptMulti::new(Fd(self.listener)).allocate_file_index(true);
        self.push(entry.build(), Kind::Accept, 0);
    }

    /// Receives into provided buffers, until a completion says that there are no more.
    pub fn receive(&mut self, slot: u32) {
        let entry = opcode::RecvMulti::new(Fixed(slot), BUFFER_GROUP).build();
        self.push(entry, Kind::Receive, slot);
    }

    /// Sends all of it, or fails.
    pub fn send(&mut self, slot: u32, bytes: &'static [u8]) {
        let bytes_count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(Fixed(slot), bytes.as_ptr(), bytes_count)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL);
        self.push(entry.build(), Kind::Send, slot);
    }

    /// Ends both directions, which also ends the receive.
    pub fn shut(&mut self, slot: u32) {
        let entry = opcode::Shutdown::new(Fixed(slot), libc::SHUT_RDWR).build();
        self.push(entry, Kind::End, slot);
    }

    /// Gives the slot back.
    pub fn close(&mut self, slot: u32) {
        self.push(opcode::Close::new(Fixed(slot)).build(), Kind::End, slot);
    }

    /// Completes after a while.
    pub fn pause(&mut self) {
        self.push(opcode::Timeout::new(&raw const PAUSE).build(), Kind::Pause, 0);
    }

    fn push(&mut self, entry: Entry, kind: Kind, slot: u32) {
        let entry = entry.user_data((kind as u64) << 32 | u64::from(slot));
        // SAFETY: what entries of this file point to is static (`send`'s bytes, PAUSE), or a
        // provided buffer, which the server keeps until the ring is gone.
        while unsafe { self.queue.push(&entry) }.is_err() {
            self.queue.sync();
            // The next turn reports what is wrong, if it stays so; entries are not lost meanwhile.
            let _ = self.submitter.submit();
            self.queue.sync();
        }
    }
}

/// Whose completion this is: what completed, and in which slot.
#[must_use]
pub const fn whose(user_data: u64) -> (Option<Kind>, u32) {
    #[expect(clippy::cast_possible_truncation, reason = "the low half is the slot")]
    let slot = user_data as u32;
    let kind = match user_data >> 32 {
        0 => Some(Kind::Accept),
        1 => Some(Kind::Receive),
        2 => Some(Kind::Send),
        3 => Some(Kind::End),
        4 => Some(Kind::Pause),
        _ => None,
    };
    (kind, slot)
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_knows_what_it_completes() {
        for kind in [Kind::Accept, Kind::Receive, Kind::Send, Kind::End, Kind::Pause] {
            assert_eq!(whose((kind as u64) << 32 | 0xffff_fff7), (Some(kind), 0xffff_fff7));
        }
        assert_eq!(whose(5 << 32), (None, 0));
    }
}
