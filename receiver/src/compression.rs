//! Compressed requests.

use std::io;

/// Returns the body as it was before it was compressed.
///
/// # Errors
///
/// `Unsupported` if this package was built without that encoding, `FileTooLarge` if the result is longer than `most`: a
/// few bytes can stand for very many.
#[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(unused_variables))]
pub(crate) fn decompress(encoding: &str, body: &[u8], most: u64) -> io::Result<Vec<u8>> {
    match encoding {
        #[cfg(feature = "gzip")]
        "gzip" => bounded(flate2::read::GzDecoder::new(body), most),
        #[cfg(feature = "zstd")]
        "zstd" => bounded(zstd::Decoder::new(body)?, most),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
fn bounded(compressed: impl io::Read, most: u64) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(compressed, most + 1), &mut plain)?;
    if plain.len() as u64 > most {
        let text = format!("it is longer than {} MiB", most >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(plain)
}
