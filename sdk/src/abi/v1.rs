//! Version 1. Frozen once it is released: fields and functions are only appended, to the end of
//! their struct.

mod descriptor; // what is read without opening the library
mod entry; // how a library that was opened is entered
mod head; // tensor tier
mod hook;
mod loss; // tensor tier
mod metric;
mod pixels; // augmentations
mod problem; // one label, several, numbers
mod reader;
mod reward;

pub use descriptor::*;
pub use entry::*;
pub use head::*;
pub use hook::*;
pub use loss::*;
pub use metric::*;
pub use pixels::*;
pub use problem::*;
pub use reader::*;
pub use reward::*;
