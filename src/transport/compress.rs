//! Compression of request bodies.

use std::fmt;
use std::io;

use http::HeaderValue;

use super::outcome::Outcome;
use crate::config::Compression;
use crate::finding::kind;
use crate::notice::{self, Notice};

/// The limit for decompressed bodies, because a few compressed bytes can expand to very many.
const MAX_DECOMPRESSED_BYTES: u64 = 256 << 20;

/// Returns the name of a compression as HTTP and gRPC spell it.
pub(super) fn encoding(compression: Compression) -> Option<HeaderValue> {
    match compression {
        Compression::Gzip => Some(HeaderValue::from_static("gzip")),
        Compression::None => None,
        Compression::Zstd => Some(HeaderValue::from_static("zstd")),
    }
}

/// Compresses a body. The configuration admits only compressions that are compiled in.
pub(super) fn compress(compression: Compression, body: &[u8]) -> io::Result<Vec<u8>> {
    match compression {
        #[cfg(feature = "gzip")]
        Compression::Gzip => {
            // Telemetry is repetitive, so higher levels gain little.
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            io::Write::write_all(&mut encoder, body)?;
            encoder.finish()
        }
        #[cfg(feature = "zstd")]
        Compression::Zstd => zstd::bulk::compress(body, zstd::DEFAULT_COMPRESSION_LEVEL),
        _ => Ok(body.to_vec()),
    }
}

/// Compresses a body. Returns it with its content encoding.
pub fn compressed(compression: Compression, body: &[u8]) -> Option<(Vec<u8>, HeaderValue)> {
    Some((compress(compression, body).ok()?, encoding(compression)?))
}

/// Decompresses a body of at most [`MAX_DECOMPRESSED_BYTES`].
///
/// # Errors
///
/// Returns `Unsupported` if the encoding is not compiled in, and `FileTooLarge` if the result is too long.
#[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(unused_variables))]
pub(super) fn decompress(encoding: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    match encoding {
        #[cfg(feature = "gzip")]
        "gzip" => read_limited(flate2::read::GzDecoder::new(body), MAX_DECOMPRESSED_BYTES),
        #[cfg(feature = "zstd")]
        "zstd" => read_limited(zstd::Decoder::new(body)?, MAX_DECOMPRESSED_BYTES),
        other => Err(io::Error::new(io::ErrorKind::Unsupported, format!("it is already compressed with {other}"))),
    }
}

/// Reports that the endpoint rejects compressed requests, so that requests are uncompressed from now on.
pub(super) fn report_rejected_compression(compression: Compression, endpoint: impl fmt::Display, outcome: &Outcome) {
    let answer = outcome.cause().map_or_else(String::new, |cause| format!(": {cause}"));
    let text = format!(
        "{endpoint} rejects requests compressed with {compression} and accepts uncompressed ones, which are sent from \
         now on{answer}"
    );
    let help = "unset OTEL_EXPORTER_OTLP_COMPRESSION, or use a receiver that supports it";
    notice::emit(&Notice::new(kind::NO_EFFECT.code, "compression", text).help(help));
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
fn read_limited(compressed: impl io::Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(compressed, limit + 1), &mut plain)?;
    if plain.len() as u64 > limit {
        let text = format!("it is longer than {} MiB", limit >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_bodies_can_be_read_again() {
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
    fn a_body_that_would_fill_memory_is_rejected() {
        let nothing = vec![0; (MAX_DECOMPRESSED_BYTES + 1) as usize];
        for compression in [Compression::Gzip, Compression::Zstd] {
            let compressed = compress(compression, &nothing).expect("compressed");
            let refused = decompress(&compression.to_string(), &compressed).expect_err("too long");
            assert_eq!(refused.to_string(), "it is longer than 256 MiB", "{compression}");
        }
    }
}
