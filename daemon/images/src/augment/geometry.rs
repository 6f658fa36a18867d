//! Operations that move pixels, as Pillow's `Image.transform` with `AFFINE` and `BILINEAR`
//! (Geometry.c); what comes from outside is `fill`. Pillow cuts fractions of values off, so does
//! this.

use crate::Pixels;

/// Where the pixel at (x, y) comes from: `(a x + b y + c, d x + e y + f)`, measured at centres of
/// pixels.
pub(super) type Affine = [f64; 6];

pub(super) fn shear_x(factor: f64) -> Affine {
    [1.0, factor, 0.0, 0.0, 1.0, 0.0]
}

pub(super) fn shear_y(factor: f64) -> Affine {
    [1.0, 0.0, 0.0, factor, 1.0, 0.0]
}

pub(super) fn translate(across: f64, down: f64) -> Affine {
    [1.0, 0.0, across, 0.0, 1.0, down]
}

/// Counter-clockwise around the centre, as `Image.rotate`.
pub(super) fn rotate(degrees: f64, width: u32, height: u32) -> Affine {
    let angle = -degrees.to_radians();
    let (sin, cos) = angle.sin_cos();
    let (x, y) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
    [cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y]
}

pub(super) fn transform(image: &Pixels, [a, b, c, d, e, f]: Affine, fill: [u8; 3]) -> Pixels {
    let (width, height) = (image.width(), image.height());
    let mut moved = Pixels::filled(width, height, fill);
    let mut targets = moved.data_mut().as_chunks_mut::<3>().0.iter_mut();
    for y in 0..height {
        for x in 0..width {
            let (x, y) = (f64::from(x) + 0.5, f64::from(y) + 0.5);
            let target = targets.next().expect("as many pixels as the image has");
            if let Some(rgb) = bilinear(image, a * x + b * y + c, d * x + e * y + f) {
                *target = rgb;
            }
        }
    }
    moved
}

/// Between the four nearest centres; the outermost half of the border pixels is constant.
fn bilinear(image: &Pixels, x: f64, y: f64) -> Option<[u8; 3]> {
    if !(0.0..f64::from(image.width())).contains(&x)
        || !(0.0..f64::from(image.height())).contains(&y)
    {
        return None;
    }
    let (x, y) = (x - 0.5, y - 0.5);
    let (right, below) = (x - x.floor(), y - y.floor());
    let at = |place: f64, sides: u32| (place.max(0.0) as u32).min(sides - 1);
    let (x0, x1) =
        (at(x.floor(), image.width()) as usize, at(x.floor() + 1.0, image.width()) as usize);
    let (upper, lower) =
        (image.row(at(y.floor(), image.height())), image.row(at(y.floor() + 1.0, image.height())));
    let between = |one: f64, other: f64, share: f64| one + (other - one) * share;
    Some(std::array::from_fn(|channel| {
        let across = |row: &[u8]| {
            between(f64::from(row[x0 * 3 + channel]), f64::from(row[x1 * 3 + channel]), right)
        };
        between(across(upper), across(lower), below) as u8
    }))
}
