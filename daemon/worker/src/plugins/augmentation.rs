//! An augmentation from a plugin.

use super::border::{Function, Handle, Subject};
use finetuned_job::outcome::Failure;
use finetuned_sdk::abi;

/// One augmentation, built by [`Plugins::augmentation`](super::Plugins::augmentation); one for each
/// thread.
pub(crate) struct AugmentationInstance {
    handle: Handle,
    functions: abi::AugmentationFunctions,
    applying: Function,
}

impl AugmentationInstance {
    pub(super) fn create(
        subject: Subject,
        functions: abi::AugmentationFunctions,
        settings: &str,
    ) -> Result<AugmentationInstance, Failure> {
        let applying = subject.function("apply");
        let ends = (functions.create, functions.destroy);
        let handle = Handle::of_settings(subject, ends, settings)?;
        Ok(AugmentationInstance { handle, functions, applying })
    }

    /// Changes `pixels`, rows of red, green and blue without a gap, in place.
    ///
    /// # Panics
    /// The pixels are not width * height * 3.
    pub(crate) fn apply(
        &self,
        pixels: &mut [u8],
        (width, height): (u32, u32),
        seed: u64,
    ) -> Result<(), Failure> {
        assert_eq!(
            pixels.len() as u64,
            u64::from(width) * u64::from(height) * 3,
            "three bytes a pixel"
        );
        let image = abi::Image {
            size: size_of::<abi::Image>() as u32,
            reserved: 0,
            width,
            height,
            pixels: pixels.as_mut_ptr(),
        };
        let apply = self.functions.apply.expect("looked at when opened");
        // SAFETY: the image lives until it returns.
        self.handle.call(self.applying, |instance, error| unsafe {
            apply(instance, &raw const image, seed, error)
        })
    }
}
