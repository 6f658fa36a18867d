//! The bytes of a descriptor -> what a plugin says of itself, checked. Decides whether this release
//! can use it.

use crate::Refusal;
use finetuned_sdk::abi;
use std::mem::offset_of;

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    pub name: String,
    pub version: String,
    pub abi: u32,
    /// As `finetuned-sdk 0.1.0`; free text.
    pub made_with: String,
    pub tier: Tier,
    /// In the order of the table that the entry gives.
    pub exports: Vec<Export>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    Plain,
    /// Tensors cross: made with the worker's tch and libtorch.
    Tensor,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    pub kind: Kind,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Head,
    Loss,
    Metric,
    Reader,
    Hook,
    Augmentation,
    Reward,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Head => "head",
            Kind::Loss => "loss",
            Kind::Metric => "metric",
            Kind::Reader => "reader",
            Kind::Hook => "hook",
            Kind::Augmentation => "augmentation",
            Kind::Reward => "reward",
        }
    }

    fn from_number(kind: u32) -> Option<Kind> {
        match kind {
            abi::KIND_HEAD => Some(Kind::Head),
            abi::KIND_LOSS => Some(Kind::Loss),
            abi::KIND_METRIC => Some(Kind::Metric),
            abi::KIND_READER => Some(Kind::Reader),
            abi::KIND_HOOK => Some(Kind::Hook),
            abi::KIND_AUGMENTATION => Some(Kind::Augmentation),
            abi::KIND_REWARD => Some(Kind::Reward),
            _ => None,
        }
    }
}

impl Descriptor {
    /// `head arcface, loss focal`
    pub fn exports_words(&self) -> String {
        self.exports
            .iter()
            .map(|it| format!("{} {}", it.kind.name(), it.name))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Reads the bytes of the section, which may be longer than the descriptor.
    ///
    /// # Errors
    /// Why this release can't use such a plugin.
    pub fn read(bytes: &[u8]) -> Result<Descriptor, Refusal> {
        let fields = Fields(bytes);
        if fields.bytes(offset_of!(abi::Descriptor, magic), abi::MAGIC.len())? != abi::MAGIC {
            return damaged("it does not begin with `finetuned-plugin`");
        }
        let found = fields.number(offset_of!(abi::Descriptor, abi))?;
        if found != abi::ABI_VERSION {
            return Err(Refusal::Abi { found, wanted: abi::ABI_VERSION });
        }
        let size = fields.number(offset_of!(abi::Descriptor, size))? as usize;
        if size < size_of::<abi::Descriptor>() || bytes.len() < size {
            return damaged(format!(
                "it says that it has {size} bytes, the section has {}, ABI {found} has {}",
                bytes.len(),
                size_of::<abi::Descriptor>()
            ));
        }
        if fields.number(offset_of!(abi::Descriptor, flags))? & abi::FLAG_PANIC_ABORTS != 0 {
            return Err(Refusal::PanicAborts);
        }
        let tier = match fields.number(offset_of!(abi::Descriptor, tier))? {
            abi::TIER_PLAIN => Tier::Plain,
            abi::TIER_TENSOR => Tier::Tensor,
            other => return damaged(format!("its tier is {other}")),
        };
        let version_text = |at| fields.text(at, abi::VERSION_BYTES_MAX + 1);
        if tier == Tier::Tensor {
            same("tch", version_text(offset_of!(abi::Descriptor, tch))?, abi::TCH_VERSION)?;
            same(
                "libtorch",
                version_text(offset_of!(abi::Descriptor, libtorch))?,
                abi::LIBTORCH_VERSION,
            )?;
        }
        Ok(Descriptor {
            name: fields.name(offset_of!(abi::Descriptor, name), "its name")?,
            version: version_text(offset_of!(abi::Descriptor, version))?,
            abi: found,
            made_with: fields
                .text(offset_of!(abi::Descriptor, made_with), abi::NAME_BYTES_MAX + 1)?,
            tier,
            exports: exports(&fields, tier)?,
        })
    }
}

fn exports(fields: &Fields<'_>, tier: Tier) -> Result<Vec<Export>, Refusal> {
    let n = fields.number(offset_of!(abi::Descriptor, n_items))? as usize;
    if n == 0 || abi::ITEMS_MAX < n {
        return damaged(format!("it has {n} items, but must have 1 to {}", abi::ITEMS_MAX));
    }
    let mut exports: Vec<Export> = Vec::with_capacity(n);
    for item_idx in 0..n {
        let at = offset_of!(abi::Descriptor, items) + item_idx * size_of::<abi::Item>();
        let number = fields.number(at + offset_of!(abi::Item, kind))?;
        let Some(kind) = Kind::from_number(number) else {
            return damaged(format!("item {item_idx} is of kind {number}"));
        };
        let name = fields.name(at + offset_of!(abi::Item, name), "the name of an item")?;
        if tier == Tier::Plain && matches!(kind, Kind::Head | Kind::Loss) {
            return damaged(format!("the {} {name} stands in the plain tier", kind.name()));
        }
        let export = Export { kind, name };
        if exports.contains(&export) {
            return damaged(format!("the {} {} stands there twice", kind.name(), export.name));
        }
        exports.push(export);
    }
    Ok(exports)
}

fn same(what: &'static str, found: String, wanted: &str) -> Result<(), Refusal> {
    if found == wanted {
        Ok(())
    } else {
        Err(Refusal::OtherLibtorch { what, found, wanted: wanted.into() })
    }
}

fn damaged<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Damaged { what: what.into() })
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&self, at: usize, n: usize) -> Result<&'a [u8], Refusal> {
        self.0
            .get(at..at + n)
            .map_or_else(|| damaged(format!("it ends after {} bytes", self.0.len())), Ok)
    }

    fn number(&self, at: usize) -> Result<u32, Refusal> {
        let bytes = self.bytes(at, size_of::<u32>())?;
        Ok(u32::from_ne_bytes(bytes.try_into().unwrap_or_default()))
    }

    /// UTF-8, filled up with zeros, at least one.
    fn text(&self, at: usize, n: usize) -> Result<String, Refusal> {
        let bytes = self.bytes(at, n)?;
        let Some(end) = bytes.iter().position(|it| *it == 0) else {
            return damaged("a text has no end");
        };
        let text =
            std::str::from_utf8(&bytes[..end]).ok().filter(|it| !it.chars().any(char::is_control));
        text.map_or_else(|| damaged("a text is no plain UTF-8"), |it| Ok(it.to_string()))
    }

    fn name(&self, at: usize, which: &str) -> Result<String, Refusal> {
        let name = self.text(at, abi::NAME_BYTES_MAX + 1)?;
        let good = !name.is_empty()
            && name.bytes().all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        if good {
            Ok(name)
        } else {
            damaged(format!("{which} is `{name}`, but must be of small letters, digits, - and _"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &mut [u8], at: usize, text: &str) {
        bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    }

    fn number(bytes: &mut [u8], at: usize, number: u32) {
        bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }

    /// A head and a metric, as a compiler would lay it out.
    fn good() -> Vec<u8> {
        let mut bytes = vec![0; size_of::<abi::Descriptor>()];
        bytes[..16].copy_from_slice(&abi::MAGIC);
        number(&mut bytes, offset_of!(abi::Descriptor, abi), 1);
        number(&mut bytes, offset_of!(abi::Descriptor, size), size_of::<abi::Descriptor>() as u32);
        number(&mut bytes, offset_of!(abi::Descriptor, tier), abi::TIER_TENSOR);
        number(&mut bytes, offset_of!(abi::Descriptor, n_items), 2);
        text(&mut bytes, offset_of!(abi::Descriptor, tch), abi::TCH_VERSION);
        text(&mut bytes, offset_of!(abi::Descriptor, libtorch), abi::LIBTORCH_VERSION);
        text(&mut bytes, offset_of!(abi::Descriptor, name), "margins");
        text(&mut bytes, offset_of!(abi::Descriptor, version), "0.3.0");
        let items = offset_of!(abi::Descriptor, items);
        number(&mut bytes, items, abi::KIND_HEAD);
        text(&mut bytes, items + 4, "arcface");
        number(&mut bytes, items + 64, abi::KIND_METRIC);
        text(&mut bytes, items + 68, "ece");
        bytes
    }

    #[track_caller]
    fn damaged_by(change: impl FnOnce(&mut Vec<u8>), says: &str) {
        let mut bytes = good();
        change(&mut bytes);
        assert_eq!(
            Descriptor::read(&bytes).unwrap_err().to_string(),
            format!("its descriptor is damaged: {says}")
        );
    }

    #[test]
    fn a_descriptor_is_read_as_it_was_laid_out() {
        let it = Descriptor::read(&good()).unwrap();
        assert_eq!(
            (it.name.as_str(), it.version.as_str(), it.tier),
            ("margins", "0.3.0", Tier::Tensor)
        );
        assert_eq!(it.exports_words(), "head arcface, metric ece");
        // A later SDK of this ABI appends.
        let mut longer = good();
        longer.extend([7; 100]);
        let wrong = longer.len() as u32 - 40;
        number(&mut longer, offset_of!(abi::Descriptor, size), wrong);
        assert_eq!(Descriptor::read(&longer).unwrap(), it);
    }

    #[test]
    fn damage_is_named() {
        let items = offset_of!(abi::Descriptor, items);
        damaged_by(|it| it.truncate(10), "it ends after 10 bytes");
        damaged_by(|it| it[15] = b'x', "it does not begin with `finetuned-plugin`");
        damaged_by(
            |it| number(it, offset_of!(abi::Descriptor, n_items), 33),
            "it has 33 items, but must have 1 to 32",
        );
        damaged_by(
            |it| number(it, offset_of!(abi::Descriptor, n_items), 0),
            "it has 0 items, but must have 1 to 32",
        );
        damaged_by(|it| number(it, items, 77), "item 0 is of kind 77");
        damaged_by(
            |it| it[items + 4] = b'A',
            "the name of an item is `Arcface`, but must be of small letters, digits, - and _",
        );
        damaged_by(|it| it[items + 4..items + 64].fill(b'a'), "a text has no end");
        damaged_by(
            |it| it[offset_of!(abi::Descriptor, version)] = 0xff,
            "a text is no plain UTF-8",
        );
        damaged_by(
            |it| it[offset_of!(abi::Descriptor, version)] = 0x1b,
            "a text is no plain UTF-8",
        );
        damaged_by(
            |it| number(it, offset_of!(abi::Descriptor, tier), abi::TIER_PLAIN),
            "the head arcface stands in the plain tier",
        );
        damaged_by(
            |it| it.copy_within(items..items + 64, items + 64),
            "the head arcface stands there twice",
        );
        damaged_by(
            |it| it.truncate(size_of::<abi::Descriptor>() - 1),
            "it says that it has 2304 bytes, the section has 2303, ABI 1 has 2304",
        );
    }

    #[test]
    fn our_tch_is_the_one_that_is_built() {
        let lock = include_str!("../../../Cargo.lock");
        let ours = format!("name = \"tch\"\nversion = \"{}\"\n", abi::TCH_VERSION);
        assert!(lock.contains(&ours), "{ours}");
    }
}
