//! Stories of plugins: what is loaded, what is refused, and what a bad one can do to a worker. The
//! bad ones are cut from one file of plain C, tests/bad_plugins/plugin.c, at the compiler's command
//! line.

use crate::attempt::binary;
use crate::plugin_jobs::samples;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Cuts a plugin from the corpus' C file.
#[track_caller]
pub fn compile(out: &Path, flags: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bad_plugins/plugin.c");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-w", "-o"])
        .arg(out)
        .args(flags)
        .arg(source)
        .output()
        .expect("cc starts");
    assert!(compiled.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&compiled.stderr));
}

/// What `finetuned plugin new` writes for this kind, built as on a machine without libtorch: the
/// library. Names are of one test each, since all are built in one folder.
#[track_caller]
pub fn build_new(place: &Path, name: &str, kind: &str) -> PathBuf {
    let target =
        binary("finetuned").ancestors().nth(2).expect("target/PROFILE").join("new_plugins");
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk");
    let mut new = Command::new(binary("finetuned"));
    new.arg("--home")
        .arg(place)
        .args(["plugin", "new", name, "--kind", kind, "--sdk"])
        .arg(sdk)
        .arg("--path")
        .arg(place);
    let made = new.output().expect("finetuned starts");
    assert!(made.status.success(), "{made:?}");
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or("cargo".into()));
    cargo
        .env_remove("LIBTORCH")
        .args(["build", "--release", "--offline", "--quiet", "--target-dir"])
        .arg(&target);
    let built = cargo.current_dir(place.join(name)).output().expect("cargo starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    target.join(format!("release/lib{}.so", name.replace('-', "_")))
}

/// A home with a plugin folder, without a daemon.
struct Workshop {
    home: tempfile::TempDir,
}

impl Workshop {
    fn new() -> Workshop {
        let it = Workshop { home: tempfile::tempdir().expect("a temporary folder") };
        fs::create_dir(it.folder()).expect("plugins");
        it
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("plugins")
    }

    fn configure(&self, text: &str) {
        fs::write(self.home.path().join("config.toml"), text).expect("config.toml");
    }

    /// Compiles the corpus' C file into the plugin folder.
    fn make(&self, file: &str, flags: &[&str]) -> PathBuf {
        let out = self.folder().join(file);
        compile(&out, flags);
        out
    }

    fn write(&self, file: &str, bytes: &[u8]) -> PathBuf {
        let out = self.folder().join(file);
        fs::write(&out, bytes).expect("a plugin's file");
        out
    }

    fn finetuned(&self, args: &[&str]) -> Output {
        Command::new(binary("finetuned"))
            .arg("--home")
            .arg(self.home.path())
            .args(args)
            .output()
            .expect("finetuned starts")
    }

    /// Status, and all that `plugin check` said about a file.
    fn check(&self, file: &Path) -> (Option<i32>, Value) {
        let output = self.finetuned(&["plugin", "check", file.to_str().expect("UTF-8"), "--json"]);
        let checked = serde_json::from_slice(&output.stdout);
        (output.status.code(), checked.unwrap_or_else(|err| panic!("{err}: {output:?}")))
    }

    /// Everything that `plugin check` found fault with, the end of the worker included.
    #[track_caller]
    fn faults(&self, flags: &[&str]) -> Vec<String> {
        let file = self.make("case.so", flags);
        let (status, checked) = self.check(&file);
        let failed = checked["tried"]
            .as_array()
            .expect("tried")
            .iter()
            .filter(|it| it["verdict"] == "failed");
        let mut faults: Vec<String> =
            failed.map(|it| it["found"].as_str().expect("found").to_string()).collect();
        faults.extend(checked["end"].as_str().map(String::from));
        assert_eq!(status, Some(if faults.is_empty() { 0 } else { 1 }), "{checked:#}");
        faults
    }

    fn list(&self) -> Vec<Value> {
        serde_json::from_str(
            &String::from_utf8(self.finetuned(&["plugin", "list", "--json"]).stdout)
                .expect("UTF-8"),
        )
        .expect("JSON")
    }

    /// Why the only plugin is refused.
    #[track_caller]
    fn reason(&self) -> String {
        let list = self.list();
        let [one] = &list[..] else { panic!("{list:?}") };
        assert_eq!(one["state"], "refused", "{one}");
        one["reason"].as_str().expect("a reason").to_string()
    }
}

#[test]
fn a_sound_plugin_in_c_passes_every_probe() {
    let workshop = Workshop::new();
    let head = [
        "parameters",
        "shapes",
        "determinism",
        "gradients",
        "inputs",
        "save and load",
        "memory",
        "cost",
    ];
    let loss = ["shapes", "determinism", "gradients", "large logits", "inputs", "memory"];
    for (flags, claimed, subjects, probes) in [
        (&["-DKIND=1"][..], "one label", &["head bad"][..], &head[..]),
        (&["-DKIND=2"], "one label", &["loss bad"], &loss),
        (
            &["-DKIND=3"],
            "one label",
            &["metric bad"],
            &["score", "determinism", "merge", "empty", "memory", "cost"],
        ),
        (
            &["-DKIND=1", "-DPROBLEMS=6"],
            "several labels, numbers",
            &["head bad, several labels", "head bad, numbers"],
            &head,
        ),
        (
            &["-DKIND=2", "-DPROBLEMS=5"],
            "one label, numbers",
            &["loss bad, one label", "loss bad, numbers"],
            &loss,
        ),
    ] {
        let (status, checked) = workshop.check(&workshop.make("good.so", flags));
        assert_eq!((status, &checked["sound"]), (Some(0), &Value::Bool(true)), "{checked:#}");
        println!("{checked:#}");
        let tried = checked["tried"].as_array().expect("tried");
        assert!(
            tried.iter().any(|it| it["probe"] == "problems" && it["found"] == claimed),
            "{checked:#}"
        );
        let of_each =
            subjects.iter().flat_map(|subject| probes.iter().map(|probe| (*subject, *probe)));
        for (subject, probe) in
            of_each.chain(["loading", "threads", "stdout"].map(|it| ("plugin bad", it)))
        {
            let found = tried.iter().find(|it| it["subject"] == subject && it["probe"] == probe);
            assert!(
                found.is_some_and(|it| it["verdict"] == "passed"),
                "{subject}, {probe}: {checked:#}"
            );
        }
    }
}

#[test]
fn the_samples_pass_every_probe_for_all_that_they_claim() {
    let workshop = Workshop::new();
    let claims = [
        ("arcface", "one label"),
        ("attention-pool", "one label, several labels, numbers"),
        ("calibration", "one label, several labels"),
        ("focal", "one label, several labels"),
        ("kappa", "one label"),
        ("supcon", "one label"),
    ];
    let folder = samples(&claims.map(|it| it.0));
    for (name, claimed) in claims {
        let (status, checked) = workshop.check(&folder.path().join(format!("{name}.so")));
        assert_eq!((status, &checked["sound"]), (Some(0), &Value::Bool(true)), "{checked:#}");
        let found =
            checked["tried"].as_array().expect("tried").iter().find(|it| it["probe"] == "problems");
        assert!(found.is_some_and(|it| it["found"] == claimed), "{checked:#}");
    }
}

#[test]
fn what_a_bad_plugin_does_ends_in_one_precise_sentence() {
    let metric = "the metric bad of the plugin bad";
    let head = "the head bad of the plugin bad";
    let cases: &[(&[&str], &str)] = &[
        (&["-DNO_ENTRY"], "has no symbol finetuned_plugin_entry"),
        (
            &["-DENTRY=return say(error, 2, \"no licence\");"],
            "the plugin bad failed in its entry: no licence",
        ),
        (&["-DENTRY=*out = 0; return 0;"], "has an unusable table: the entry gave none"),
        (&["-DTABLE_ABI=7"], "has an unusable table: ABI 7 with 24 bytes, but ABI 1 has 24"),
        (&["-DTABLE_SIZE=8"], "has an unusable table: ABI 1 with 8 bytes, but ABI 1 has 24"),
        (
            &["-DEXPORT_NAME=\"other\""],
            "where the descriptor has the metric bad, it has another thing or none",
        ),
        (&["-DMERGE_FUNCTION=0"], "metric bad: the function merge is missing"),
        (&["-DFUNCTIONS_SIZE=40"], "metric bad: its functions have 40 bytes, ABI 1 has 48"),
        (&["-DPROBLEMS=8"], "it is made for nothing that this finetuned knows"),
        (
            &["-DGLOBAL=void missing_symbol(void);", "-DUPDATE=missing_symbol();"],
            "can't be opened: undefined symbol: missing_symbol",
        ),
        (
            &["-DGLOBAL=__attribute__((constructor)) static void at_once(void) { abort(); }"],
            "the worker died by SIGABRT in the plugin bad, while it was opened",
        ),
        (
            &["-DCREATE=return say(error, 1, \"no such key: colour\");"],
            &format!("{metric} can't go on in create: no such key: colour"),
        ),
        (&["-DCREATE=*it = 0; return 0;"], &format!("{metric} gave no instance in create")),
        (
            &["-DUPDATE=return say(error, 3, \"index out of bounds, src/lib.rs:12\");"],
            &format!("{metric} panicked in update: index out of bounds, src/lib.rs:12"),
        ),
        (&["-DUPDATE=return 2;"], &format!("{metric} failed in update: it does not say why")),
        (
            &["-DUPDATE=return 99;"],
            &format!("{metric} gave an answer that the ABI does not know in update: 99"),
        ),
        (&["-DUPDATE=abort();"], &format!("the worker died by SIGABRT in {metric}, in update")),
        (
            &["-DUPDATE=*(volatile int *)0 = 1;"],
            &format!("the worker died by SIGSEGV in {metric}, in update"),
        ),
        (
            &["-DUPDATE=exit(0);"],
            &format!("the process was ended with exit status 0 in {metric}, in update"),
        ),
        (
            &["-DCOMPUTE=_exit(3);"],
            &format!("the process was ended with exit status 3 in {metric}, in compute"),
        ),
        (&["-DDESTROY=abort();"], &format!("the worker died by SIGABRT in {metric}, in destroy")),
        (
            &["-DCOMPUTE=*score = 0.0 / 0.0; return 0;"],
            &format!("{metric} gave the score NaN in compute"),
        ),
        (
            &["-DCOMPUTE=*score = 1e300 * 1e300; return 0;"],
            &format!("{metric} gave the score inf in compute"),
        ),
        (&["-DCOMPUTE=static double n; *score = n++; return 0;"], "the same examples score"),
        (&["-DMERGE=return 0;"], "examples merged score"),
        (
            &["-DUPDATE=char *volatile leak = malloc(4096); memset(leak, 1, 4096);"],
            "memory grew by",
        ),
        (
            &["-DUPDATE=puts(\"hello\"); fflush(stdout);"],
            "it prints on stdout, which belongs to the worker: \"hello\\nhello",
        ),
        (
            &["-DENTRY=start_a_thread();"],
            "1 of its threads still run after every instance was ended",
        ),
        (
            &["-DKIND=1", "-DFORWARD=*logits = at_shallow_clone(in->features); return 0;"],
            &format!("{head} gave a tensor of shape [5, 8] instead of [5, 3] in forward"),
        ),
        (
            &["-DKIND=1", "-DFORWARD=*logits = at_new_tensor(); return 0;"],
            &format!("{head} gave an undefined tensor in forward"),
        ),
        (
            &["-DKIND=1", "-DFORWARD=*logits = 0; return 0;"],
            &format!("{head} gave no tensor in forward"),
        ),
        (
            &[
                "-DKIND=1",
                "-DFORWARD=tensor *y; atg_matmul(&y, in->features, it->weight); atg__cast_double(logits, y, 0); return 0;",
            ],
            &format!("{head} gave a tensor of Double instead of Float (fp32) in forward"),
        ),
        (
            &[
                "-DKIND=1",
                "-DFORWARD=tensor *y; atg_matmul(&y, in->features, it->weight); atg_sqrt(logits, y); return 0;",
            ],
            &format!("{head} gave {{n}} of 15 numbers that are NaN or infinite in forward"),
        ),
        (
            &["-DKIND=1", "-DPARAMETERS=out->put(out->context, (bytes){ 0, 0 }, it->weight, 1);"],
            "a name that is not made of letters",
        ),
        (
            &[
                "-DKIND=1",
                "-DPARAMETERS=out->put(out->context, (bytes){ (const uint8_t *)\"weight\", 6 }, it->weight, 1);",
            ],
            "the parameter `weight`: the name of another one",
        ),
        (
            &["-DKIND=1", "-DPARAMETERS=return 0;"],
            "it remembers something that it does not name as a parameter",
        ),
        (
            &["-DKIND=2", "-DFORWARD=*losses = at_shallow_clone(in->logits); return 0;"],
            "the loss bad of the plugin bad gave a tensor of shape [6, 3] instead of [6] in forward",
        ),
    ];
    let workshop = Workshop::new();
    for (flags, says) in cases {
        let faults = workshop.faults(flags);
        let (before, after) = says.split_once("{n}").unwrap_or((says, ""));
        assert!(
            faults.iter().any(|it| it.contains(before) && it.contains(after)),
            "{flags:?}: {faults:#?}, not {says}"
        );
        println!("{flags:?}\n    {}", faults.join("\n    "));
    }
}

/// The two tiers; each template is built by the tests of the SDK.
#[test]
fn a_new_plugin_builds_as_it_is_and_passes_every_probe() {
    let workshop = Workshop::new();
    for (name, kind, probed) in
        [("top-three", "metric", "metric top-three"), ("my_head", "head", "head my_head, numbers")]
    {
        let (status, checked) = workshop.check(&build_new(workshop.home.path(), name, kind));
        assert_eq!(
            (status, &checked["name"], &checked["sound"]),
            (Some(0), &Value::from(name), &Value::Bool(true)),
            "{checked:#}"
        );
        assert!(
            checked["tried"].as_array().expect("tried").iter().any(|it| it["subject"] == probed),
            "{checked:#}"
        );
    }
}

#[test]
fn a_panic_in_any_function_is_reported_with_its_place() {
    let workshop = Workshop::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bad_plugins/panics");
    let target =
        binary("finetuned").ancestors().nth(2).expect("target/PROFILE").join("bad_plugins");
    let build = |target: &Path, more: &[&str]| {
        let mut cargo = Command::new(std::env::var("CARGO").unwrap_or("cargo".into()));
        cargo
            .args(["build", "--release", "--offline", "--quiet", "--target-dir"])
            .arg(target)
            .args(more)
            .current_dir(&source);
        let built = cargo.output().expect("cargo starts");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        workshop.write(
            "panics.so",
            &fs::read(target.join("release/libpanics.so")).expect("the library"),
        )
    };
    let (status, checked) = workshop.check(&build(&target, &[]));
    assert_eq!(
        (status, &checked["end"]),
        (Some(1), &Value::Null),
        "the worker lives on: {checked:#}"
    );
    let faults: Vec<&Value> = checked["tried"]
        .as_array()
        .expect("tried")
        .iter()
        .filter(|it| it["verdict"] == "failed")
        .collect();
    for (item, function, number) in [
        ("metric new", "create", 0),
        ("metric update", "update", 1),
        ("metric merge", "merge", 2),
        ("metric compute", "compute", 3),
        ("hook new", "create", 0),
        ("hook progress", "progress", 1),
        ("hook state", "save", 2),
        ("hook resume", "load", 3),
        ("reader new", "create", 0),
        ("reader recognise", "recognise", 1),
        ("reader read", "read", 2),
        ("augmentation new", "create", 0),
        ("augmentation apply", "apply", 1),
        ("reward new", "create", 0),
        ("reward reward", "reward", 1),
    ] {
        let begins =
            format!("the {item} of the plugin panics panicked in {function} at src/lib.rs:");
        let ends = format!(": function {number} of a bad plugin");
        let is_placed = |it: &&Value| {
            it["subject"] == item
                && it["found"]
                    .as_str()
                    .is_some_and(|it| it.starts_with(&begins) && it.ends_with(&ends))
        };
        assert!(faults.iter().any(is_placed), "{item}: {faults:#?}");
    }
    build(&target.join("abort"), &["--config", "profile.release.panic = 'abort'"]);
    assert!(
        workshop.reason().starts_with("it was built with panic = \"abort\""),
        "{}",
        workshop.reason()
    );
}

#[test]
fn a_plugin_that_loops_for_ever_is_ended_and_named() {
    let faults = Workshop::new().faults(&["-DMERGE=for (;;);"]);
    assert_eq!(
        faults,
        [
            "no end after 10 s, so the worker was killed, in the metric bad of the plugin bad, in merge"
        ]
    );
}

#[test]
fn a_file_that_is_no_plugin_of_this_release_is_refused_with_its_reason() {
    let workshop = Workshop::new();
    let good = fs::read(workshop.make("case.so", &[])).unwrap();
    let other_machine = |machine: u8| {
        let mut bytes = good.clone();
        bytes[18..20].copy_from_slice(&[machine, 0]);
        bytes
    };
    let cut = |at: usize| good[..at].to_vec();
    let here = std::env::consts::ARCH;
    let there = if here == "aarch64" { (62, "x86_64") } else { (183, "aarch64") };
    for (bytes, says) in [
        (
            b"#!/bin/sh\n".to_vec(),
            "it is no ELF file, so no shared library of this system".to_string(),
        ),
        (vec![], "it is no ELF file, so no shared library of this system".into()),
        (cut(40), "it is cut off: the ELF header lies beyond its end".into()),
        (cut(4000), "it is cut off:".into()),
        (cut(good.len() - 100), "it is cut off: the table of sections lies beyond its end".into()),
        (other_machine(there.0), format!("it was built for {}, this is {here}", there.1)),
        (other_machine(3), format!("it was built for x86, this is {here}")),
    ] {
        let file = workshop.write("case.so", &bytes);
        let reason = workshop.reason();
        assert!(reason.starts_with(&says), "{reason}, not {says}");
        let (status, checked) = workshop.check(&file);
        assert_eq!(
            (status, checked["end"].as_str()),
            (Some(1), Some(&*format!("{} is refused: {reason}", file.display())))
        );
    }
    for (flags, says) in [
        (
            &["-DNO_DESCRIPTOR"][..],
            "it is a shared library, but no finetuned plugin: it has no section `.finetuned`",
        ),
        (
            &["-DMAGIC=\"finetuned-plugiN\""],
            "its descriptor is damaged: it does not begin with `finetuned-plugin`",
        ),
        (
            &["-DABI=0"],
            "it was made for plugin ABI 0, this finetuned has 1: build it again with the SDK of this release",
        ),
        (
            &["-DABI=2"],
            "it was made for plugin ABI 2, this finetuned has 1: update finetuned, or build it with the SDK of this release",
        ),
        (
            &["-DKIND=1", "-DTCH=\"0.25.0\""],
            "it was made with tch 0.25.0, this finetuned has 0.26.0: build it again with the SDK of this release",
        ),
        (
            &["-DKIND=1", "-DLIBTORCH=\"2.12.1\""],
            "it was made with libtorch 2.12.1, this finetuned has 2.13.0: build it again with the SDK of this release",
        ),
        (
            &["-DFLAGS=1"],
            "it was built with panic = \"abort\", so that a panic would end the worker: take that line out of its Cargo.toml",
        ),
        (
            &["-DNAME=\"Bad Name\""],
            "its descriptor is damaged: its name is `Bad Name`, but must be of small letters, digits, - and _",
        ),
    ] {
        workshop.make("case.so", flags);
        assert_eq!(workshop.reason(), says);
    }
}

#[test]
fn only_what_nobody_else_could_have_written_is_loaded() {
    let workshop = Workshop::new();
    let file = workshop.make("focal.so", &["-DNAME=\"focal\""]);
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&file, 0o666);
    assert_eq!(
        workshop.reason(),
        format!("{} can be written by others (mode 666): `chmod go-w` it", file.display())
    );
    mode(&file, 0o755);
    mode(&workshop.folder(), 0o775);
    let refused = workshop.finetuned(&["plugin", "list"]);
    assert_eq!(refused.status.code(), Some(1));
    let says = format!(
        "finetuned: {} can be written by others (mode 775): `chmod go-w` it\n",
        workshop.folder().display()
    );
    assert_eq!(String::from_utf8_lossy(&refused.stderr), says);
    mode(&workshop.folder(), 0o755);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
        assert_eq!(
            workshop.reason(),
            format!(
                "{} belongs to user 12345: it must belong to root or to the user that runs finetuned",
                file.display()
            )
        );
        std::os::unix::fs::chown(&file, Some(0), None).unwrap();
    }
    let list = workshop.list();
    assert_eq!(
        (&list[0]["state"], &list[0]["name"], &list[0]["version"]),
        (&"ok".into(), &"focal".into(), &"1.2.3".into())
    );
    assert_eq!(list[0]["exports"], serde_json::json!([{ "kind": "metric", "name": "focal" }]));

    // The same hash as pinned, and another one.
    let hash = list[0]["hash"].as_str().unwrap().to_string();
    workshop.configure(&format!("[plugins.pin]\nfocal = \"{hash}\"\n"));
    assert_eq!(workshop.list()[0]["state"], "ok");
    let other = "0".repeat(64);
    workshop.configure(&format!("[plugins.pin]\nfocal = \"{other}\"\n"));
    assert_eq!(
        workshop.reason(),
        format!("its hash is {hash}, but the configuration pins `focal` to {other}")
    );
    workshop.configure("");

    // A second one of the name, and a link out of the folder.
    workshop.make("later.so", &["-DNAME=\"focal\""]);
    assert_eq!(
        workshop.list()[1]["reason"],
        format!("the name `focal` is taken by {}", file.display())
    );
    fs::rename(workshop.folder().join("later.so"), workshop.home.path().join("outside.so"))
        .unwrap();
    symlink(workshop.home.path().join("outside.so"), workshop.folder().join("later.so")).unwrap();
    assert_eq!(
        workshop.list()[1]["reason"],
        "it is a link: a plugin must lie in the plugin folder itself"
    );
    assert_eq!(workshop.list()[0]["state"], "ok", "the one beside it is as good as before");
}

#[test]
fn listing_opens_nothing() {
    let workshop = Workshop::new();
    let witness = workshop.home.path().join("opened");
    let flag = format!(
        "-DGLOBAL=__attribute__((constructor)) static void at_once(void) {{ fclose(fopen(\"{}\", \"w\")); }}",
        witness.display()
    );
    let file = workshop.make("case.so", &[&flag]);
    assert_eq!(workshop.list()[0]["state"], "ok");
    assert!(!witness.exists(), "the list reads bytes");
    assert_eq!(workshop.check(&file).0, Some(0));
    assert!(witness.exists(), "the check opens it, in a process of its own");
}
