//! A run folder with a data set and a recipe, and workers started on it one after the other: the
//! contract of spec, exit status and files, without a supervisor.

use finetuned_job::event::{Event, Line};
use finetuned_job::outcome::{Done, Failed};
use finetuned_job::run_folder;
use finetuned_job::spec::{
    Action, Device, FeatureCache, PluginRules, RecipeText, SPEC_VERSION, Sampling,
    Sandbox as Boundary, Spec,
};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Nothing in these tests takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Run {
    home: tempfile::TempDir,
    drop: PathBuf,
    recipe: String,
    attempt: u32,
    /// One by default: workers of many tests run at once, and the model is tiny.
    threads: u32,
    memory_bytes: Option<u64>,
    plugins: Option<PluginRules>,
    features: Option<FeatureCache>,
    sandbox: Boundary,
    env: Vec<(&'static str, PathBuf)>,
}

/// The folder of the built binaries: the tests themselves lie below it.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let path = test.ancestors().nth(2).expect("target/PROFILE/deps").join(name);
    assert!(path.exists(), "{} is missing: build first (`make test` does)", path.display());
    path
}

/// Asks a finished run, greedily where it goes on with texts.
pub fn predict(inputs: Vec<String>, csv: Option<PathBuf>) -> Action {
    Action::Predict { inputs, csv, sampling: Sampling::default(), aloud: false }
}

pub fn tiny_bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tiny-bert")
}

pub fn tiny_llama() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tiny-llama")
}

/// This recipe, for the tiny BERT.
pub fn on_tiny_bert(recipe: &str) -> String {
    format!("model.base = {:?}\n{recipe}", tiny_bert())
}

/// `text,label` rows that can be learned: the label says which kind of word stands in the text. A
/// pure function of its arguments.
pub fn sentences(rows: u32, seed: u64) -> String {
    const WORDS: [(&str, [&str; 8]); 2] = [
        ("positive", ["good", "great", "lovely", "fine", "happy", "love", "bright", "warm"]),
        ("negative", ["bad", "awful", "poor", "sad", "angry", "hate", "dark", "cold"]),
    ];
    const SUBJECTS: [&str; 8] = ["movie", "film", "book", "day", "food", "place", "song", "game"];
    const ENDS: [&str; 4] = [
        "",
        " really",
        " but it was quite not so very long and we had two or three",
        " and i mean it",
    ];
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut pick = |n: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut text = String::from("text,label\n");
    for row in 0..rows {
        let (label, words) = WORDS[pick(2)];
        let (subject, word, end) = (SUBJECTS[pick(8)], words[pick(8)], ENDS[pick(4)]);
        text += &format!("the {subject} {row} was {word}{end},{label}\n");
    }
    text
}

/// What the attempts in a run folder have said so far.
pub fn events(run: &Path) -> Vec<Event> {
    let text = fs::read_to_string(run.join(run_folder::EVENTS)).unwrap_or_default();
    text.lines().filter_map(|it| serde_json::from_str::<Line>(it).ok()).map(|it| it.event).collect()
}

/// Those of a folder, without the folders in it.
pub fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

impl Run {
    /// A run over `data.csv` with this recipe, whose base model is the tiny BERT.
    pub fn new(recipe: &str, csv: &str) -> Run {
        Run::with_base(&tiny_bert(), recipe, csv)
    }

    pub fn with_base(base: &Path, recipe: &str, csv: &str) -> Run {
        Run::with_drop(base, recipe, "data.csv", |path| fs::write(path, csv).expect("data"))
    }

    /// `write` makes the drop of this name.
    pub fn with_drop(base: &Path, recipe: &str, name: &str, write: impl FnOnce(&Path)) -> Run {
        let home = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(home.path().join("run")).expect("run folder");
        let drop = home.path().join(name);
        write(&drop);
        let recipe = format!("model.base = {base:?}\n{recipe}");
        Run {
            home,
            drop,
            recipe,
            attempt: 0,
            threads: 1,
            memory_bytes: None,
            plugins: None,
            features: None,
            sandbox: Boundary::Auto,
            env: vec![],
        }
    }

    pub fn with_threads(self, threads: u32) -> Run {
        Run { threads, ..self }
    }

    pub fn with_memory(self, bytes: u64) -> Run {
        Run { memory_bytes: Some(bytes), ..self }
    }

    pub fn with_plugins(self, folder: &Path) -> Run {
        let rules = PluginRules { folder: folder.into(), pinned: BTreeMap::new(), call_s: 60 };
        Run { plugins: Some(rules), ..self }
    }

    pub fn with_features(self, folder: &Path) -> Run {
        Run { features: Some(FeatureCache { folder: folder.into(), bytes_max: 1 << 30 }), ..self }
    }

    /// Whether the worker closes itself in.
    pub fn with_boundary(self, sandbox: Boundary) -> Run {
        Run { sandbox, ..self }
    }

    pub fn with_env(mut self, name: &'static str, value: &Path) -> Run {
        self.env.push((name, value.to_path_buf()));
        self
    }

    pub fn folder(&self) -> PathBuf {
        self.home.path().join("run")
    }

    pub fn set_recipe(&mut self, recipe: &str) {
        self.recipe = on_tiny_bert(recipe);
    }

    pub fn start(&mut self, action: Action) -> Child {
        self.start_by(Command::new(binary("finetuned-worker")), action)
    }

    /// Every file that the worker opens is written into `trace`.
    pub fn finish_traced(&mut self, action: Action, trace: &Path) -> ExitStatus {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-y", "-e", "trace=open,openat,openat2", "-o"]).arg(trace);
        strace.arg(binary("finetuned-worker"));
        wait(&mut self.start_by(strace, action))
    }

    /// `worker`: whatever starts it, without the spec.
    fn start_by(&mut self, mut worker: Command, action: Action) -> Child {
        self.attempt += 1;
        let spec = Spec {
            version: SPEC_VERSION,
            job: 1,
            attempt: self.attempt,
            action,
            drop: Some(self.drop.clone()),
            run: self.folder(),
            recipe: Some(RecipeText {
                file: self.home.path().join("recipe.toml"),
                text: self.recipe.clone(),
            }),
            bases: vec!["hf:*".into()],
            supervisor: None,
            threads: self.threads,
            memory_bytes: self.memory_bytes,
            device: Device::Cpu,
            plugins: self.plugins.clone(),
            features: self.features.clone(),
            sandbox: self.sandbox,
        };
        let path = self.folder().join(run_folder::SPEC);
        fs::write(&path, serde_json::to_vec(&spec).expect("a spec is JSON")).expect("spec");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder().join(run_folder::LOG))
            .expect("log");
        let quiet = std::process::Stdio::null();
        // As the supervisor does: threads that wait must not take the cores from other workers.
        worker.env("OMP_WAIT_POLICY", "passive").envs(self.env.iter().cloned());
        worker.arg(&path).stdout(quiet).stderr(log).spawn().expect("the worker starts")
    }

    pub fn finish(&mut self, action: Action) -> ExitStatus {
        let mut child = self.start(action);
        wait(&mut child)
    }

    /// Trains and proves without disturbance.
    pub fn complete(&mut self) -> Done {
        for action in [Action::Train, Action::Prove] {
            let status = self.finish(action);
            assert!(status.success(), "{status}\n{}", self.log());
        }
        self.json(run_folder::DONE)
    }

    pub fn failed(&mut self, action: Action) -> Failed {
        let status = self.finish(action);
        assert_eq!(status.code(), Some(finetuned_job::spec::exit::FAILED), "{}", self.log());
        self.json(run_folder::FAILED)
    }

    pub fn json<T: DeserializeOwned>(&self, name: &str) -> T {
        let text = fs::read_to_string(self.folder().join(name))
            .unwrap_or_else(|err| panic!("{name}: {err}\n{}", self.log()));
        serde_json::from_str(&text).unwrap_or_else(|err| panic!("{name}: {err}"))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join(run_folder::LOG)).unwrap_or_default()
    }

    pub fn events(&self) -> Vec<Event> {
        events(&self.folder())
    }

    pub fn weights(&self) -> Vec<u8> {
        fs::read(self.folder().join(run_folder::MODEL).join("model.safetensors"))
            .expect("a finished model")
    }

    /// Waits until the events of the newest attempt fulfil a condition, or the worker has ended.
    pub fn wait_for(&self, child: &mut Child, condition: impl Fn(&Event) -> bool) {
        let before = self.events().len();
        let start = Instant::now();
        while child.try_wait().expect("a child").is_none()
            && !self.events().iter().skip(before).any(&condition)
        {
            assert!(
                start.elapsed() < PATIENCE,
                "nothing happens: {:?}\n{}",
                self.events().last(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "the worker does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).expect("the child is there");
}
