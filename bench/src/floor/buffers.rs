//! The buffers that the kernel receives into, and the ring by which it is given them.
//!
//! The kernel picks a buffer for each receive and names it in the completion; after its bytes were
//! looked at it is given back. It does not know what the bytes are.

#![expect(unsafe_code, reason = "memory that the kernel writes while the compiler does not look")]

use std::ffi::c_void;
use std::io;
use std::ptr;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use rustix::mm::MapFlags;
use rustix::mm::ProtFlags;

use crate::floor::ring::BUFFER_GROUP;

/// Buffers of the ring; a power of two. When all are in use, receives end with ENOBUFS and are
/// armed again. As few as a turn needs: used in a circle, they stay in the cache.
const COUNT: u16 = 256;

/// Bytes of a buffer. An ordinary head fits; a longer one takes several receives.
const BYTES: usize = 2048;

/// The entries, then the buffers, in one mapping. Never unmapped: the process ends with the ring.
pub struct Buffers {
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    tail: u16,
}

impl Buffers {
    /// Makes the buffers and gives them to the ring as [`BUFFER_GROUP`].
    ///
    /// # Errors
    ///
    /// As mmap(2), or when the kernel knows no buffer rings (before 5.19).
    pub fn register(submitter: &Submitter<'_>) -> io::Result<Self> {
        let entries_bytes = usize::from(COUNT) * size_of::<BufRingEntry>();
        let bytes = entries_bytes + usize::from(COUNT) * BYTES;
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new mapping at no fixed address touches no memory that exists.
        let mapping =
            unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), bytes, protection, flags) }?;
        // SAFETY: mmap gave `bytes` bytes there, of which the entries are the first.
        let memory = unsafe { mapping.cast::<u8>().add(entries_bytes) };
        let (Some(entries), Some(memory)) =
            (NonNull::new(mapping.cast::<BufRingEntry>()), NonNull::new(memory))
        else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let address = mapping.cast::<c_void>() as u64;
        // SAFETY: the mapping begins at a page, has room for COUNT entries, and is never unmapped.
        unsafe { submitter.register_buf_ring_with_flags(address, COUNT, BUFFER_GROUP, 0) }?;
        let mut buffers = Self { entries, memory, tail: 0 };
        for id in 0..COUNT {
            buffers.give_back(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// The bytes of a receive. None: the kernel named a buffer that does not exist.
    ///
    /// They may be read until the buffer is given back, which takes `&mut self`.
    #[must_use]
    pub fn received(&self, id: u16, bytes: usize) -> Option<&[u8]> {
        if id >= COUNT || bytes > BYTES {
            return None;
        }
        // SAFETY: the id is below COUNT, so that the buffer lies within the mapping.
        let start = unsafe { self.memory.add(usize::from(id) * BYTES) };
        // SAFETY: the mapping is zeroed memory of that length, and the kernel does not write to a
        // buffer from its completion until it is given back.
        Some(unsafe { slice::from_raw_parts(start.as_ptr(), bytes) })
    }

    /// Lets the kernel use the buffer again, from the next [`Buffers::publish`] on. Only for a
    /// buffer that a completion named, once.
    pub fn give_back(&mut self, id: u16) {
        debug_assert!(id < COUNT, "the kernel names buffers that it was given");
        let id = id % COUNT;
        // SAFETY: as in `received`.
        let buffer = unsafe { self.memory.add(usize::from(id) * BYTES) };
        // SAFETY: the tail modulo COUNT is one of the entries of the mapping.
        let mut entry = unsafe { self.entries.add(usize::from(self.tail % COUNT)) };
        // SAFETY: the kernel reads entries before the tail that was published; this one stands
        // behind it, as there are as many entries as buffers. Nothing else refers to it.
        let entry = unsafe { entry.as_mut() };
        entry.set_addr(buffer.as_ptr() as u64);
        entry.set_len(u32::try_from(BYTES).unwrap_or(0));
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Tells the kernel of all buffers that were given back.
    pub fn publish(&mut self) {
        // SAFETY: it is the first entry of the registered ring, and initialised (zeroed).
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: the tail is an aligned u16 of the mapping, which this thread alone writes.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}
