//! What becomes of images: every kind of file against Pillow, every config against timm and
//! transformers, broken files as the sentence that a user reads.

mod augmenting;
mod broken;
mod decoding;
mod hashing;
mod mixing;
mod preparing;
mod sheets;
mod support;
