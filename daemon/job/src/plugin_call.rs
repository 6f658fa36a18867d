//! The file `plugin.call`: which function of which plugin a worker is in. The worker maps it and
//! writes a number before and after each call; the kernel keeps the page however the worker ends,
//! so whoever finds it dead can say who was at work.
//!
//! Layout, little endian: `[u32 current][u32 overdue_s]`, then records of [`RECORD_BYTES`], each
//! UTF-8 filled up with zeros. `current` counts records from 1; 0 is "none". `overdue_s` is not 0
//! when the worker ended itself because the call took longer than that many seconds.

pub const FILE_BYTES: usize = 32 * 1024;
pub const HEADER_BYTES: usize = 8;
pub const RECORD_BYTES: usize = 256;
pub const RECORDS_MAX: usize = (FILE_BYTES - HEADER_BYTES) / RECORD_BYTES;

/// What the file says of a worker that has died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginCall {
    /// `the head arcface of the plugin margins, in forward`
    pub what: String,
    /// The worker ended itself, since the call took longer than these seconds.
    pub overdue_s: Option<u32>,
}

impl PluginCall {
    /// `None` where no plugin was at work, or the bytes are not ours.
    pub fn read(bytes: &[u8]) -> Option<PluginCall> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let current = number(0)?.checked_sub(1)? as usize;
        let start = HEADER_BYTES + current.checked_mul(RECORD_BYTES)?;
        let record = bytes.get(start..start + RECORD_BYTES)?;
        let end = record.iter().position(|it| *it == 0).unwrap_or(RECORD_BYTES);
        let what = String::from_utf8_lossy(&record[..end]).into_owned();
        (!what.is_empty())
            .then_some(PluginCall { what, overdue_s: number(4).filter(|it| *it != 0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_that_is_current_is_read() {
        let mut bytes = vec![0; FILE_BYTES];
        bytes[HEADER_BYTES + RECORD_BYTES..][..7].copy_from_slice(b"a head,");
        assert_eq!(PluginCall::read(&bytes), None);
        bytes[0] = 2;
        assert_eq!(
            PluginCall::read(&bytes),
            Some(PluginCall { what: "a head,".into(), overdue_s: None })
        );
        bytes[4] = 5;
        assert_eq!(PluginCall::read(&bytes).and_then(|it| it.overdue_s), Some(5));
    }

    #[test]
    fn bytes_that_are_not_ours_say_nothing() {
        assert_eq!(PluginCall::read(b"\x01"), None);
        assert_eq!(PluginCall::read(&[0xff; FILE_BYTES]), None);
        assert_eq!(PluginCall::read(&[1, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
