//! The bytes of a connection that were received and not yet used.
//!
//! Small while the connection is idle, grown while a head needs it, lent to the kernel for each
//! receive. Bounded by [`READ_BUFFER_BYTES_MAX`].

use crate::limits::READ_BUFFER_BYTES_MAX;
use crate::limits::READ_BUFFER_BYTES_MIN;

/// The buffer.
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    // INVARIANT: used <= bytes.len()
    used: usize,
}

impl ReadBuffer {
    /// An empty buffer that owns no memory yet.
    #[must_use]
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), used: 0 }
    }

    /// The bytes not yet used.
    #[must_use]
    pub(super) fn unused(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }

    /// Marks the next `count` bytes as used; at most all of them.
    pub(super) fn consume(&mut self, count: usize) {
        self.used = self.used.saturating_add(count).min(self.bytes.len());
    }

    /// Bytes of memory that it owns.
    #[must_use]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether another receive could bring anything: not when the bound is reached.
    #[must_use]
    pub(super) fn has_room(&self) -> bool {
        self.unused().len() < READ_BUFFER_BYTES_MAX
    }

    /// Gives the storage away for a receive, with free capacity at its end: unused bytes moved to
    /// the front, grown when full, shrunk when nothing is in it. Return it with
    /// [`ReadBuffer::give_back`].
    #[must_use]
    pub(super) fn lend(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..self.used.min(bytes.len()));
        self.used = 0;
        if bytes.is_empty() && bytes.capacity() != READ_BUFFER_BYTES_MIN {
            return Vec::with_capacity(READ_BUFFER_BYTES_MIN);
        }
        if bytes.len() == bytes.capacity() {
            let wanted = (bytes.capacity() * 2).min(READ_BUFFER_BYTES_MAX);
            bytes.reserve_exact(wanted.saturating_sub(bytes.len()));
        }
        bytes
    }

    /// Takes the storage back after a receive.
    pub(super) fn give_back(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(buffer: &mut ReadBuffer, mut bytes: &[u8]) {
        const PIECE_BYTES: usize = if cfg!(miri) { 50 } else { 1 };
        while !bytes.is_empty() {
            let mut lent = buffer.lend();
            let room = lent.capacity() - lent.len();
            assert!(room > 0, "a receive has room");
            let (piece, rest) = bytes.split_at(bytes.len().min(room).min(PIECE_BYTES));
            lent.extend_from_slice(piece);
            buffer.give_back(lent);
            bytes = rest;
        }
    }

    #[test]
    fn keeps_order_while_it_grows_and_is_consumed() {
        let mut buffer = ReadBuffer::new();
        let mut twin = Vec::new();
        for round in 0..200_u8 {
            let piece = vec![round; 97];
            receive(&mut buffer, &piece);
            twin.extend_from_slice(&piece);
            buffer.consume(50);
            twin.drain(..50);
            assert_eq!(buffer.unused(), twin);
        }
    }

    #[test]
    fn stops_at_its_bound_and_shrinks_when_empty() {
        let mut buffer = ReadBuffer::new();
        receive(&mut buffer, &vec![b'x'; READ_BUFFER_BYTES_MAX]);
        assert!(!buffer.has_room());
        buffer.consume(usize::MAX);
        assert!(buffer.unused().is_empty());
        assert_eq!(buffer.lend().capacity(), READ_BUFFER_BYTES_MIN);
    }
}
