//! Stories of a worker that strangers, or a plugin, try to lead astray: what its process opens, and
//! what the kernel refuses it.

use crate::attempt::{Run, sentences, tiny_bert};
use crate::plugins::compile;
use crate::sandbox::skipped;
use finetuned_job::event::Event;
use finetuned_job::spec::{Action, Sandbox as Boundary};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files of the machine that any process opens to begin with.
const OF_THE_SYSTEM: &[&str] =
    &["/usr/lib/", "/lib", "/proc/", "/sys/", "/dev/", "/etc/ld.so.", "/etc/localtime"];

/// Whether the kernel has Landlock, as `finetuned-worker` finds it.
fn has_landlock() -> bool {
    let mut run =
        Run::new("[train]\nepochs = 1\n", &sentences(60, 1)).with_boundary(Boundary::Required);
    let closed = run.finish(Action::Check).success();
    if !closed {
        skipped(&format!("this kernel closes no worker in: {}", run.log()));
    }
    closed
}

/// A drop in which links and an archive lead to `outside`.
fn hostile_drop(drop: &Path, outside: &Path) {
    fs::create_dir(drop).unwrap();
    fs::create_dir(outside).unwrap();
    fs::write(outside.join("secret.csv"), sentences(60, 2)).unwrap();
    fs::write(outside.join("config.json"), "{}").unwrap();
    fs::write(drop.join("train.csv"), sentences(200, 3)).unwrap();
    symlink(outside.join("secret.csv"), drop.join("test.csv")).unwrap();
    symlink(outside, drop.join("validation")).unwrap();
    symlink("/etc/passwd", drop.join("labels.txt")).unwrap();
}

/// Where each file lies that was opened, links resolved; and every path that was asked for.
fn opened(trace: &Path) -> (Vec<PathBuf>, String) {
    let text = fs::read_to_string(trace).unwrap();
    // What is only named, for a rule of the sandbox, can't be read: O_PATH.
    // 123 openat(AT_FDCWD, "x", O_RDONLY) = 3</where/it/lies>
    let opened = text
        .lines()
        .filter(|it| it.contains(" open") && !it.contains("O_PATH"))
        .filter_map(|line| {
            let (_, answer) = line.rsplit_once(" = ")?;
            let (_, path) = answer.split_once('<')?;
            Some(PathBuf::from(path.strip_suffix('>')?))
        });
    (opened.collect(), text)
}

/// The trace of one worker's work on a drop, and its status.
fn traced(run: &mut Run, trace: &Path) -> Option<(Vec<PathBuf>, String)> {
    if Command::new("strace").arg("--version").output().is_err() {
        skipped("strace is missing: apt-get install strace");
        return None;
    }
    run.finish_traced(Action::Train, trace);
    let found = opened(trace);
    if found.0.is_empty() {
        skipped("strace may not trace here");
        return None;
    }
    Some(found)
}

#[test]
fn nothing_outside_is_opened_for_a_hostile_drop() {
    let places = tempfile::tempdir().unwrap();
    let root = places.path().canonicalize().unwrap();
    let outside = root.join("outside");
    let mut run = Run::with_drop(&tiny_bert(), "[train]\nepochs = 1\n", "drop", |it| {
        hostile_drop(it, &outside);
    })
    .with_env("HF_HUB_CACHE", &root.join("cache"));
    let Some((opened, text)) = traced(&mut run, &root.join("trace")) else { return };
    let (home, base) = (run.folder().canonicalize().unwrap(), tiny_bert().canonicalize().unwrap());
    let home = home.parent().unwrap();
    assert!(opened.iter().any(|it| it.ends_with("drop/train.csv")), "{}", run.log());
    let binaries = std::env::current_exe().unwrap();
    let binaries = binaries.ancestors().nth(2).unwrap().to_path_buf();
    let libtorch = opened.iter().find(|it| it.ends_with("libtorch_cpu.so")).unwrap();
    let cache = root.join("cache");
    let ours = [home, &base, &binaries, libtorch.parent().unwrap(), &cache];
    let strays: Vec<&PathBuf> = opened
        .iter()
        .filter(|it| !ours.iter().any(|ours| it.starts_with(ours)))
        .filter(|it| !OF_THE_SYSTEM.iter().any(|ours| it.to_string_lossy().starts_with(ours)))
        // A pipe and the like have no path.
        .filter(|it| it.starts_with("/"))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
    // Nor were it asked for and refused by the sandbox alone.
    assert!(!text.contains("secret.csv\", O_"), "{text}");
}

#[test]
fn an_archive_that_climbs_opens_nothing_outside() {
    let places = tempfile::tempdir().unwrap();
    let root = places.path().canonicalize().unwrap();
    fs::write(root.join("escaped.csv"), sentences(60, 2)).unwrap();
    let mut run = Run::with_drop(&tiny_bert(), "", "drop.tar.gz", |it| {
        let made = Command::new("tar")
            .args(["-P", "-C"])
            .arg(&root)
            .args(["--transform", "s,^,../../../../,", "-czf"])
            .arg(it)
            .arg("escaped.csv")
            .status();
        assert!(made.unwrap().success());
    });
    let Some((opened, text)) = traced(&mut run, &root.join("trace")) else { return };
    assert!(opened.iter().any(|it| it.ends_with("drop.tar.gz")), "{}", run.log());
    // Neither where it would land nor where it came from.
    let escaped = text.lines().find(|it| it.contains("escaped.csv\", O_"));
    assert_eq!(escaped, None);
}

/// What a plugin gets of files, sockets and programs when it is opened: errors are -1.
const TRIES: &str = r#"-DCREATE=dprintf(2, "tried: passwd %d, socket %d, program %d, run %d\n", open("/etc/passwd", 0) < 0, socket(2, 1, 0) < 0, system("true") != 0, open(getenv("FINETUNED_TRY"), 0101, 0600) < 0)"#;

fn tries(boundary: Boundary) -> String {
    let plugins = tempfile::tempdir().unwrap();
    compile(
        &plugins.path().join("bad.so"),
        &[
            "-Wno-implicit-function-declaration",
            "-include",
            "fcntl.h",
            "-include",
            "sys/socket.h",
            TRIES,
        ],
    );
    let recipe = "[train]\nepochs = 1\n[eval]\nmetrics = [\"accuracy\", \"bad\"]\n[plugins]\nload = [\"bad\"]\n";
    let mut run = Run::new(recipe, &sentences(80, 1))
        .with_plugins(plugins.path())
        .with_boundary(boundary)
        .with_env("FINETUNED_TRY", &plugins.path().join("written"));
    assert!(run.finish(Action::Train).success(), "{}", run.log());
    let log = run.log();
    log.lines().find_map(|it| it.strip_prefix("tried: ")).unwrap_or_else(|| panic!("{log}")).into()
}

#[test]
fn a_plugin_gets_no_file_no_socket_and_no_program() {
    if !has_landlock() {
        return;
    }
    assert_eq!(tries(Boundary::Required), "passwd 1, socket 1, program 1, run 1");
    assert_eq!(tries(Boundary::Off), "passwd 0, socket 0, program 0, run 0");
}

#[test]
fn a_job_says_nothing_of_a_sandbox_that_holds() {
    if !has_landlock() {
        return;
    }
    let mut run =
        Run::new("[train]\nepochs = 1\n", &sentences(60, 1)).with_boundary(Boundary::Auto);
    run.complete();
    let warned =
        |it: &Event| matches!(it, Event::Warning { message } if message.contains("closed in"));
    assert!(!run.events().iter().any(warned));
}
