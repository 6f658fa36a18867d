//! Base models fetched from a small local hub, with everything that goes wrong between two
//! machines.

use finetuned_hub::{Environment, Patience, Resolved, list_in, pull_in, resolve_in};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_tests::hub_server::{COMMIT, Server};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const BASE: &str = "hf:ada/tiny";
const REPO: &str = "models--ada--tiny";

fn weights() -> Vec<u8> {
    (0..3_000_000u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn tiny() -> Server {
    Server::with(&[
        ("README.md", b"# tiny"),
        ("config.json", b"{}"),
        ("model.safetensors", &weights()),
        ("modeling_tiny.py", b"import os"),
        ("onnx/model.onnx", b"onnx"),
        ("pytorch_model.bin", b"pickle"),
        ("tokenizer.json", b"{\"version\":\"1.0\"}"),
    ])
}

/// A cache of its own, and the environment that leads to it.
struct Home {
    dir: tempfile::TempDir,
    env: Environment,
}

impl Home {
    fn of(server: &Server) -> Home {
        Home::at(&server.endpoint)
    }

    fn at(endpoint: &str) -> Home {
        let dir = tempfile::tempdir().unwrap();
        let env = Environment {
            home: None,
            cache: Some(dir.path().join("hub")),
            endpoint: endpoint.into(),
            token: None,
            offline: false,
            proxy: None,
            patience: Patience {
                tries: 3,
                first_wait: Duration::from_millis(5),
                silence: Duration::from_secs(5),
            },
        };
        Home { dir, env }
    }

    fn resolve(&self, base: &str) -> Result<Resolved, Failure> {
        resolve_in(&self.env, base, self.dir.path(), &mut |_, _, _| ())
    }

    fn repo(&self) -> PathBuf {
        self.dir.path().join("hub").join(REPO)
    }

    fn weights_in_cache(&self) -> Vec<u8> {
        fs::read(self.repo().join("snapshots").join(COMMIT).join("model.safetensors")).unwrap()
    }

    /// Names below the repository's `folder`, sorted.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.repo().join(folder)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|it| it.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[track_caller]
    fn refused(&self, base: &str, message: &str, cure: &str) -> Failure {
        let failure = self.resolve(base).unwrap_err();
        assert!(failure.message.contains(message), "message: {}", failure.message);
        assert!(failure.cure.as_ref().unwrap().contains(cure), "cure: {}", failure.cure.unwrap());
        failure
    }
}

#[test]
fn a_model_is_fetched_once_and_only_its_data() {
    let (server, mut reported) = (tiny(), Vec::new());
    let home = Home::of(&server);
    let resolved = resolve_in(&home.env, BASE, Path::new("/"), &mut |file, done, total| {
        reported.push((file.to_owned(), done, total))
    })
    .unwrap();
    assert_eq!((resolved.name.as_str(), resolved.revision.as_deref()), ("ada/tiny", Some(COMMIT)));
    assert_eq!(resolved.folder, home.repo().join("snapshots").join(COMMIT));
    assert_eq!(
        home.names(&format!("snapshots/{COMMIT}")),
        ["config.json", "model.safetensors", "tokenizer.json"]
    );
    assert_eq!(fs::read_to_string(home.repo().join("refs/main")).unwrap(), COMMIT);
    assert!(
        home.names("blobs").iter().all(|it| [40, 64].contains(&it.len())),
        "{:?}",
        home.names("blobs")
    );
    let link = fs::read_link(resolved.folder.join("model.safetensors")).unwrap();
    assert!(
        link.starts_with("../../blobs"),
        "a cache that is moved keeps its links: {}",
        link.display()
    );
    assert_eq!(home.weights_in_cache(), weights());
    let total = weights().len() as u64;
    assert_eq!(reported.last().unwrap(), &("model.safetensors".to_owned(), total, Some(total)));
    assert!(
        server
            .asked()
            .iter()
            .all(|it| !it.path.contains("pytorch_model") && !it.path.ends_with(".py"))
    );

    assert_eq!(home.resolve(BASE).unwrap(), resolved);
    assert_eq!(home.resolve(&format!("{BASE}@{COMMIT}")).unwrap(), resolved);
    assert_eq!(server.asked(), [], "what is in the cache needs no request");

    let listed = list_in(&home.env);
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].name.as_str(), listed[0].revision.as_str(), listed[0].usable),
        ("ada/tiny", COMMIT, true)
    );
    assert_eq!(
        (listed[0].refs.as_slice(), listed[0].bytes),
        (&["main".to_owned()][..], total + 2 + 17)
    );
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let server = tiny();
    server.set(|it| (it.cut_after, it.cuts) = (Some(1_000_000), 2));
    let home = Home::of(&server);
    home.resolve(BASE).unwrap();
    assert_eq!(home.weights_in_cache(), weights());
    assert_eq!(
        server.ranges(),
        [None, Some("bytes=1000000-".into()), Some("bytes=2000000-".into())]
    );
}

#[test]
fn a_later_process_continues_what_an_earlier_one_left() {
    let server = tiny();
    server.set(|it| (it.cut_after, it.cuts) = (Some(700_000), 1));
    let mut home = Home::of(&server);
    home.env.patience.tries = 1;
    let failure = home.resolve(BASE).unwrap_err();
    assert!(failure.message.contains("model.safetensors of hf:ada/tiny"), "{failure}");
    assert_eq!(home.names("refs"), [""; 0], "a reference names only what is whole");
    assert!(home.names("blobs").iter().any(|it| it.ends_with(".incomplete")));
    assert_eq!(server.ranges(), [None]);

    home.resolve(BASE).unwrap();
    assert_eq!(server.ranges(), [Some("bytes=700000-".into())]);
    assert_eq!(home.weights_in_cache(), weights());
    assert!(home.names("blobs").iter().all(|it| !it.ends_with(".incomplete")));
}

#[test]
fn a_server_without_ranges_starts_anew() {
    let server = tiny();
    server.set(|it| (it.cut_after, it.cuts, it.knows_no_ranges) = (Some(2_500_000), 1, true));
    let home = Home::of(&server);
    home.resolve(BASE).unwrap();
    assert_eq!(home.weights_in_cache(), weights());
}

#[test]
fn a_damaged_file_never_gets_its_name() {
    let server = tiny();
    server.set(|it| it.damaged = true);
    let home = Home::of(&server);
    let failure = home.refused(
        BASE,
        "model.safetensors of hf:ada/tiny arrived damaged",
        "copy the folder from a machine that has ada/tiny",
    );
    assert_eq!(failure.kind, FailureKind::Model);
    assert_eq!(home.names(&format!("snapshots/{COMMIT}")), ["config.json", "tokenizer.json"]);
    assert_eq!(home.names("blobs").len(), 2, "{:?}", home.names("blobs"));
    assert_eq!(home.names("refs"), [""; 0]);
    assert!(list_in(&home.env).iter().all(|it| !it.usable));

    server.set(|it| it.damaged = false);
    home.resolve(BASE).unwrap();
    assert_eq!(home.weights_in_cache(), weights());
}

#[test]
fn a_leftover_of_something_else_is_healed() {
    let server = tiny();
    let home = Home::of(&server);
    home.resolve(BASE).unwrap();
    let blob =
        fs::canonicalize(home.repo().join("snapshots").join(COMMIT).join("model.safetensors"))
            .unwrap();
    for leftover in [1_000, weights().len(), weights().len() + 1] {
        fs::remove_file(&blob).unwrap();
        fs::write(format!("{}.incomplete", blob.display()), vec![7; leftover]).unwrap();
        home.resolve(BASE).unwrap();
        assert_eq!(home.weights_in_cache(), weights(), "leftover of {leftover} bytes");
    }
}

#[test]
fn without_network_the_cure_is_named() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = Home::at(&format!("http://127.0.0.1:{port}"));
    home.refused(
        BASE,
        "can't be reached to fetch hf:ada/tiny",
        "copy the folder from a machine that has ada/tiny and name it by path",
    );
}

#[test]
fn offline_uses_the_cache_and_asks_nothing() {
    let server = tiny();
    let mut home = Home::of(&server);
    home.env.offline = true;
    home.refused(BASE, "HF_HUB_OFFLINE forbids", "unset HF_HUB_OFFLINE once, or copy the folder");
    home.env.offline = false;
    let fetched = home.resolve(BASE).unwrap();
    server.asked();
    home.env.offline = true;
    assert_eq!(home.resolve(BASE).unwrap(), fetched);
    assert_eq!(pull_in(&home.env, BASE, Path::new("/"), &mut |_, _, _| ()).unwrap(), fetched);
    assert_eq!(server.asked(), []);
}

#[test]
fn the_token_goes_to_the_hub_and_never_to_the_cdn() {
    let server = tiny();
    server.set(|it| it.gate = Some(("hf_secret", "GatedRepo")));
    let mut home = Home::of(&server);
    home.refused(BASE, "is gated", "/ada/tiny and set HF_TOKEN");
    server.asked();
    home.env.token = Some("hf_secret".into());
    home.resolve(BASE).unwrap();
    let asked = server.asked();
    assert!(asked.iter().any(|it| it.of_cdn));
    for it in &asked {
        assert_eq!(it.token.as_deref(), if it.of_cdn { None } else { Some("hf_secret") }, "{it:?}");
    }
}

#[test]
fn each_refusal_says_what_to_do() {
    let server = tiny();
    let mut home = Home::of(&server);
    home.refused("hf:ada/tyni", "knows no model hf:ada/tyni", "check the spelling");
    home.refused(
        "hf:ada/tiny@v9",
        "hf:ada/tiny has no revision `v9`",
        "name a branch, a tag or a commit",
    );
    server.set(|it| it.gate = Some(("hf_other", "")));
    home.refused(BASE, "refuses hf:ada/tiny (status 401)", "set HF_TOKEN");
    home.env.token = Some("hf_mine".into());
    home.refused(BASE, "refuses hf:ada/tiny (status 401)", "check that it is valid");
    server.set(|it| it.gate = Some(("hf_other", "RepoNotFound")));
    home.refused(BASE, "knows no model hf:ada/tiny", "check the spelling");
    home.env.token = Some("hf\nbroken".into());
    home.refused(BASE, "hf:ada/tiny", "");
}

#[test]
fn a_busy_hub_is_asked_again_but_not_for_ever() {
    let server = tiny();
    server.set(|it| it.busy = 2);
    let home = Home::of(&server);
    home.resolve(BASE).unwrap();
    let home = Home::of(&server);
    server.set(|it| it.busy = 1_000);
    home.refused(BASE, "status 503", "try again later");
    assert_eq!(1_000 - server.state.lock().unwrap().busy, home.env.patience.tries);
}

#[test]
fn silence_ends() {
    let server = tiny();
    server.set(|it| it.silent_after = Some(1_000));
    let mut home = Home::of(&server);
    home.env.patience =
        Patience { tries: 2, silence: Duration::from_millis(200), ..home.env.patience };
    let started = std::time::Instant::now();
    home.refused(
        BASE,
        "can't be reached to fetch model.safetensors of hf:ada/tiny",
        "check the network",
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn two_at_once_fetch_it_once() {
    let server = tiny();
    let home = Home::of(&server);
    let resolved: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| home.resolve(BASE).unwrap())).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert!(resolved.iter().all(|it| it == &resolved[0]));
    assert_eq!(server.ranges(), [None]);
    assert_eq!(home.weights_in_cache(), weights());
}

#[test]
fn shards_come_with_their_index() {
    let index = br#"{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}"#;
    let server = Server::with(&[
        ("config.json", b"{}"),
        ("model.safetensors.index.json", index),
        ("model-1.safetensors", b"one"),
        ("model-2.safetensors", b"two"),
    ]);
    let folder = Home::of(&server);
    let resolved = folder.resolve(BASE).unwrap();
    assert_eq!(fs::read(resolved.folder.join("model-2.safetensors")).unwrap(), b"two");
    server.set(|it| drop(it.files.remove("model-2.safetensors")));
    Home::of(&server).refused(BASE, "has no model-2.safetensors of hf:ada/tiny", "try again");
}

#[test]
fn a_pull_follows_the_branch_and_a_run_stays() {
    const NEXT: &str = "76543210fedcba9876543210fedcba9876543210";
    let server = tiny();
    let home = Home::of(&server);
    home.resolve(&format!("{BASE}@refs/pr/1")).unwrap();
    assert_eq!(fs::read_to_string(home.repo().join("refs/refs/pr/1")).unwrap(), COMMIT);
    home.resolve(BASE).unwrap();
    server.set(|it| {
        it.commit = NEXT.into();
        it.files.insert("config.json".into(), b"{\"new\":1}".to_vec());
    });
    assert_eq!(home.resolve(BASE).unwrap().revision.as_deref(), Some(COMMIT));
    server.asked();
    assert_eq!(
        pull_in(&home.env, BASE, Path::new("/"), &mut |_, _, _| ()).unwrap().revision.as_deref(),
        Some(NEXT)
    );
    assert_eq!(server.ranges(), [], "equal content is not fetched twice");
    assert_eq!(home.resolve(BASE).unwrap().revision.as_deref(), Some(NEXT));
    assert_eq!(
        list_in(&home.env).iter().map(|it| it.refs.clone()).collect::<Vec<_>>(),
        [vec!["refs/pr/1".to_owned()], vec!["main".to_owned()]]
    );
}

#[test]
fn what_another_program_left_without_a_tokenizer_is_completed() {
    let server = tiny();
    let mut home = Home::of(&server);
    let folder = home.resolve(BASE).unwrap().folder;
    let tokenizer = folder.join("tokenizer.json");
    fs::remove_file(&tokenizer).unwrap();
    home.env.offline = true;
    home.resolve(BASE).unwrap();
    assert!(!tokenizer.exists());
    home.env.offline = false;
    home.resolve(BASE).unwrap();
    assert!(tokenizer.exists());
}

/// What transformers' classes, and finetuned 0.1.0, have fetched.
#[test]
fn a_model_of_sentences_without_its_modules_is_completed() {
    let server = tiny();
    server.set(|it| {
        it.id = "sentence-transformers/tiny".into();
        for file in ["modules.json", "1_Pooling/config.json"] {
            it.files.insert(file.into(), b"[]".to_vec());
        }
    });
    let mut home = Home::of(&server);
    let resolve = |home: &Home| home.resolve("hf:sentence-transformers/tiny").unwrap().folder;
    let folder = resolve(&home);
    let files = [folder.join("modules.json"), folder.join("1_Pooling/config.json")];
    let there = || files.iter().filter(|it| it.exists()).count();
    assert_eq!(there(), 2);
    files.iter().for_each(|it| fs::remove_file(it).unwrap());
    home.env.offline = true;
    assert_eq!((resolve(&home), there()), (folder.clone(), 0));
    home.env.offline = false;
    assert_eq!((resolve(&home), there()), (folder.clone(), 2));
    server.asked();
    assert_eq!(resolve(&home), folder);
    assert_eq!(server.asked(), [], "now it is whole");
}

#[test]
fn a_pickle_is_refused_with_the_way_out() {
    let server = Server::with(&[("config.json", b"{}"), ("pytorch_model.bin", b"pickle")]);
    let home = Home::of(&server);
    home.refused(BASE, "can run code when it is read", "save_pretrained");
    assert!(server.asked().iter().all(|it| !it.path.contains("pytorch_model")));
    Home::of(&Server::with(&[("README.md", b"")])).refused(
        BASE,
        "no config.json",
        "transformers format",
    );
}

#[test]
fn a_full_disk_is_known_before_the_first_byte() {
    let server = tiny();
    server.set(|it| it.announced = Some(1 << 60));
    let home = Home::of(&server);
    let failure = home.refused(BASE, "MB are free for", "make room there");
    assert_eq!(failure.kind, FailureKind::Disk);
    assert_eq!(server.ranges(), []);
}

#[test]
fn answers_that_no_hub_gives_are_refused() {
    let server = tiny();
    let home = Home::of(&server);
    server.set(|it| it.etag = Some("../../../evil"));
    home.refused(BASE, "gives `../../../evil` as the hash", "HF_ENDPOINT");
    server.set(|it| (it.etag, it.redirects_for_ever) = (None, true));
    home.refused(&format!("{BASE}@refs/pr/1"), "redirects more than", "HF_ENDPOINT");
    server.set(|it| (it.redirects_for_ever, it.commit) = (false, "../..".into()));
    Home::of(&server).refused(BASE, "names the commit `../..`", "HF_ENDPOINT");
}

#[test]
fn a_folder_must_hold_a_model() {
    let home = Home::at("http://127.0.0.1:9");
    let folder = home.dir.path().join("mine");
    home.refused("mine", "there is no folder", "a base model is a folder");
    home.refused("ada/tiny", "there is no folder", "write hf:ada/tiny");
    fs::create_dir(&folder).unwrap();
    home.refused("mine", "no config.json", "config.json");
    fs::write(folder.join("config.json"), "{}").unwrap();
    home.refused("./mine", "no model.safetensors", "config.json");
    fs::write(folder.join("pytorch_model.bin"), "").unwrap();
    home.refused("mine", "can run code", "convert it once with Python");
    fs::write(folder.join("model.safetensors"), "").unwrap();
    let resolved = home.resolve("mine/").unwrap();
    assert_eq!((resolved.name.as_str(), resolved.revision), ("mine", None));
    assert_eq!(resolved.folder, folder.canonicalize().unwrap());
}
