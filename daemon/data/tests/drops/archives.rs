//! Archives: good ones are read, bad ones are refused and leave nothing behind.

use crate::support::{Drop, names, reported, rows, table};
use expect_test::{Expect, expect};
use flate2::Compression;
use flate2::write::GzEncoder;
use rawzip::path::EntryPath;
use rawzip::{CompressionMethod, ZipArchiveWriter};
use std::fs;
use std::io::{self, Read, Write};
use tar::{EntryType, Header};

/// A tar archive of these entries: (type, name, content or target of a link).
fn tar(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (entry_type, name, content) in entries {
        let mut header = Header::new_gnu();
        // Written by hand: the crate refuses what this is about.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*entry_type);
        header.set_mode(0o6777);
        let is_link = matches!(entry_type, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.set_link_name(std::str::from_utf8(content).unwrap()).unwrap();
        }
        let content = if is_link { b"" } else { *content };
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, content).unwrap();
    }
    tar.into_inner().unwrap()
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// (name, mode, encrypted, content), deflated.
pub fn zip(entries: &[(&str, u32, bool, &[u8])]) -> Vec<u8> {
    let mut zip = ZipArchiveWriter::new(Vec::new());
    for (name, mode, encrypted, content) in entries {
        if name.ends_with('/') {
            zip.new_dir(EntryPath::verbatim(name.as_bytes())).create().unwrap();
            continue;
        }
        let file = zip
            .new_file(EntryPath::verbatim(name.as_bytes()))
            .compression_method(CompressionMethod::DEFLATE);
        let (mut entry, config) =
            file.unix_permissions(*mode).encrypted(*encrypted).start().unwrap();
        let mut writer =
            config.wrap(flate2::write::DeflateEncoder::new(&mut entry, Compression::best()));
        writer.write_all(content).unwrap();
        let (encoder, descriptor) = writer.finish().unwrap();
        encoder.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    zip.finish().unwrap()
}

fn csv() -> Vec<u8> {
    rows("text,label\n", 20)
}

/// Refused with this sentence, and nothing is left.
#[track_caller]
fn refused(name: &str, archive: &[u8], expected: Expect) {
    let drop = Drop::file(name, archive);
    drop.check(expected);
    assert!(!drop.staging().exists(), "left behind: {:?}", names(&drop.staging()));
    assert_eq!(fs::read(drop.path()).unwrap(), archive);
    // A staging folder that was there stays, empty.
    fs::create_dir(drop.staging()).unwrap();
    drop.load().unwrap_err();
    assert_eq!(names(&drop.staging()), [""; 0]);
}

#[test]
fn good_archives_of_every_kind() {
    let csv = csv();
    let plain = tar(&[
        (EntryType::Directory, "set/", b""),
        (EntryType::Regular, "set/data.csv", &csv),
        (EntryType::Regular, "set/job.toml", b"[train]\n"),
    ]);
    let zipped = zip(&[
        ("set/", 0o755, false, b""),
        ("set/data.csv", 0o644, false, &csv),
        ("__MACOSX/set/._data.csv", 0o644, false, b"x"),
    ]);
    let zst = zstd::encode_all(plain.as_slice(), 0).unwrap();
    let drop = Drop::file("a.zip", &zipped);
    drop.check(expect![[r#"
        data.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
    // By content: the name may say anything.
    for (name, bytes) in
        [("a.tar", plain.clone()), ("a.tgz", gz(&plain)), ("a.tar.zst", zst), ("data", gz(&plain))]
    {
        assert_eq!(reported(Drop::file(name, &bytes).load()), reported(drop.load()), "{name}");
    }
    let opened = |bytes: &[u8]| {
        let drop = Drop::file("a.tar", bytes);
        finetuned_data::open(&drop.path(), &drop.staging(), &mut |_, _, _| {})
            .unwrap()
            .recipe()
            .unwrap()
            .text
            .clone()
    };
    assert_eq!(opened(&plain), "[train]\n");
}

#[test]
fn an_archive_with_a_recipe_beside_it() {
    let drop = Drop::folder(&[
        ("job.toml", b"[train]\nepochs = 1\n"),
        ("set.zip", &zip(&[("a.csv", 0o644, false, &csv())])),
    ]);
    drop.check(expect![[r#"
        a.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
    "#]]);
    let opened = finetuned_data::open(&drop.path(), &drop.staging(), &mut |_, _, _| {}).unwrap();
    assert_eq!(opened.recipe().unwrap().text, "[train]\nepochs = 1\n");
}

#[test]
fn an_archive_inside_another_is_left_alone() {
    let inner = zip(&[("b.csv", 0o644, false, &csv())]);
    Drop::file(
        "a.zip",
        &zip(&[("a.csv", 0o644, false, &csv()), ("inner.zip", 0o644, false, &inner)]),
    )
    .check(expect![[r#"
        a.csv: csv utf-8 20 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 0
        pos: 9 1 0
        train 18 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        warning: inner.zip is an archive inside the drop and was not unpacked
    "#]]);
}

#[test]
fn archives_in_a_drop_or_an_archive_of_nothing_else() {
    let part = |from: usize, n: usize| {
        let line = |it, label: &str| format!("text number {},{label}", from + it);
        let csv = table("text,label", n, line);
        zip(&[("rows.csv", 0o644, false, csv.as_bytes())])
    };
    let (train, test) = (part(0, 20), part(100, 6));
    let expected = expect![[r#"
        train/rows.csv: csv utf-8 20 rows train
        test/rows.csv: csv utf-8 6 rows test
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        neg: 9 1 3
        pos: 9 1 3
        train 18 (file)
        validation 2 (stratified, seed 0)
        test 6 (file)
    "#]];
    let folder = Drop::folder(&[("train.zip", &train), ("test.zip", &test)]);
    expected.assert_eq(&reported(folder.load()));
    let form = ("sample_submission.csv", &b"id,label\n1,neg\n2,pos\n3,neg\n4,pos\n"[..]);
    let beside = Drop::folder(&[("train.zip", &train), ("test.zip", &test), form]);
    assert_eq!(
        reported(beside.load()),
        reported(folder.load())
            + "warning: sample_submission.csv is a form for answers, no data, and was ignored\n"
    );
    let outer = zip(&[("train.zip", 0o644, false, &train), ("test.zip", 0o644, false, &test)]);
    assert_eq!(reported(Drop::file("all.zip", &outer).load()), reported(folder.load()));
    // One level, and no more.
    let twice = zip(&[("all.zip", 0o644, false, &outer)]);
    let drop = Drop::file("twice.zip", &twice);
    drop.check(expect![[r#"
        Data: the drop holds no data: test.zip is an archive inside the drop and was not unpacked (it takes CSV, TSV, JSON, JSON Lines, Parquet, Arrow or Excel files, or a folder of .txt files for each class)
    "#]]);
}

#[test]
fn names_that_are_no_utf_8() {
    let named = |names: [&[u8]; 2], flag: bool| {
        let mut zip = ZipArchiveWriter::new(Vec::new());
        for (at, name) in names.iter().enumerate() {
            for it in 0..4_u8 {
                let path = [name, &b"/"[..], &[b'0' + it], b".txt"].concat();
                let (mut entry, config) = zip.new_file(EntryPath::verbatim(&path)).start().unwrap();
                let mut writer = config.wrap(&mut entry);
                write!(writer, "text {at} {it}").unwrap();
                let (_, descriptor) = writer.finish().unwrap();
                entry.finish(descriptor).unwrap();
            }
        }
        let mut bytes = zip.finish().unwrap();
        // The writer has no other way to say or not to say that names are UTF-8.
        if flag {
            for at in 0..bytes.len() - 10 {
                match &bytes[at..at + 4] {
                    b"PK\x03\x04" => bytes[at + 7] |= 8,
                    b"PK\x01\x02" => bytes[at + 9] |= 8,
                    _ => {}
                }
            }
        }
        Drop::file("a.zip", &bytes)
    };
    let outputs = |drop: Drop| match drop.load() {
        Ok(it) => (it.outputs, it.report.warnings),
        Err(err) => panic!("{err}"),
    };
    let (classes, warnings) = outputs(named([b"Gr\x94\xe1e", b"M\x84ngel"], false));
    assert_eq!(classes, ["Größe", "Mängel"]);
    assert_eq!(
        warnings[0],
        "a.zip: names in it are no UTF-8, and were read as code page 437; make the archive again if they look wrong"
    );
    assert_eq!(outputs(named([b"\x94L", b"\x8c\xa2"], false)).0, ["犬", "猫"]);
    let (classes, warnings) = outputs(named(["猫".as_bytes(), "犬".as_bytes()], false));
    assert_eq!((classes, warnings.len()), (vec!["犬".to_string(), "猫".into()], 0));
    // Who says UTF-8 must write it.
    let broken = reported(named([b"\x94L", b"\x8c\xa2"], true).load());
    assert!(broken.contains("a name that is not UTF-8"), "{broken}");
}

#[test]
fn what_was_unpacked_whole_is_used_again_and_what_was_not_is_made_again() {
    let drop = Drop::file("a.zip", &zip(&[("a.csv", 0o4755, false, &csv())]));
    fs::create_dir_all(drop.staging().join("unpacked.partial/half")).unwrap();
    drop.load().unwrap();
    let unpacked = names(&drop.staging());
    let [unpacked] = &unpacked[..] else { panic!("{unpacked:?}") };
    let unpacked = drop.staging().join(unpacked).join("a.csv");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&unpacked).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o600);
    fs::write(&unpacked, rows("text,label\n", 30)).unwrap();
    assert_eq!(drop.load().unwrap().report.files[0].rows, 30);
    // Unpacked before the machine was started again.
    fs::rename(unpacked.parent().unwrap(), drop.staging().join("unpacked-0")).unwrap();
    assert_eq!(drop.load().unwrap().report.files[0].rows, 20);
    assert_eq!(names(&drop.staging()).len(), 1);
}

#[test]
fn entries_that_want_out_of_a_tar() {
    let one = |entry_type, name, content: &[u8]| {
        gz(&tar(&[(EntryType::Regular, "a.csv", &csv()), (entry_type, name, content)]))
    };
    refused(
        "a.tar.gz",
        &one(EntryType::Regular, "../evil.csv", b"x"),
        expect![[r#"
        Data: a.tar.gz: the entry `../evil.csv` is refused: it has a path that leaves the archive (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.tar.gz",
        &one(EntryType::Regular, "/tmp/evil.csv", b"x"),
        expect![[r#"
        Data: a.tar.gz: the entry `/tmp/evil.csv` is refused: it has an absolute path (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.tar.gz",
        &one(EntryType::Regular, "a\\..\\evil.csv", b"x"),
        expect![[r#"
        Data: a.tar.gz: the entry `a\\..\\evil.csv` is refused: it has a backslash in its name (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.tar.gz",
        &one(EntryType::Symlink, "link", b"/etc/passwd"),
        expect![[r#"
        Data: a.tar.gz: the entry `link` is a symbolic link (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.tar.gz",
        &one(EntryType::Link, "link", b"a.csv"),
        expect![[r#"
        Data: a.tar.gz: the entry `link` is a hard link (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.tar.gz",
        &one(EntryType::Char, "null", b""),
        expect![[r#"
        Data: a.tar.gz: the entry `null` is a device (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.tar.gz",
        &one(EntryType::Block, "sda", b""),
        expect![[r#"
        Data: a.tar.gz: the entry `sda` is a device (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.tar.gz",
        &one(EntryType::Fifo, "pipe", b""),
        expect![[r#"
        Data: a.tar.gz: the entry `pipe` is a pipe (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.tar.gz",
        &one(EntryType::Regular, "a.csv", b"x"),
        expect![[r#"
        Data: a.tar.gz: the entry `a.csv` is there twice (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.tar.gz",
        &one(EntryType::Regular, "a.csv/b.csv", b"x"),
        expect![[r#"
        Data: a.tar.gz: the entry `a.csv/b.csv` is a file and a folder at once (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.tar",
        &tar(&[(EntryType::Directory, "empty/", b"")]),
        expect![[r#"
        Data: a.tar holds no files
    "#]],
    );
}

#[test]
fn entries_that_want_out_of_a_zip() {
    let one = |name, mode, encrypted| {
        zip(&[("a.csv", 0o644, false, &csv()), (name, mode, encrypted, b"/etc/passwd")])
    };
    refused(
        "a.zip",
        &one("../evil.csv", 0o644, false),
        expect![[r#"
        Data: a.zip: the entry `../evil.csv` is refused: it has a path that leaves the archive (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.zip",
        &one("/evil.csv", 0o644, false),
        expect![[r#"
        Data: a.zip: the entry `/evil.csv` is refused: it has an absolute path (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.zip",
        &one("C:/evil.csv", 0o644, false),
        expect![[r#"
        Data: a.zip: the entry `C:/evil.csv` is refused: it has a drive letter (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.zip",
        &one("..\\evil.csv", 0o644, false),
        expect![[r#"
        Data: a.zip: the entry `..\\evil.csv` is refused: it has a backslash in its name (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.zip",
        &one("link", 0o120_777, false),
        expect![[r#"
        Data: a.zip: the entry `link` is a symbolic link (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.zip",
        &one("device", 0o020_644, false),
        expect![[r#"
        Data: a.zip: the entry `device` is neither file nor folder (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.zip",
        &one("secret.csv", 0o644, true),
        expect![[r#"
        Data: a.zip: the entry `secret.csv` is encrypted (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.zip",
        &one("a.csv", 0o644, false),
        expect![[r#"
        Data: a.zip: the entry `a.csv` is there twice (make the archive again from plain files and folders)
    "#]],
    );
    refused(
        "a.zip",
        &one("a.csv/", 0o755, false),
        expect![[r#"
        Data: a.zip: the entry `a.csv/` is a file and a folder at once (make the archive again from plain files and folders)
    "#]],
    );
}

#[test]
fn cut_off_and_damaged_archives() {
    let plain = tar(&[(EntryType::Regular, "a.csv", &csv())]);
    refused(
        "a.tar",
        &plain[..700],
        expect![[r#"
        Data: a.tar is cut off: it ends in the middle (copy it again)
    "#]],
    );
    let packed = gz(&plain);
    refused(
        "a.tar.gz",
        &packed[..packed.len() / 2],
        expect![[r#"
        Data: a.tar.gz is cut off: it ends in the middle (copy it again)
    "#]],
    );
    let mut zipped = zip(&[("a.csv", 0o644, false, &csv())]);
    refused(
        "a.zip",
        &zipped[..zipped.len() / 2],
        expect![[r#"
        Data: a.zip is damaged: Missing end of central directory (copy or make it again)
    "#]],
    );
    zipped[60] ^= 0xff;
    refused(
        "a.zip",
        &zipped,
        expect![[r#"
            Data: a.zip is damaged: corrupt deflate stream
        "#]],
    );
    refused(
        "a.tar",
        b"no archive at all",
        expect![[r#"
        Data: a.tar is no tar archive (make it again with tar or zip)
    "#]],
    );
}

#[test]
fn bombs_are_refused_and_leave_nothing() {
    const BOMB_BYTES: u64 = 80 << 20;
    let zeros = || io::repeat(0).take(BOMB_BYTES);
    let mut header = Header::new_gnu();
    header.set_path("zeros.csv").unwrap();
    header.set_size(BOMB_BYTES);
    header.set_cksum();
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(header.as_bytes()).unwrap();
    io::copy(&mut zeros(), &mut packed).unwrap();
    refused(
        "a.tar.gz",
        &packed.finish().unwrap(),
        expect![[r#"
            Data: a.tar.gz: unpacks to more than 250 times its size, as decompression bombs do
        "#]],
    );

    let mut zip = ZipArchiveWriter::new(Vec::new());
    let (mut entry, config) =
        zip.new_file("zeros.csv").compression_method(CompressionMethod::DEFLATE).start().unwrap();
    let mut writer =
        config.wrap(flate2::write::DeflateEncoder::new(&mut entry, Compression::best()));
    io::copy(&mut zeros(), &mut writer).unwrap();
    let (encoder, descriptor) = writer.finish().unwrap();
    encoder.finish().unwrap();
    entry.finish(descriptor).unwrap();
    refused(
        "a.zip",
        &zip.finish().unwrap(),
        expect![[r#"
            Data: a.zip: unpacks to more than 250 times its size, as decompression bombs do
        "#]],
    );

    // A table of many short rows, as a single file.
    let line = b"a,1\n".repeat(1 << 18);
    let mut table = zstd::Encoder::new(Vec::new(), 0).unwrap();
    table.write_all(b"text,label\n").unwrap();
    (0..BOMB_BYTES >> 20).for_each(|_| table.write_all(&line).unwrap());
    Drop::file("a.csv.zst", &table.finish().unwrap()).check(expect![[r#"
        Data: a.csv.zst: unpacks to more than 250 times its size, as decompression bombs do
    "#]]);
}

#[test]
fn a_header_as_long_as_the_archive_is_not_held_in_memory() {
    let mut header = Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(8 << 20);
    header.set_cksum();
    let mut long = header.as_bytes().to_vec();
    long.resize(512 + (8 << 20), b'a');
    refused(
        "a.tar",
        &long,
        expect![[r#"
        Data: a.tar is damaged: a header of an entry is longer than 1 MiB (copy or make it again)
    "#]],
    );
}

#[test]
fn too_many_entries() {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for _ in 0..=100_000 {
        let mut header = Header::new_ustar();
        // The folder itself, again and again: what is counted are entries, not folders.
        header.set_path("./").unwrap();
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        header.set_cksum();
        tar.append(&header, io::empty()).unwrap();
    }
    refused(
        "a.tar.gz",
        &tar.into_inner().unwrap().finish().unwrap(),
        expect![[r#"
        Data: a.tar.gz has more than 100000 entries (put the texts into a table)
    "#]],
    );
}

#[test]
fn any_byte_of_an_archive_may_be_wrong() {
    let good = [
        ("a.tar", tar(&[(EntryType::Regular, "a.csv", &csv())])),
        ("a.zip", zip(&[("a.csv", 0o644, false, &csv())])),
    ];
    for (name, archive) in good {
        for at in (0..archive.len()).step_by(if name == "a.tar" { 7 } else { 1 }) {
            let mut bytes = archive.clone();
            bytes[at] ^= 0x55;
            let drop = Drop::file(name, &bytes);
            // A data set or a sentence; and either nothing is left in staging, or something whole.
            let reported = reported(drop.load());
            assert!(
                !names(&drop.staging()).contains(&"unpacked.partial".to_string()),
                "{reported}"
            );
        }
    }
}
