//! Bytes -> facts and pixels, as `PIL.ImageOps.exif_transpose(PIL.Image.open(file)).convert("RGB")` would give them:
//! alpha is dropped, not blended, 16 bits lose their lower eight, of moving pictures the first frame is taken.
//! Colour profiles are not applied, as Pillow does not apply them either.
//!
//! Sizes are checked before pixels are allocated. JPEGs are decoded in full: no well-kept crate decodes a smaller
//! picture straight from the coefficients (`zune-jpeg` and `image` can't, `jpeg-decoder` is retired).

use std::io::Cursor;

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError};

use crate::{Broken, Format, Pixels};

mod jpeg;

/// The largest picture that is decoded. Cameras of today stay below it, and while decoding it takes 0.3 to 0.9 GB,
/// which a small machine has once. Pillow warns from 89 million pixels on and refuses from 179 on.
pub const PIXELS_MAX: u64 = 100_000_000;

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
        return jpeg::open(bytes).map(|(facts, _, _)| facts);
    }
    open(format, bytes)?.facts()
}

pub fn decode(bytes: &[u8]) -> Result<(Facts, Pixels), Broken> {
    let format = Format::recognise(bytes)?;
    let (facts, picture, orientation) = if format == Format::Jpeg {
        jpeg::decode(bytes)?
    } else {
        let opened = open(format, bytes)?;
        let facts = opened.facts()?;
        let orientation = opened.orientation;
        (facts, opened.decode()?, orientation)
    };
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(orientation);
    let picture = picture.into_rgb8();
    Ok((facts, Pixels::new(picture.width(), picture.height(), picture.into_raw())))
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
    let mut decoder = decoder.map_err(|err| broken(format, err))?;
    // A damaged note about the picture is no reason to refuse the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(Opened { format, bytes, decoder, orientation })
}

impl Opened<'_> {
    fn facts(&self) -> Result<Facts, Broken> {
        let (width, height) = self.decoder.dimensions();
        let kind = self.decoder.original_color_type();
        let (colour, bits) = colour_of(kind, self.format, self.bytes);
        facts(self.format, (width, height), (colour, self.decoder.color_type().has_alpha(), bits), self.orientation)
    }

    fn decode(self) -> Result<image::RgbImage, Broken> {
        let picture = DynamicImage::from_decoder(self.decoder).map_err(|err| broken(self.format, err))?;
        Ok(to_rgb(picture))
    }
}

fn facts(format: Format, (width, height): (u32, u32), (colour, alpha, bits): (Colour, bool, u8), orientation: Orientation) -> Result<Facts, Broken> {
    let (width, height) = if swaps_sides(orientation) { (height, width) } else { (width, height) };
    if width == 0 || height == 0 {
        return Err(Broken::NoPixels { width, height });
    }
    if PIXELS_MAX < u64::from(width) * u64::from(height) {
        return Err(Broken::TooLarge { width, height });
    }
    Ok(Facts { format, width, height, colour, alpha, bits, turned: orientation != Orientation::NoTransforms })
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

/// 16 bits -> 8 as Pillow: the lower byte is cut off. Everything else is `image`'s own way, which agrees.
fn to_rgb(picture: DynamicImage) -> image::RgbImage {
    let cut = |it: u16| (it >> 8) as u8;
    match picture {
        DynamicImage::ImageLuma16(it) => image::RgbImage::from_fn(it.width(), it.height(), |x, y| image::Rgb([cut(it.get_pixel(x, y).0[0]); 3])),
        DynamicImage::ImageLumaA16(it) => image::RgbImage::from_fn(it.width(), it.height(), |x, y| image::Rgb([cut(it.get_pixel(x, y).0[0]); 3])),
        DynamicImage::ImageRgb16(it) => image::RgbImage::from_fn(it.width(), it.height(), |x, y| image::Rgb(it.get_pixel(x, y).0.map(cut))),
        DynamicImage::ImageRgba16(it) => image::RgbImage::from_fn(it.width(), it.height(), |x, y| {
            let [r, g, b, _] = it.get_pixel(x, y).0;
            image::Rgb([r, g, b].map(cut))
        }),
        other => other.into_rgb8(),
    }
}

fn broken(format: Format, err: ImageError) -> Broken {
    if ends_early(&err) {
        return Broken::Truncated { format };
    }
    match err {
        ImageError::Unsupported(err) => Broken::Unsupported { format, what: err.to_string() },
        other => Broken::Damaged { format, what: innermost(&other) },
    }
}

fn ends_early(err: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(err);
    while let Some(err) = cause {
        if err.downcast_ref::<std::io::Error>().is_some_and(|it| it.kind() == std::io::ErrorKind::UnexpectedEof) {
            return true;
        }
        cause = err.source();
    }
    false
}

/// The last cause says what is wrong, those before it only repeat the format.
fn innermost(err: &dyn std::error::Error) -> String {
    let mut last = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        last = err.to_string();
        cause = err.source();
    }
    last
}
