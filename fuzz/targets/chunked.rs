//! Any bytes as a chunked body: the same outcome whole, byte by byte, and cut where the first byte
//! says; never more body than input.

#![no_main]

use corelane_fuzz::request::Reject;
use corelane_fuzz::request::chunked::Decoder;
use corelane_fuzz::request::chunked::Progress;
use libfuzzer_sys::fuzz_target;

/// The body and the bytes used when it is complete, or the refusal.
type Outcome = Result<(Vec<u8>, Option<usize>), Reject>;

fn decoded<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    let mut decoder = Decoder::new();
    let mut body = Vec::new();
    let mut used_before = 0;
    for piece in pieces {
        match decoder.decode(piece, &mut body)? {
            Progress::Complete { used } => return Ok((body, Some(used_before + used))),
            Progress::NeedMore { used } => assert_eq!(used, piece.len()),
        }
        used_before += piece.len();
    }
    Ok((body, None))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, input)) = bytes.split_first() else { return };
    let whole = decoded([input]);
    if let Ok((body, used)) = &whole {
        assert!(body.len() <= input.len() && used.is_none_or(|used| used <= input.len()));
    }
    assert_eq!(decoded(input.chunks(1)), whole);
    let (first, second) = input.split_at(usize::from(*cut).min(input.len()));
    assert_eq!(decoded([first, second]), whole);
});
