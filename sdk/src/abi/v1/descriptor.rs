//! What a plugin says about itself in plain bytes, without pointers: so it can be read from the
//! file alone.

/// Symbol of the [`Descriptor`].
pub const DESCRIPTOR_SYMBOL: &str = "finetuned_plugin_descriptor";
/// ELF section that holds the [`Descriptor`] and nothing else. It must not need relocations.
pub const DESCRIPTOR_SECTION: &str = ".finetuned";
/// First bytes of every descriptor, of every version.
pub const MAGIC: [u8; 16] = *b"finetuned-plugin";
/// Version of the ABI that this file describes.
pub const ABI_VERSION: u32 = 1;

/// [`Descriptor::tier`]: no tensor crosses, the library does not need libtorch.
pub const TIER_PLAIN: u32 = 0;
/// [`Descriptor::tier`]: tensors cross; `tch` and `libtorch` must be the worker's.
pub const TIER_TENSOR: u32 = 1;

/// [`Descriptor::flags`]: a panic ends the process (Rust's `panic = "abort"`). The host refuses
/// such a plugin.
pub const FLAG_PANIC_ABORTS: u32 = 1;

/// [`Item::kind`]: see [`HeadFunctions`](super::HeadFunctions).
pub const KIND_HEAD: u32 = 1;
/// [`Item::kind`]: see [`LossFunctions`](super::LossFunctions).
pub const KIND_LOSS: u32 = 2;
/// [`Item::kind`]: see [`MetricFunctions`](super::MetricFunctions).
pub const KIND_METRIC: u32 = 3;
/// [`Item::kind`]: see [`ReaderFunctions`](super::ReaderFunctions).
pub const KIND_READER: u32 = 4;
/// [`Item::kind`]: see [`HookFunctions`](super::HookFunctions).
pub const KIND_HOOK: u32 = 5;
/// [`Item::kind`]: see [`AugmentationFunctions`](super::AugmentationFunctions).
pub const KIND_AUGMENTATION: u32 = 6;
/// [`Item::kind`]: see [`RewardFunctions`](super::RewardFunctions). Appended: hosts that do not
/// know it refuse the plugin.
pub const KIND_REWARD: u32 = 7;

/// Most things that one plugin exports.
pub const ITEMS_MAX: usize = 32;
/// Bytes of the longest name of an item or a plugin.
pub const NAME_BYTES_MAX: usize = 59;
/// Bytes of the longest version.
pub const VERSION_BYTES_MAX: usize = 31;

/// A thing that a plugin exports.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// `KIND_...`; 0 where there is no item.
    pub kind: u32,
    /// What recipes call it: lower-case letters, digits, `-` and `_`, 1 to [`NAME_BYTES_MAX`] of
    /// them, then zeros.
    pub name: [u8; 60],
}

/// All that can be known of a plugin without opening it. Texts are UTF-8, filled up with zeros, at
/// least one.
///
/// `magic` and `abi` stand where they stand in every version; a host that does not know `abi` looks
/// no further.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Descriptor {
    /// [`MAGIC`].
    pub magic: [u8; 16],
    /// [`ABI_VERSION`] that the plugin was made for.
    pub abi: u32,
    /// `sizeof(Descriptor)`.
    pub size: u32,
    /// `TIER_...`
    pub tier: u32,
    /// `FLAG_...`, or-ed.
    pub flags: u32,
    /// What it was made with: "finetuned-sdk 0.1.0"; free text, for people.
    pub made_with: [u8; 60],
    /// Items in use, from the first.
    pub n_items: u32,
    /// Version of the tch crate whose functions are called ("0.26.0"); all zeros in the plain tier.
    pub tch: [u8; 32],
    /// Version of libtorch that this tch is for ("2.13.0"); all zeros in the plain tier.
    pub libtorch: [u8; 32],
    /// The plugin's name, as an item's; what `[plugins] load` in a recipe names.
    pub name: [u8; 60],
    /// 0
    pub reserved: u32,
    /// The plugin's own version.
    pub version: [u8; 32],
    /// In the order of [`Table::exports`](super::Table::exports).
    pub items: [Item; ITEMS_MAX],
}

const _: () = assert!(size_of::<Item>() == 4 + NAME_BYTES_MAX + 1, "a zero ends the longest name");
const _: () = assert!(
    size_of::<Descriptor>()
        == 16 + 6 * 4 + 2 * (NAME_BYTES_MAX + 1) + 3 * (VERSION_BYTES_MAX + 1) + ITEMS_MAX * 64,
    "no byte of padding"
);
