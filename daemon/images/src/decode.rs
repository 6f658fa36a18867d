//! Bytes -> facts and pixels, as `PIL.ImageOps.exif_transpose(PIL.Image.open(file)).convert("RGB")`
//! would give them: alpha is dropped, not blended, 16 bits lose their lower eight, of moving images
//! the first frame is taken. Colour profiles are not applied, as Pillow does not apply them either.
//!
//! Sizes are checked before pixels are allocated. JPEGs are decoded in full: `zune-jpeg` and
//! `image` can't decode a smaller image straight from the coefficients. `jpeg-decoder` can, but is
//! in maintenance mode, and takes as long for an eighth of 4000 x 2672 pixels (44 ms) as
//! `zune-jpeg` for all of them (42 ms), so there is nothing to win.

use std::io::{Cursor, ErrorKind};

use image::codecs::{
    bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder,
};
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, RgbImage};

use crate::broken::PIXELS_MAX;
use crate::{Broken, Format, Pixels};

mod jpeg;

/// What a file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub format: Format,
    /// As it is shown, that is after turning.
    pub width: u32,
    pub height: u32,
    pub colour: Colour,
    pub alpha: bool,
    /// Of each channel, in the file; pixels have eight.
    pub bits: u8,
    /// It has an orientation (EXIF or TIFF) other than upright, which is applied.
    pub turned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Colour {
    Grey,
    Rgb,
    Palette,
    Cmyk,
}

/// Reads the header only.
pub fn probe(bytes: &[u8]) -> Result<Facts, Broken> {
    let format = Format::recognise(bytes)?;
    if format == Format::Jpeg {
        return jpeg::probe(bytes);
    }
    open(format, bytes)?.facts()
}

pub fn decode(bytes: &[u8]) -> Result<(Facts, Pixels), Broken> {
    let format = Format::recognise(bytes)?;
    let (facts, data, orientation) = if format == Format::Jpeg {
        jpeg::decode(bytes)?
    } else {
        let opened = open(format, bytes)?;
        let (facts, orientation) = (opened.facts()?, opened.orientation);
        (facts, opened.decode()?, orientation)
    };
    Ok((facts, turn(facts, data, orientation)?))
}

/// `facts` have the sides after turning.
fn turn(facts: Facts, data: Vec<u8>, orientation: Orientation) -> Result<Pixels, Broken> {
    let (width, height) = if swaps_sides(orientation) {
        (facts.height, facts.width)
    } else {
        (facts.width, facts.height)
    };
    let exact = data.len() as u64 == u64::from(width) * u64::from(height) * 3;
    let image = exact.then(|| RgbImage::from_raw(width, height, data)).flatten();
    let mut image = DynamicImage::ImageRgb8(image.ok_or(Broken::Damaged { format: facts.format })?);
    image.apply_orientation(orientation);
    Ok(Pixels::new(facts.width, facts.height, image.into_rgb8().into_raw()))
}

/// A file of any kind but JPEG, its header read.
struct Opened<'a> {
    format: Format,
    bytes: &'a [u8],
    decoder: Box<dyn ImageDecoder + 'a>,
    orientation: Orientation,
}

fn open(format: Format, bytes: &[u8]) -> Result<Opened<'_>, Broken> {
    let data = Cursor::new(bytes);
    let decoder: Result<Box<dyn ImageDecoder>, ImageError> = match format {
        Format::Jpeg => unreachable!("has a decoder of its own"),
        Format::Png => PngDecoder::new(data).map(|it| Box::new(it) as _),
        Format::WebP => WebPDecoder::new(data).map(|it| Box::new(it) as _),
        Format::Gif => GifDecoder::new(data).map(|it| Box::new(it) as _),
        Format::Bmp => BmpDecoder::new(data).map(|it| Box::new(it) as _),
        Format::Tiff => TiffDecoder::new(data).map(|it| Box::new(it) as _),
    };
    let mut decoder = decoder.map_err(|err| broken(format, bytes, err))?;
    // A damaged note about the image is no reason to refuse the image.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(Opened { format, bytes, decoder, orientation })
}

impl Opened<'_> {
    fn facts(&self) -> Result<Facts, Broken> {
        let (width, height) = self.decoder.dimensions();
        let kind = self.decoder.original_color_type();
        let (colour, bits) = colour_of(kind, self.format, self.bytes);
        facts(
            self.format,
            (width, height),
            (colour, self.decoder.color_type().has_alpha(), bits),
            self.orientation,
        )
    }

    /// As stored, not yet turned.
    fn decode(self) -> Result<Vec<u8>, Broken> {
        DynamicImage::from_decoder(self.decoder)
            .map(to_rgb)
            .map_err(|err| broken(self.format, self.bytes, err))
    }
}

fn facts(
    format: Format,
    (width, height): (u32, u32),
    (colour, alpha, bits): (Colour, bool, u8),
    orientation: Orientation,
) -> Result<Facts, Broken> {
    let (width, height) = if swaps_sides(orientation) { (height, width) } else { (width, height) };
    if width == 0 || height == 0 {
        return Err(Broken::NoPixels { width, height });
    }
    if PIXELS_MAX < u64::from(width) * u64::from(height) {
        return Err(Broken::TooLarge { width, height });
    }
    Ok(Facts {
        format,
        width,
        height,
        colour,
        alpha,
        bits,
        turned: orientation != Orientation::NoTransforms,
    })
}

fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// The decoders expand palettes and do not say so: PNG and BMP have it at a fixed place.
fn colour_of(kind: ExtendedColorType, format: Format, bytes: &[u8]) -> (Colour, u8) {
    let palette = match format {
        Format::Gif => true,
        Format::Png => bytes.get(25) == Some(&3),
        Format::Bmp => matches!(bytes.get(28), Some(1..=8)),
        Format::Jpeg | Format::WebP | Format::Tiff => false,
    };
    if palette {
        return (Colour::Palette, 8);
    }
    let channels = u16::from(kind.channel_count()).max(1);
    let colour = match kind {
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16 => Colour::Cmyk,
        _ if channels < 3 => Colour::Grey,
        _ => Colour::Rgb,
    };
    (colour, u8::try_from(kind.bits_per_pixel() / channels).unwrap_or(u8::MAX))
}

/// 16 bits -> 8 by leaving the lower byte away, as Pillow does for colour. (Grey with 16 bits it
/// cuts at 255, which leaves nearly all of it white: nobody can want that.) Grey of 12 bits, as
/// scanners and microscopes have it, comes in files of 16 and would be black: it is known by having
/// no brighter pixel.
fn to_rgb(image: DynamicImage) -> Vec<u8> {
    const GREY_12_BITS: u16 = (1 << 12) - 1;
    let (values, channels): (&[u16], usize) = match &image {
        DynamicImage::ImageLuma16(it) => (it.as_raw(), 1),
        DynamicImage::ImageLumaA16(it) => (it.as_raw(), 2),
        DynamicImage::ImageRgb16(it) => (it.as_raw(), 3),
        DynamicImage::ImageRgba16(it) => (it.as_raw(), 4),
        _ => return image.into_rgb8().into_raw(),
    };
    let is_grey = channels < 3;
    let brightest = || values.iter().step_by(channels).max().copied().unwrap_or(0);
    let lower_bits = if is_grey && brightest() <= GREY_12_BITS { 4 } else { 8 };
    let rgb = |pixel: &[u16]| if is_grey { [pixel[0]; 3] } else { [pixel[0], pixel[1], pixel[2]] };
    let pixels = values.chunks_exact(channels);
    pixels.flat_map(|pixel| rgb(pixel).map(|it| (it >> lower_bits) as u8)).collect()
}

/// What the decoders say is for their authors, and changes with them.
fn broken(format: Format, bytes: &[u8], err: ImageError) -> Broken {
    match err {
        ImageError::Unsupported(_) => Broken::Unsupported { format },
        ImageError::IoError(err) if err.kind() == ErrorKind::UnexpectedEof => {
            Broken::Truncated { format }
        }
        _ if ends_early(format, bytes) => Broken::Truncated { format },
        _ => Broken::Damaged { format },
    }
}

/// The end that each format has, asked for once decoding has failed.
fn ends_early(format: Format, bytes: &[u8]) -> bool {
    match format {
        Format::Png => !bytes.windows(4).rev().any(|it| it == b"IEND"),
        Format::Gif => bytes.last() != Some(&b';'),
        // Its length stands after RIFF.
        Format::WebP => bytes.get(4..8).is_none_or(|it| {
            (bytes.len() as u64) < 8 + u64::from(u32::from_le_bytes([it[0], it[1], it[2], it[3]]))
        }),
        Format::Jpeg | Format::Bmp | Format::Tiff => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Luma, LumaA, Rgb};

    #[test]
    fn grey_of_twelve_bits_is_not_black() {
        let grey = |values: Vec<u16>| {
            let image = ImageBuffer::<Luma<u16>, _>::from_raw(3, 1, values).unwrap();
            to_rgb(DynamicImage::ImageLuma16(image))
        };
        assert_eq!(grey(vec![0, 2048, 4095]), [0, 0, 0, 128, 128, 128, 255, 255, 255]);
        assert_eq!(grey(vec![0, 2048, 65535]), [0, 0, 0, 8, 8, 8, 255, 255, 255]);
        // What is transparent says nothing of how bright the rest is.
        let alpha = ImageBuffer::<LumaA<u16>, _>::from_raw(1, 1, vec![4095, 65535]).unwrap();
        assert_eq!(to_rgb(DynamicImage::ImageLumaA16(alpha)), [255; 3]);
        let colour = ImageBuffer::<Rgb<u16>, _>::from_raw(1, 1, vec![2048, 0, 4095]).unwrap();
        assert_eq!(to_rgb(DynamicImage::ImageRgb16(colour)), [8, 0, 15]);
    }
}
