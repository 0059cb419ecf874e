//! Compression of requests, where somebody asks for it.

use std::io;

use http::HeaderValue;

use crate::config::Compression;

/// More than any request has that is worth reading.
const PLAIN_BYTES: u64 = 256 << 20;

/// The name of a content encoding, and of a gRPC encoding.
pub(super) fn encoding(compression: Compression) -> Option<HeaderValue> {
    match compression {
        Compression::Gzip => Some(HeaderValue::from_static("gzip")),
        Compression::None => None,
        Compression::Zstd => Some(HeaderValue::from_static("zstd")),
    }
}

/// The body, compressed. Configurations name no compression that is not compiled in.
pub(super) fn compress(compression: Compression, body: &[u8]) -> io::Result<Vec<u8>> {
    match compression {
        #[cfg(feature = "gzip")]
        Compression::Gzip => {
            // Text that repeats itself gains little from more effort.
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            io::Write::write_all(&mut encoder, body)?;
            encoder.finish()
        }
        #[cfg(feature = "zstd")]
        Compression::Zstd => zstd::bulk::compress(body, zstd::DEFAULT_COMPRESSION_LEVEL),
        _ => Ok(body.to_vec()),
    }
}

/// The body, compressed, and what its header says.
pub fn compressed(compression: Compression, body: &[u8]) -> Option<(Vec<u8>, HeaderValue)> {
    Some((compress(compression, body).ok()?, encoding(compression)?))
}

/// What was compressed, plain. `Unsupported` where that encoding is not compiled in, `FileTooLarge` where it is longer than
/// [`PLAIN_BYTES`]: a few bytes can stand for very many.
#[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(unused_variables))]
pub(super) fn decompress(encoding: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    match encoding {
        #[cfg(feature = "gzip")]
        "gzip" => bounded(flate2::read::GzDecoder::new(body), PLAIN_BYTES),
        #[cfg(feature = "zstd")]
        "zstd" => bounded(zstd::Decoder::new(body)?, PLAIN_BYTES),
        other => Err(io::Error::new(io::ErrorKind::Unsupported, format!("it is compressed by {other} already"))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_can_be_read_again() {
        let body = b"a body that repeats itself, a body that repeats itself".repeat(20);
        for compression in [Compression::Gzip, Compression::Zstd] {
            let compressed = compress(compression, &body).expect("compressed");
            assert!(compressed.len() < body.len() / 4, "{compression}: {}", compressed.len());
            assert_eq!(decompress(&compression.to_string(), &compressed).expect("plain"), body);
            assert_eq!(encoding(compression).expect("a name"), compression.to_string().as_str());
        }
        assert!(decompress("br", b"x").is_err_and(|error| error.to_string().contains("br")));
        assert!(decompress("gzip", b"no gzip").is_err());
    }

    #[test]
    fn what_would_fill_the_memory_is_refused() {
        let nothing = vec![0; (PLAIN_BYTES + 1) as usize];
        for compression in [Compression::Gzip, Compression::Zstd] {
            let compressed = compress(compression, &nothing).expect("compressed");
            let refused = decompress(&compression.to_string(), &compressed).expect_err("too long");
            assert_eq!(refused.to_string(), "it is longer than 256 MiB", "{compression}");
        }
    }
}
