//! The unit files as systemd's own tools see them, and what a real run asks of the kernel beside
//! what the unit allows.

use crate::attempt::binary;
use crate::sandbox::{QUICK, Sandbox, skipped};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const UNITS: [&str; 2] = ["finetuned.service", "user/finetuned.service"];

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd")
}

fn unit(name: &str) -> String {
    fs::read_to_string(packaging().join(name)).unwrap()
}

fn are_there(tools: &[&str]) -> bool {
    let missing: Vec<&&str> =
        tools.iter().filter(|it| Command::new(it).arg("--version").output().is_err()).collect();
    if !missing.is_empty() {
        skipped(&format!("{missing:?} are missing: apt-get install systemd strace"));
    }
    missing.is_empty()
}

fn analyze(args: &[&str], unit: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(["--no-pager", "--man=no"]).args(args).arg(unit).output().unwrap()
}

fn words(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    texts.concat()
}

/// Of the settings of a unit, in order.
fn values<'a>(unit: &'a str, setting: &str) -> Vec<&'a str> {
    let prefix = format!("{setting}=");
    unit.lines().filter_map(|it| it.strip_prefix(&prefix)).collect()
}

#[test]
fn the_service_is_as_closed_as_its_work_allows() {
    if !are_there(&["systemd-analyze"]) {
        return;
    }
    // Threshold in tenths: 1.5.
    let args = ["security", "--offline=true", "--threshold=15"];
    let output = analyze(&args, &packaging().join("finetuned.service"));
    assert!(output.status.success(), "{}", words(&output));
    assert!(words(&output).contains("exposure level"), "{}", words(&output));
    assert!(!words(&output).contains("ignoring"), "{}", words(&output));
    // And the threshold bites.
    let args = ["security", "--offline=true", "--threshold=1"];
    assert!(!analyze(&args, &packaging().join("finetuned.service")).status.success());
}

#[test]
fn the_units_are_well_formed() {
    if !are_there(&["systemd-analyze"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let verified = |name: &str, text: &str| {
        let file = folder.path().join(name);
        let ours = binary("finetuned");
        fs::write(&file, text.replace("/usr/bin/finetuned", ours.to_str().unwrap())).unwrap();
        words(&analyze(&["verify"], &file))
    };
    let gpu = unit("gpu.conf");
    let (_, gpu) = gpu.split_once("[Service]\n").unwrap();
    for name in UNITS {
        assert_eq!(verified("finetuned.service", &unit(name)), "", "{name}");
        let opened = unit(name).replace("[Install]", &format!("{gpu}\n[Install]"));
        assert_eq!(verified("finetuned.service", &opened), "", "{name} with gpu.conf");
    }
    let mistaken = unit(UNITS[0]).replace("WatchdogSec", "WatchdgSec");
    assert!(verified("finetuned.service", &mistaken).contains("WatchdgSec"));
}

#[test]
fn workers_have_the_time_that_they_are_promised() {
    let config = fs::read_to_string(packaging().join("../../docs/config.md")).unwrap();
    let promised = config.lines().find_map(|it| it.strip_prefix("stop_timeout_s = ")).unwrap();
    let promised: u32 = promised.split_whitespace().next().unwrap().parse().unwrap();
    for name in UNITS {
        let text = unit(name);
        assert!(promised < values(&text, "TimeoutStopSec")[0].parse().unwrap(), "{name}");
        assert_eq!(values(&text, "Type"), ["notify"], "{name}");
        assert_eq!(values(&text, "KillMode"), ["mixed"], "{name}: workers write checkpoints");
    }
}

/// System calls of a set of systemd's, sets in it resolved.
fn set(name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return BTreeSet::from([name.to_string()]);
    }
    let output = Command::new("systemd-analyze").args(["syscall-filter", name]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let members = text.lines().skip(1).map(str::trim).filter(|it| !it.is_empty());
    members.filter(|it| !it.starts_with('#')).flat_map(set).collect()
}

#[test]
fn a_run_asks_for_nothing_that_the_unit_forbids() {
    if !are_there(&["systemd-analyze", "strace"]) {
        return;
    }
    let text = unit("finetuned.service");
    let mut allowed = BTreeSet::new();
    for line in values(&text, "SystemCallFilter") {
        let (forbids, names) = line.strip_prefix('~').map_or((false, line), |it| (true, it));
        let calls = names.split_whitespace().flat_map(set);
        if forbids {
            let forbidden: BTreeSet<String> = calls.collect();
            allowed.retain(|it| !forbidden.contains(it));
        } else {
            allowed.extend(calls);
        }
    }
    assert!(allowed.contains("read") && !allowed.contains("mount"), "{allowed:?}");
    let sandbox = Sandbox::new(QUICK);
    let (drop, recipe) = sandbox.drop_and_recipe(60, QUICK);
    let trace = sandbox.home().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-c", "-U", "name", "-o"]).arg(&trace).arg(binary("finetuned"));
    command.arg("--home").arg(sandbox.home()).arg("run").arg(drop).arg("--recipe").arg(recipe);
    let output = command.output().unwrap();
    if !output.status.success() && !words(&output).contains("proven") {
        return skipped(&format!("strace may not trace here: {}", words(&output)));
    }
    let called = fs::read_to_string(&trace).unwrap();
    let called: Vec<&str> = called
        .lines()
        .map(str::trim)
        .filter(|it| it.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .filter(|it| !["", "syscall", "total"].contains(it))
        .collect();
    assert!(called.contains(&"openat"), "{called:?}");
    let forbidden: Vec<&&str> = called.iter().filter(|it| !allowed.contains(**it)).collect();
    assert!(forbidden.is_empty(), "{forbidden:?} are asked for");
}
