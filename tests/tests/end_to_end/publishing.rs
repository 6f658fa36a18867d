//! Kills between the last steps of a run: whatever was written by then, the next attempt ends with
//! the same model, and nothing unfinished stays.

use crate::attempt::{Run, sentences};
use finetuned_job::outcome::Done;
use finetuned_job::run_folder::{
    DONE, FAILED, MODEL, PREDICTIONS, REPORT, TENSORBOARD, TRAINED, UNPROVEN,
};
use finetuned_job::spec::Action;
use rustix::fs::inotify;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

const RECIPE: &str = "[train]\nepochs = 2\nlr = 3e-3\n[save]\nevery_steps = 4\n";

/// What a finished run shows.
#[derive(Debug, PartialEq)]
struct Published {
    done: Done,
    model: BTreeMap<String, blake3::Hash>,
    names: BTreeSet<String>,
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap())
}

fn published(run: &Run) -> Published {
    let model = run.folder().join(MODEL);
    Published {
        // Only the attempts may differ: they are counted.
        done: Done { attempts: 0, ..run.json(DONE) },
        model: names(&model)
            .map(|it| (it.clone(), blake3::hash(&fs::read(model.join(it)).unwrap())))
            .collect(),
        names: names(&run.folder()).collect(),
    }
}

fn finished() -> Run {
    let mut run = Run::new(RECIPE, &sentences(120, 9));
    run.complete();
    run
}

type TakeBack = fn(&Path);

/// Steps of a proof, the last one first, taken back so that the folder is as a kill before that
/// step leaves it.
const TAKEN_BACK: &[(&str, TakeBack)] = &[
    ("done.json written beside", |run| {
        fs::rename(run.join(DONE), run.join(format!(".{DONE}.partial"))).unwrap()
    }),
    ("done.json half written", |run| {
        fs::write(run.join(format!(".{DONE}.partial")), "{\"version\":").unwrap()
    }),
    ("the model's last name", |run| fs::rename(run.join(MODEL), run.join(UNPROVEN)).unwrap()),
    ("the card", |run| {
        fs::rename(
            run.join(UNPROVEN).join("README.md"),
            run.join(UNPROVEN).join(".README.md.partial"),
        )
        .unwrap()
    }),
    ("the event files", |run| {
        fs::rename(run.join(TENSORBOARD), run.join(format!(".{TENSORBOARD}.partial"))).unwrap()
    }),
    ("the report", |run| {
        fs::write(
            run.join(format!(".{REPORT}.partial")),
            fs::read(run.join(REPORT)).unwrap().split_off(99),
        )
        .unwrap()
    }),
    ("the report's name", |run| fs::remove_file(run.join(REPORT)).unwrap()),
    ("the predictions", |run| {
        fs::rename(run.join(PREDICTIONS), run.join(format!(".{PREDICTIONS}.partial"))).unwrap()
    }),
];

#[test]
fn a_proof_killed_before_any_of_its_steps_is_made_again_alike() {
    let mut run = finished();
    let undisturbed = published(&run);
    for n in 1..=TAKEN_BACK.len() {
        TAKEN_BACK[..n].iter().for_each(|(_, take_back)| take_back(&run.folder()));
        assert!(
            run.finish(Action::Prove).success(),
            "before {}: {}",
            TAKEN_BACK[n - 1].0,
            run.log()
        );
        assert_eq!(published(&run), undisturbed, "before {}", TAKEN_BACK[n - 1].0);
    }
}

/// The other publication: `model.unproven/` is there, `trained.json` is not.
#[test]
fn a_training_killed_before_it_says_so_ends_alike() {
    let mut run = finished();
    let undisturbed = published(&run);
    let mut again = Run::new(RECIPE, &sentences(120, 9));
    assert!(again.finish(Action::Train).success(), "{}", again.log());
    let trained: serde_json::Value = again.json(TRAINED);
    fs::remove_file(again.folder().join(TRAINED)).unwrap();
    assert!(again.finish(Action::Train).success(), "{}", again.log());
    assert_eq!(again.json::<serde_json::Value>(TRAINED)["model_hash"], trained["model_hash"]);
    assert!(again.finish(Action::Prove).success(), "{}", again.log());
    let again = published(&again);
    assert_eq!(again.names, undisturbed.names);
    let weights = |it: &Published| it.model["model.safetensors"];
    assert_eq!(
        (weights(&again), &again.done.scores),
        (weights(&undisturbed), &undisturbed.done.scores)
    );
    assert!(run.finish(Action::Prove).success(), "a proof of what is proven changes nothing");
    assert_eq!(published(&run), undisturbed);
}

/// Hears which names appear in a folder by renaming.
struct Renames(OwnedFd);

impl Renames {
    fn of(folder: &Path) -> Renames {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&watch, folder, inotify::WatchFlags::MOVED_TO).unwrap();
        Renames(watch)
    }

    /// Until one of these has appeared.
    fn wait_for(self, wanted: &[&str]) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(self.0, &mut buffer);
        while !events
            .next()
            .unwrap()
            .file_name()
            .is_some_and(|it| wanted.iter().any(|wanted| it.to_bytes() == wanted.as_bytes()))
        {
        }
    }
}

#[test]
fn killed_just_after_the_models_last_rename() {
    /// The gap is some milliseconds wide; nearly every try hits it.
    const TRIES: u32 = 50;
    let mut run = finished();
    let undisturbed = published(&run);
    let folder = run.folder();
    let hit = (0..TRIES).any(|_| {
        fs::remove_file(folder.join(DONE)).unwrap();
        fs::rename(folder.join(MODEL), folder.join(UNPROVEN)).unwrap();
        let renames = Renames::of(&folder);
        let mut worker = run.start(Action::Prove);
        renames.wait_for(&[MODEL, FAILED]);
        worker.kill().unwrap();
        worker.wait().unwrap();
        assert!(folder.join(MODEL).exists(), "{}", run.log());
        !folder.join(DONE).exists()
    });
    assert!(hit, "never between the two in {TRIES} tries");
    assert!(run.finish(Action::Prove).success(), "{}", run.log());
    assert_eq!(published(&run), undisturbed);
}
