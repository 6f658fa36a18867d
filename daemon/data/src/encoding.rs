//! Decides how a file's bytes become text: one quick pass over the whole file ([`survey`]), then a
//! stream of UTF-8 ([`Decoded`]) for the parsers.
//!
//! A file that is mostly UTF-8 with some bytes of windows-1252 among it (tables put together from
//! several sources are like that) is decoded piece by piece: what is valid UTF-8 as such, the rest
//! as windows-1252.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Decoder, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

/// Longest piece looked at as one line.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Bytes at the start that decide UTF-16 without a mark, and whether it is text at all.
const HEAD_BYTES: usize = 8 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8 {
        bom: bool,
    },
    Utf16 {
        little: bool,
    },
    /// UTF-8, but for `lines` lines.
    Mixed {
        bom: bool,
        lines: u64,
    },
    Legacy(&'static encoding_rs::Encoding),
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_bom = |bom: &bool| if *bom { " with BOM" } else { "" };
        match self {
            Encoding::Utf8 { bom } => write!(f, "utf-8{}", with_bom(bom)),
            Encoding::Utf16 { little: true } => f.write_str("utf-16le"),
            Encoding::Utf16 { little: false } => f.write_str("utf-16be"),
            Encoding::Mixed { bom, lines } => {
                write!(f, "utf-8{} with windows-1252 bytes in {lines} lines", with_bom(bom))
            }
            Encoding::Legacy(it) => f.write_str(&it.name().to_ascii_lowercase()),
        }
    }
}

impl Encoding {
    /// A guess from statistics, which a person should look at: everything else is certain or
    /// harmless.
    pub(crate) fn is_guess(self) -> bool {
        matches!(self, Encoding::Legacy(it) if it != WINDOWS_1252)
    }
}

pub(crate) struct Survey {
    pub(crate) encoding: Encoding,
    /// The first bytes as they are.
    pub(crate) head: Vec<u8>,
}

impl Survey {
    /// What the file is instead of text.
    pub(crate) fn foreign(&self) -> Option<&'static str> {
        match self.encoding {
            Encoding::Utf16 { .. } => None,
            _ => crate::signature::foreign(&self.head),
        }
    }
}

/// Reads everything, holds one line.
pub(crate) fn survey(raw: impl Read) -> io::Result<Survey> {
    let mut reader = BufReader::with_capacity(1 << 16, raw);
    let mut head = Vec::new();
    reader.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    if let Some(little) = utf16(&head) {
        return Ok(Survey { encoding: Encoding::Utf16 { little }, head });
    }
    let bom = head.starts_with(b"\xef\xbb\xbf");
    let mut reader = head.as_slice().chain(reader);
    // Made when it is needed: of fifty thousand small files most are plain ASCII.
    let mut detector: Option<EncodingDetector> = None;
    let (mut utf8_lines, mut odd_lines) = (0, 0);
    let mut line = Vec::new();
    while 0 < reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? {
        if !line.is_ascii() {
            detector
                .get_or_insert_with(|| EncodingDetector::new(Iso2022JpDetection::Deny))
                .feed(&line, false);
            match std::str::from_utf8(&line) {
                // A character cut in two by our own limit is no error.
                Err(err) if err.error_len().is_some() || line.len() < LINE_BYTES_MAX as usize => {
                    odd_lines += 1
                }
                _ => utf8_lines += 1,
            }
        }
        line.clear();
    }
    let encoding = match detector {
        Some(detector) if 0 < odd_lines => not_utf8(detector, bom, utf8_lines, odd_lines),
        _ => Encoding::Utf8 { bom },
    };
    Ok(Survey { encoding, head })
}

fn not_utf8(
    mut detector: EncodingDetector,
    bom: bool,
    utf8_lines: u64,
    odd_lines: u64,
) -> Encoding {
    if bom || odd_lines <= utf8_lines {
        return Encoding::Mixed { bom, lines: odd_lines };
    }
    detector.feed(b"", true);
    match detector.guess(None, Utf8Detection::Deny) {
        // Bytes of windows-1252 hardly ever look like UTF-8 by chance: what does is UTF-8.
        it if it == WINDOWS_1252 && 0 < utf8_lines => Encoding::Mixed { bom, lines: odd_lines },
        it => Encoding::Legacy(it),
    }
}

/// Byte order of UTF-16, by its mark or by where the zero bytes of Latin letters and line ends lie.
fn utf16(head: &[u8]) -> Option<bool> {
    match head {
        [0xff, 0xfe, ..] => return Some(true),
        [0xfe, 0xff, ..] => return Some(false),
        _ => {}
    }
    let zeros = |offset: usize| head.iter().skip(offset).step_by(2).filter(|it| **it == 0).count();
    let (even, odd, units) = (zeros(0), zeros(1), head.len() / 2);
    // One zero in five units: also text that is mostly not Latin has spaces, digits and delimiters.
    let enough = |n: usize| 4 <= units && units <= 5 * n;
    match () {
        () if enough(odd) && 20 * even <= odd => Some(true),
        () if enough(even) && 20 * odd <= even => Some(false),
        () => None,
    }
}

/// A stream of valid UTF-8 without a byte order mark.
pub(crate) struct Decoded<R> {
    raw: R,
    /// Bytes read and not yet decoded.
    pending: Vec<u8>,
    /// Text not yet handed out, from `at` on.
    text: String,
    at: usize,
    /// Absent: the mixed case.
    decoder: Option<Decoder>,
    /// A mark at the start that nobody has taken away yet.
    bom: bool,
    ended: bool,
}

impl<R: Read> Decoded<R> {
    pub(crate) fn new(raw: R, encoding: Encoding) -> Decoded<R> {
        let decoder = match encoding {
            Encoding::Utf8 { .. } => Some(UTF_8.new_decoder_with_bom_removal()),
            Encoding::Utf16 { little: true } => Some(UTF_16LE.new_decoder_with_bom_removal()),
            Encoding::Utf16 { little: false } => Some(UTF_16BE.new_decoder_with_bom_removal()),
            Encoding::Legacy(it) => Some(it.new_decoder_without_bom_handling()),
            Encoding::Mixed { .. } => None,
        };
        Decoded {
            raw,
            pending: Vec::new(),
            text: String::new(),
            at: 0,
            decoder,
            bom: matches!(encoding, Encoding::Mixed { bom: true, .. }),
            ended: false,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        const CHUNK_BYTES: u64 = 1 << 16;
        let n = self.raw.by_ref().take(CHUNK_BYTES).read_to_end(&mut self.pending)?;
        self.ended = n == 0;
        if std::mem::take(&mut self.bom) {
            self.pending.drain(..3);
        }
        self.text.clear();
        self.at = 0;
        match &mut self.decoder {
            Some(decoder) => {
                self.text.reserve(decoder.max_utf8_buffer_length(self.pending.len()).unwrap_or(0));
                let (_, n, _) = decoder.decode_to_string(&self.pending, &mut self.text, self.ended);
                self.pending.drain(..n);
            }
            None => {
                let n = decode_mixed(&self.pending, self.ended, &mut self.text);
                self.pending.drain(..n);
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() {
            if self.ended {
                return Ok(0);
            }
            self.refill()?;
        }
        let n = buf.len().min(self.text.len() - self.at);
        buf[..n].copy_from_slice(&self.text.as_bytes()[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Appends what `bytes` mean to `out`; gives how many of them were used (a character cut off by the
/// end of a chunk waits for the next one).
fn decode_mixed(bytes: &[u8], last: bool, out: &mut String) -> usize {
    let mut rest = bytes;
    loop {
        let (valid, odd) = match std::str::from_utf8(rest) {
            Ok(valid) => (valid, 0),
            Err(err) => {
                let (valid, invalid) = rest.split_at(err.valid_up_to());
                let odd = match err.error_len() {
                    Some(n) => n,
                    None if last => invalid.len(),
                    None => 0,
                };
                (std::str::from_utf8(valid).unwrap_or_default(), odd)
            }
        };
        out.push_str(valid);
        let (piece, after) = rest[valid.len()..].split_at(odd);
        out.push_str(&WINDOWS_1252.decode_without_bom_handling(piece).0);
        rest = after;
        if odd == 0 {
            return bytes.len() - rest.len();
        }
    }
}

/// A whole small file.
pub(crate) fn decode(bytes: &[u8]) -> io::Result<(String, Survey)> {
    let survey = survey(bytes)?;
    let mut text = String::new();
    Decoded::new(bytes, survey.encoding).read_to_string(&mut text)?;
    Ok((text, survey))
}
