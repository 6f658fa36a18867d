//! Augmentations: change images while training. Plain tier.

use super::{Bytes, Instance, Sink, Status};

/// An image, 8 bits each of red, green and blue. The pixels are the host's and are changed in
/// place.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Image {
    /// `sizeof(Image)`.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// height * width * 3: row by row from the top, each pixel red, green, blue, no gap.
    pub pixels: *mut u8,
}

/// Functions of an augmentation. Version 1 has them all, none may be null.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct AugmentationFunctions {
    /// `sizeof(AugmentationFunctions)`.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// `settings` and `*instance` as [`HeadFunctions::create`](super::HeadFunctions::create).
    pub create: Option<
        unsafe extern "C" fn(
            settings: Bytes,
            instance: *mut *mut Instance,
            error: *const Sink,
        ) -> Status,
    >,
    /// Ends an instance of `create`, also a broken one.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut Instance)>,
    /// Changes the image. What it does depends on nothing but settings, pixels and `seed`, which
    /// differs for each example and epoch: an instance has no memory, and the host makes one for
    /// each thread.
    pub apply: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            image: *const Image,
            seed: u64,
            error: *const Sink,
        ) -> Status,
    >,
}
