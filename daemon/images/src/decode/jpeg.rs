//! JPEG through `zune-jpeg` itself: one look at the header, pixels straight as RGB, and a say in
//! what counts as cut off.

use image::metadata::Orientation;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Colour, Facts, facts};
use crate::{Broken, Format};

type Decoder<'a> = JpegDecoder<ZCursor<&'a [u8]>>;

type Opened<'a> = (Facts, Orientation, Decoder<'a>);

fn open(bytes: &[u8], strict: bool) -> Result<Opened<'_>, Broken> {
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|err| broken(bytes, err))?;
    let orientation = decoder
        .exif()
        .and_then(|it| Orientation::from_exif_chunk(it))
        .unwrap_or(Orientation::NoTransforms);
    let colour = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => Colour::Grey,
        Some(ColorSpace::CMYK | ColorSpace::YCCK) => Colour::Cmyk,
        _ => Colour::Rgb,
    };
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let facts =
        facts(Format::Jpeg, (width as u32, height as u32), (colour, false, 8), orientation)?;
    Ok((facts, orientation, decoder))
}

pub(super) fn probe(bytes: &[u8]) -> Result<Facts, Broken> {
    opened(bytes, |opened| Ok(opened.0))
}

pub(super) fn decode(bytes: &[u8]) -> Result<(Facts, Vec<u8>, Orientation), Broken> {
    opened(bytes, |opened| pixels(bytes, opened))
}

/// Whatever breaks the rules is refused at first; but where a file goes to its end marker, libjpeg
/// (and so Pillow) would make an image of what there is, with a warning. So does the second,
/// lenient way.
fn opened<'a, T>(
    bytes: &'a [u8],
    read: impl Fn(Opened<'a>) -> Result<T, Broken>,
) -> Result<T, Broken> {
    match open(bytes, true).and_then(&read) {
        Err(Broken::Damaged { .. }) if has_end_marker(bytes) => open(bytes, false).and_then(read),
        other => other,
    }
}

fn pixels(
    bytes: &[u8],
    (facts, orientation, mut decoder): Opened,
) -> Result<(Facts, Vec<u8>, Orientation), Broken> {
    let data = decoder.decode().map_err(|err| broken(bytes, err))?;
    Ok((facts, data, orientation))
}

fn broken(bytes: &[u8], err: DecodeErrors) -> Broken {
    let format = Format::Jpeg;
    match err {
        DecodeErrors::Unsupported(_) => Broken::Unsupported { format },
        DecodeErrors::ZeroError => Broken::NoPixels { width: 0, height: 0 },
        _ if !has_end_marker(bytes) => Broken::Truncated { format },
        _ => Broken::Damaged { format },
    }
}

/// End of image after the last start of a scan: a thumbnail in the header has both of its own.
fn has_end_marker(bytes: &[u8]) -> bool {
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|it| it == marker);
    match (last([0xFF, 0xDA]), last([0xFF, 0xD9])) {
        (Some(scan), Some(end)) => scan < end,
        _ => false,
    }
}
