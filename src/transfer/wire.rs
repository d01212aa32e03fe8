//! Our end of a stream: the bandwidth limit, what came, how long we waited for it, and what decompresses it.

use crate::cancel::Cancel;
use crate::error::{Doing, Result};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Of each of the two buffers of a compressed stream.
const BUFFER: usize = 256 << 10;
/// A window of 8 MiB: what `zstd -1` needs is an eighth of it, what a hostile stream asks for may be 2 GiB.
const LARGEST_WINDOW: u32 = 23;
/// How long one pause may be, so that a stop is soon seen.
const PAUSE: Duration = Duration::from_millis(100);

/// A bucket of bytes that fills at a steady rate; all streams of a pass take from it.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// Fills with `rate` bytes a second.
    pub(super) fn new(rate: u64) -> Bucket {
        let rate = u32::try_from(rate.max(1)).map_or(f64::from(u32::MAX), f64::from);
        Bucket { rate, level: Mutex::new((0.0, Instant::now())) }
    }

    /// Returns how many bytes may be asked for at once: a tenth of a second's worth.
    fn piece(&self) -> usize {
        let mut piece = 512;
        while piece < BUFFER && f64::from(u32::try_from(piece).unwrap_or(u32::MAX)) < self.rate / 10.0 {
            piece *= 2;
        }
        piece
    }

    /// Takes bytes and returns how long to wait for them.
    fn take(&self, bytes: usize) -> Duration {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let filled = level.0 + now.duration_since(level.1).as_secs_f64() * self.rate;
        // What nobody took is not saved up: at most a piece.
        let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        *level = (filled.min(self.rate / 10.0) - bytes, now);
        Duration::try_from_secs_f64(-level.0 / self.rate).unwrap_or_default()
    }
}

/// What came over the wire so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    bytes: AtomicU64,
    waited: AtomicU64,
}

impl Tally {
    /// Returns how many bytes came.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns how long we waited for them.
    pub(super) fn waited(&self) -> Duration {
        Duration::from_micros(self.waited.load(Ordering::Relaxed))
    }
}

/// The output of a command on the source.
struct Wire<'a, R> {
    inner: R,
    bucket: Option<&'a Bucket>,
    tally: &'a Tally,
    cancel: &'a Cancel,
}

impl<R: Read> Read for Wire<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let begun = Instant::now();
        let most = self.bucket.map_or(buffer.len(), |b| b.piece().min(buffer.len()));
        let n = self.inner.read(&mut buffer[..most])?;
        if let Some(bucket) = self.bucket {
            let until = Instant::now() + bucket.take(n);
            // The pipe fills meanwhile, and then the source waits too.
            while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                if self.cancel.is_set() {
                    return Err(ErrorKind::ConnectionAborted.into());
                }
                sleep(left.min(PAUSE));
            }
        }
        let waited = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.tally.waited.fetch_add(waited, Ordering::Relaxed);
        self.tally.bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Reads a stream, decompressed: its first bytes say how. A stream that ends too early shows as
/// [`ErrorKind::UnexpectedEof`] or as a short archive.
pub(super) fn open<'a>(
    input: impl Read + 'a,
    bucket: Option<&'a Bucket>,
    tally: &'a Tally,
    cancel: &'a Cancel,
) -> Result<Box<dyn BufRead + 'a>> {
    let mut wire = BufReader::with_capacity(BUFFER, Wire { inner: input, bucket, tally, cancel });
    let first = loop {
        match wire.fill_buf() {
            Ok(first) => break first,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e).doing(|| "reading the stream"),
        }
    };
    if first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(wire).doing(|| "starting to decompress")?;
        decoder.window_log_max(LARGEST_WINDOW).doing(|| "starting to decompress")?;
        return Ok(Box::new(BufReader::with_capacity(BUFFER, decoder)));
    }
    if first.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::with_capacity(BUFFER, flate2::bufread::MultiGzDecoder::new(wire))));
    }
    if first.starts_with(&[0x04, 0x22, 0x4d, 0x18]) {
        return Ok(Box::new(BufReader::with_capacity(BUFFER, lz4_flex::frame::FrameDecoder::new(wire))));
    }
    Ok(Box::new(wire))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Command, Host, Local};

    fn text() -> Vec<u8> {
        (0..100_000).flat_map(|i: u32| format!("{i} ").into_bytes()).collect()
    }

    fn read(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let (tally, cancel) = (Tally::default(), Cancel::new());
        let mut all = Vec::new();
        open(bytes, None, &tally, &cancel).unwrap().read_to_end(&mut all)?;
        assert_eq!(tally.bytes(), bytes.len() as u64);
        Ok(all)
    }

    #[test]
    fn what_the_tools_compress_is_read_back_and_what_is_cut_is_not_taken_for_whole() {
        assert_eq!(read(&text()).unwrap(), text());
        for tool in ["zstd", "gzip", "lz4"] {
            let command = Command::read(tool).args(["-1", "-c"]).stdin(text());
            let Ok(output) = Local::new().run(&command) else { continue };
            let packed = output.stdout;
            assert!(packed.len() < text().len() / 4 * 3, "{tool}");
            assert_eq!(read(&packed).unwrap(), text(), "{tool}");
            for cut in [5, packed.len() / 2, packed.len() - 1] {
                assert!(read(&packed[..cut]).map_or(true, |got| got != text()), "{tool} {cut}");
            }
        }
    }

    #[test]
    fn a_limit_holds_over_several_streams() {
        let bucket = Bucket::new(2 << 20);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let (tally, cancel) = (Tally::default(), Cancel::new());
                    let bytes = vec![b'x'; 512 << 10];
                    let mut all = Vec::new();
                    open(bytes.as_slice(), Some(&bucket), &tally, &cancel).unwrap().read_to_end(&mut all).unwrap();
                    assert_eq!(all, bytes);
                });
            }
        });
        assert!(begun.elapsed() >= Duration::from_millis(450), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_stop_ends_a_pause() {
        let (bucket, tally, cancel) = (Bucket::new(10), Tally::default(), Cancel::new());
        cancel.set();
        let begun = Instant::now();
        let bytes = vec![b'x'; 1 << 20];
        assert!(open(bytes.as_slice(), Some(&bucket), &tally, &cancel).is_err());
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
