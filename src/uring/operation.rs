//! One kernel operation: an entry, what the kernel may touch until it has finished, and the result.
//!
//! This is the single door to the ring that tokio-uring owns. Its own constructor is safe although
//! an entry can make the kernel write anywhere; here it is an `unsafe fn`. An operation completes
//! with one completion: multishot entries and SEND_ZC make tokio-uring's driver panic and must not
//! come here.

#![expect(unsafe_code, reason = "an entry handed to the kernel is unsafe in substance")]

use std::io;
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use io_uring::cqueue;
use io_uring::opcode;
use io_uring::squeue;
use io_uring::types;
use tokio_uring::InFlightOneshot;
use tokio_uring::OneshotOutputTransform;
use tokio_uring::UnsubmittedOneshot;

/// Shapes a completion: the kernel's result, and what was kept alive for it.
pub(super) struct Completed<K>(PhantomData<K>);

impl<K: 'static> OneshotOutputTransform for Completed<K> {
    type Output = (io::Result<u32>, K);
    type StoredData = K;

    fn transform_oneshot_output(self, keep: K, completion: cqueue::Entry) -> Self::Output {
        let result = completion.result();
        match u32::try_from(result) {
            Ok(value) => (Ok(value), keep),
            Err(_) => (Err(io::Error::from_raw_os_error(-result)), keep),
        }
    }
}

/// Queues `entry` on the ring of the calling lane; the kernel sees it when the lane next parks.
///
/// Gives the kernel's result and `keep`. When the future is dropped early the operation goes on and
/// the driver holds `keep` until it has finished, so nothing that the kernel touches is freed; but
/// what it would have given is lost (received bytes, an opened descriptor).
///
/// # Safety
///
/// - every address in `entry` must point into memory that `keep` owns on the heap or longer, so
///   that moving `keep` does not move it;
/// - `keep` must hold the descriptors that `entry` names open;
/// - `entry` must complete exactly once: no multishot flag, no zero-copy send.
pub(super) unsafe fn submit<K: Unpin + 'static>(
    entry: squeue::Entry,
    keep: K,
) -> InFlightOneshot<K, Completed<K>> {
    UnsubmittedOneshot::new(keep, Completed(PhantomData), entry).submit()
}

/// A turn of the ring: whatever the lane has queued goes to the kernel with it.
pub(super) async fn nothing() {
    // SAFETY: NOP touches no memory and no descriptor, and completes once.
    let operation = unsafe { submit(opcode::Nop::new().build(), ()) };
    let _ = operation.await; // it cannot fail
}

/// Lets the kernel fill the free capacity of `buffer`, behind what it holds, with at most
/// `bytes_max`. `entry` makes the operation from the descriptor, the address and the number of
/// bytes to fill.
///
/// Gives the number of bytes appended, and the buffer.
///
/// # Safety
///
/// - `entry` must write at most the given number of bytes, from the given address on without a gap,
///   and complete once with the number of bytes that it wrote.
pub(super) async unsafe fn fill(
    fd: &Rc<OwnedFd>,
    buffer: Vec<u8>,
    bytes_max: usize,
    entry: impl FnOnce(types::Fd, *mut u8, u32) -> squeue::Entry,
) -> (io::Result<usize>, Vec<u8>) {
    let mut keep = (Rc::clone(fd), buffer);
    let spare = keep.1.spare_capacity_mut();
    let free = u32::try_from(spare.len().min(bytes_max)).unwrap_or(u32::MAX);
    let entry = entry(types::Fd(keep.0.as_raw_fd()), spare.as_mut_ptr().cast(), free);
    // SAFETY: address and length describe the unused end of the vector's heap block; `keep` owns it
    // and holds the descriptor open; the caller promises one completion. Touching the vector before
    // the operation completes would undo it.
    let operation = unsafe { submit(entry, keep) };
    let (result, (_fd, mut buffer)) = operation.await;
    let appended = result.map(|bytes| bytes as usize);
    if let Ok(bytes) = appended {
        let filled = buffer.len() + bytes;
        assert!(filled <= buffer.capacity(), "the kernel wrote more than it was asked for");
        // SAFETY: the caller promises that the operation initialised that many bytes behind the old
        // length; the line above keeps them within the capacity.
        unsafe { buffer.set_len(filled) };
    }
    (appended, buffer)
}
