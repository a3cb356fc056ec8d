//! A file's bytes to a compressed form of them, once for each lane and version of the file.
//!
//! Takes all the bytes, gives the form, or nothing where it is not worth its `Vary`. It takes its
//! time and never waits: whoever calls it does so beside the I/O thread. The same bytes give the
//! same form on every lane: gzip gets neither time nor name.
//!
//! One thread of a 2020s server CPU, shared with other work, so these are upper ends (ms, and what
//! remains):
//!
//! | file                | br 5      | br 10      | zstd 9    | zstd 19    | gzip 6   | gzip 9   |
//! |---------------------|-----------|------------|-----------|------------|----------|----------|
//! | jquery.min, 10 KB   | 0.4 38.9% |   6  37.4% | 0.2 40.5% |  1.5 39.8% | .1 40.1% | .1 40.1% |
//! | jquery.min, 88 KB   |   3 34.0% |  39  31.9% | 1.5 34.1% |   39 33.0% |  3 34.6% |  3 34.6% |
//! | rustdoc.css, 70 KB  | 1.5 20.2% |  30  18.8% |   1 20.4% |   21 19.6% |  2 21.1% |  2 21.1% |
//! | a book's HTML, 1 MB |  24 21.5% | 642  18.6% |  17 20.8% |  369 18.9% | 38 23.6% | 49 23.5% |
//!
//! What has few matches and many near ones costs more: 4 MiB of random `acgt` take br 5 1.7 s, zstd
//! 9 1 s, gzip 6 2.7 s, and would have taken gzip 8 13 s. gzip is miniz_oxide's: zlib-rs is 1.5
//! times faster and makes text up to 1% larger, rows of numbers 10%, and it has unsafe code.

use std::io::Write;

use brotli::enc::BrotliEncoderParams;
use flate2::write::GzEncoder;

use crate::limits::COMPRESS_BYTES_MAX;
use crate::limits::COMPRESS_BYTES_MIN;
use crate::limits::COMPRESS_SAVED_PERCENT_MIN;
use crate::limits::COMPRESS_THOROUGH_BYTES_MAX;
use crate::request::accept_encoding::Coding;

/// The compressed form of `bytes`. None where it saves too little, and where there are fewer bytes
/// or more than the bounds permit.
#[must_use]
pub(super) fn compress(coding: Coding, bytes: &[u8]) -> Option<Vec<u8>> {
    if !(COMPRESS_BYTES_MIN..=COMPRESS_BYTES_MAX).contains(&(bytes.len() as u64)) {
        return None;
    }
    let compressed = match coding {
        Coding::Brotli => brotli(bytes),
        Coding::Zstd => zstd(bytes),
        Coding::Gzip => gzip(bytes),
    }?;
    let saved_bytes = bytes.len().saturating_sub(compressed.len());
    (saved_bytes * 100 >= bytes.len() * COMPRESS_SAVED_PERCENT_MIN).then_some(compressed)
}

/// How hard to try.
enum Effort {
    /// A small file: a few milliseconds for the last percents.
    Thorough,
    /// A large one: what pays.
    Brisk,
}

const fn effort(bytes: &[u8]) -> Effort {
    if bytes.len() <= COMPRESS_THOROUGH_BYTES_MAX { Effort::Thorough } else { Effort::Brisk }
}

fn brotli(bytes: &[u8]) -> Option<Vec<u8>> {
    let quality = match effort(bytes) {
        Effort::Thorough => 10,
        Effort::Brisk => 5,
    };
    // A window that holds all of the bytes and no more: the client needs as much memory.
    let window_bits = bytes.len().next_power_of_two().trailing_zeros().clamp(10, 22);
    let parameters = BrotliEncoderParams {
        quality,
        lgwin: i32::try_from(window_bits).ok()?,
        size_hint: bytes.len(),
        ..BrotliEncoderParams::default()
    };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &*bytes, &mut compressed, &parameters).ok()?;
    Some(compressed)
}

/// Its window is not larger than the bytes, so far below the 8 MiB of RFC 9659.
fn zstd(bytes: &[u8]) -> Option<Vec<u8>> {
    let level = match effort(bytes) {
        Effort::Thorough => 19,
        Effort::Brisk => 9,
    };
    zstd::bulk::compress(bytes, level).ok()
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let level = match effort(bytes) {
        Effort::Thorough => 9,
        Effort::Brisk => 6,
    };
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn decompress(coding: Coding, mut compressed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        match coding {
            Coding::Brotli => brotli::BrotliDecompress(&mut compressed, &mut bytes).unwrap(),
            Coding::Zstd => bytes = zstd::stream::decode_all(compressed).unwrap(),
            Coding::Gzip => {
                flate2::read::GzDecoder::new(compressed).read_to_end(&mut bytes).unwrap();
            }
        }
        bytes
    }

    fn text(bytes: usize) -> Vec<u8> {
        include_bytes!("compress.rs").iter().copied().cycle().take(bytes).collect()
    }

    /// Bytes without any order (xorshift).
    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..bytes).map(|_| next()).collect()
    }

    fn least() -> usize {
        usize::try_from(COMPRESS_BYTES_MIN).unwrap()
    }

    #[test]
    fn what_is_compressed_is_found_again() {
        let around = COMPRESS_THOROUGH_BYTES_MAX;
        for size_bytes in [least(), 5000, around, around + 1] {
            let mut mixed = text(size_bytes);
            mixed.truncate(size_bytes / 2);
            mixed.extend(noise(size_bytes - size_bytes / 2));
            for bytes in [text(size_bytes), vec![0; size_bytes], mixed] {
                for coding in Coding::ALL {
                    let compressed = compress(coding, &bytes).unwrap();
                    assert!(compressed.len() * 100 <= bytes.len() * 95);
                    assert!(decompress(coding, &compressed) == bytes, "{coding:?} {size_bytes}");
                    assert_eq!(compress(coding, &bytes), Some(compressed), "the same each time");
                }
            }
        }
    }

    #[test]
    fn what_saves_nothing_stays_as_it_is() {
        for size_bytes in [least(), 100_000] {
            for coding in Coding::ALL {
                assert_eq!(compress(coding, &noise(size_bytes)), None);
                // 4 of 100 bytes could be saved.
                let mut bytes = noise(size_bytes);
                bytes.truncate(size_bytes * 96 / 100);
                bytes.resize(size_bytes, 0);
                assert_eq!(compress(coding, &bytes), None);
            }
        }
    }

    #[test]
    fn the_bounds() {
        let most = vec![b'a'; usize::try_from(COMPRESS_BYTES_MAX + 1).unwrap()];
        for coding in Coding::ALL {
            assert!(compress(coding, &most[1..]).is_some());
            assert_eq!(compress(coding, &most), None);
            assert_eq!(compress(coding, &most[..least() - 1]), None);
            assert_eq!(compress(coding, b""), None);
        }
    }
}
