//! Finds a section in the bytes of a shared library, without trusting them: what is cut off, of
//! another kind or made for another machine is named. What the section means is left to
//! `descriptor`.

use crate::Refusal;
use object::LittleEndian as LE;
use object::elf::{
    EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64, ET_DYN, FileHeader64,
    Machine, PT_LOAD,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

const MACHINE: Machine = if cfg!(target_arch = "aarch64") { EM_AARCH64 } else { EM_X86_64 };

const MAGIC: &[u8] = b"\x7fELF";
/// Places in `e_ident`, and what a 64-bit little-endian file has there.
const CLASS: (usize, u8) = (4, 2);
const DATA: (usize, u8) = (5, 1);
const MACHINE_AT: usize = 18;

/// The bytes of the section `name` in a shared library for this machine.
pub(crate) fn section<'a>(bytes: &'a [u8], name: &'static str) -> Result<&'a [u8], Refusal> {
    const HEADER: &str = "the ELF header";
    if !bytes.starts_with(MAGIC) {
        return Err(if MAGIC.starts_with(bytes) && !bytes.is_empty() {
            Refusal::Truncated { what: HEADER }
        } else {
            Refusal::NoElf
        });
    }
    let (Some(&class), Some(&order)) = (bytes.get(CLASS.0), bytes.get(DATA.0)) else {
        return Err(Refusal::Truncated { what: HEADER });
    };
    let machine =
        bytes.get(MACHINE_AT..MACHINE_AT + 2).ok_or(Refusal::Truncated { what: HEADER })?;
    let machine = [machine[0], machine[1]];
    let machine = Machine(if order == DATA.1 {
        u16::from_le_bytes(machine)
    } else {
        u16::from_be_bytes(machine)
    });
    if (class, order, machine) != (CLASS.1, DATA.1, MACHINE) {
        let bits = if class == CLASS.1 { "" } else { " (32-bit)" };
        return Err(Refusal::Architecture {
            found: format!("{}{bits}", machine_name(machine)),
            wanted: std::env::consts::ARCH,
        });
    }
    let header =
        FileHeader64::<LE>::parse(bytes).map_err(|_| Refusal::Truncated { what: HEADER })?;
    if header.e_type(LE) != ET_DYN {
        return Err(Refusal::NoLibrary);
    }
    let segments = header
        .program_headers(LE, bytes)
        .map_err(|_| Refusal::Truncated { what: "the table of segments" })?;
    for segment in segments.iter().filter(|it| it.p_type(LE) == PT_LOAD) {
        // The kernel maps what is missing all the same, and touching it is a SIGBUS.
        segment.data(LE, bytes).map_err(|()| Refusal::Truncated { what: "code or data" })?;
    }
    let sections = header
        .sections(LE, bytes)
        .map_err(|_| Refusal::Truncated { what: "the table of sections" })?;
    let (_, found) = sections
        .section_by_name(LE, name.as_bytes())
        .ok_or(Refusal::NoDescriptor { section: name })?;
    found.data(LE, bytes).map_err(|_| Refusal::Truncated { what: "the descriptor" })
}

fn machine_name(machine: Machine) -> String {
    match machine {
        EM_X86_64 => "x86_64".into(),
        EM_AARCH64 => "aarch64".into(),
        EM_386 => "x86".into(),
        EM_ARM => "arm".into(),
        EM_RISCV => "riscv".into(),
        EM_PPC64 => "powerpc64".into(),
        EM_S390 => "s390x".into(),
        Machine(other) => format!("the machine number {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test itself: a position-independent executable is of the same kind as a shared library.
    fn own_bytes() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn a_section_is_found_by_its_name() {
        let bytes = own_bytes();
        assert!(!section(&bytes, ".text").unwrap().is_empty());
        assert_eq!(
            section(&bytes, ".finetuned"),
            Err(Refusal::NoDescriptor { section: ".finetuned" })
        );
    }

    #[test]
    fn a_file_that_is_cut_off_says_so_wherever_it_is_cut() {
        let bytes = own_bytes();
        for part in 1..200 {
            let cut = bytes.len() * part / 200;
            assert!(
                matches!(section(&bytes[..cut], ".text"), Err(Refusal::Truncated { .. })),
                "cut at {cut} of {}",
                bytes.len()
            );
        }
        for cut in 1..64 {
            assert!(
                matches!(section(&bytes[..cut], ".text"), Err(Refusal::Truncated { .. })),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn damaged_headers_are_no_reason_to_panic() {
        let mut bytes = own_bytes();
        for at in 0..64 {
            for value in [0, 1, 0x7f, 0xff] {
                let original = std::mem::replace(&mut bytes[at], value);
                let _ = section(&bytes, ".text");
                bytes[at] = original;
            }
        }
    }
}
