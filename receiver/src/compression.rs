//! Decompresses request bodies.

use std::io;

/// Decompresses a body with this content encoding.
///
/// # Errors
///
/// Returns an error of kind `Unsupported` if the encoding is unknown or its feature is disabled. Returns `FileTooLarge`
/// if the result is longer than `limit` bytes. Any other error means that the body is not valid.
#[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(unused_variables))]
pub(crate) fn decompress(encoding: &str, body: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    match encoding {
        #[cfg(feature = "gzip")]
        "gzip" => read_limited(flate2::read::GzDecoder::new(body), limit),
        #[cfg(feature = "zstd")]
        "zstd" => read_limited(zstd::Decoder::new(body)?, limit),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
fn read_limited(compressed: impl io::Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(compressed, limit + 1), &mut plain)?;
    if plain.len() as u64 > limit {
        let text = format!("the decompressed body is longer than {} MiB", limit >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(plain)
}
