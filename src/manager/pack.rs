//! Texts that many readers are sent as parts of one gzip stream each (RFC 1952), packed once for all of them. Knows
//! neither readers nor texts.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// How such a stream begins: deflate, no name, no time, no system in particular. It has no end of its own.
pub(super) const BEGIN: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// `text` as a part of any stream: it begins and ends at a whole byte, refers to no part before it, and can be read as
/// soon as it is there.
pub(super) fn packed(text: &[u8]) -> Bytes {
    let mut part = DeflateEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
    // Into memory: it does not fail.
    if let Err(error) = part.write_all(text).and_then(|()| part.flush()) {
        tracing::error!("a part of a stream could not be packed: {error}");
    }
    std::mem::take(part.get_mut()).into()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::bufread::GzDecoder;

    use super::*;

    #[test]
    fn parts_make_a_stream_from_whichever_one_on_and_each_is_read_when_it_is_there() {
        let texts: Vec<String> = (0..5).map(|part| format!("{{\"part\":{part}}}\n").repeat(50)).collect();
        let parts: Vec<Bytes> = texts.iter().map(|text| packed(text.as_bytes())).collect();
        for first in 0..texts.len() {
            for last in first..texts.len() {
                let stream = [&BEGIN[..], &parts[first..=last].concat()].concat();
                let mut read = vec![0; texts[first..=last].iter().map(String::len).sum()];
                GzDecoder::new(&*stream).read_exact(&mut read).unwrap();
                assert_eq!(String::from_utf8(read).unwrap(), texts[first..=last].concat());
            }
        }
        assert!(parts[0].len() * 5 < texts[0].len(), "{} of {}", parts[0].len(), texts[0].len());
    }
}
