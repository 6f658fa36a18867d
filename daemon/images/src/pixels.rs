//! A decoded image. What its numbers mean to a model is decided in `preprocess`.

/// RGB, 8 bits each, row by row from the top: `width * height * 3` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl Pixels {
    /// # Panics
    /// If `data` isn't `width * height * 3` bytes long, or has none.
    pub fn new(width: u32, height: u32, data: Vec<u8>) -> Pixels {
        assert!(
            !data.is_empty() && data.len() as u64 == u64::from(width) * u64::from(height) * 3,
            "{width} x {height} RGB in {} bytes",
            data.len()
        );
        Pixels { width, height, data }
    }

    pub(crate) fn filled(width: u32, height: u32, colour: [u8; 3]) -> Pixels {
        let data = colour.repeat(width as usize * height as usize);
        Pixels { width, height, data }
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    pub fn data(&self) -> &[u8] {
        &self.data
    }

    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    pub(crate) fn row(&self, y: u32) -> &[u8] {
        let stride = self.width as usize * 3;
        &self.data[y as usize * stride..][..stride]
    }

    /// Copies `other` to where its left upper corner is at (left, top); what lies outside is cut
    /// off.
    pub(crate) fn paste(&mut self, other: &Pixels, left: i64, top: i64) {
        let first = left.max(0);
        let columns = (left + i64::from(other.width)).min(i64::from(self.width)) - first;
        if columns <= 0 {
            return;
        }
        let (target, source, bytes) =
            (first as usize * 3, (first - left) as usize * 3, columns as usize * 3);
        let stride = self.width as usize * 3;
        for y in top.max(0)..(top + i64::from(other.height)).min(i64::from(self.height)) {
            let from = &other.row((y - top) as u32)[source..][..bytes];
            self.data[y as usize * stride..][target..target + bytes].copy_from_slice(from);
        }
    }

    /// The part must lie within the image.
    pub(crate) fn cut(&self, left: u32, top: u32, width: u32, height: u32) -> Pixels {
        let mut data = Vec::with_capacity(width as usize * height as usize * 3);
        for y in top..top + height {
            data.extend_from_slice(&self.row(y)[left as usize * 3..][..width as usize * 3]);
        }
        Pixels::new(width, height, data)
    }

    pub(crate) fn flipped_horizontally(mut self) -> Pixels {
        for row in self.data.chunks_exact_mut(self.width as usize * 3) {
            row.as_chunks_mut::<3>().0.reverse();
        }
        self
    }

    pub(crate) fn flipped_vertically(&self) -> Pixels {
        let mut data = Vec::with_capacity(self.data.len());
        for row in self.data.rchunks_exact(self.width as usize * 3) {
            data.extend_from_slice(row);
        }
        Pixels::new(self.width, self.height, data)
    }

    /// One number for each pixel, as Pillow's `convert("L")`: ITU-R 601-2 luma in fixed point,
    /// rounded.
    pub(crate) fn grey(&self) -> Vec<u8> {
        self.data.as_chunks::<3>().0.iter().map(|&rgb| luma(rgb)).collect()
    }
}

/// `L24` of Pillow's Convert.c.
pub(crate) fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471 + 0x8000) >> 16) as u8
}
