//! Decides which run folder `finetuned run` works in, and refuses one that belongs to something
//! else.

use crate::home::Home;
use crate::observe::observe;
use crate::{lookup, ownership, run_facts, run_lock};
use anyhow::{Context, Result, bail};
use finetuned_job::run_folder;
use finetuned_job::spec::{RecipeText, Spec};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Unfinished runs of one drop in a home: more were not made by a person.
const RUNS_MAX: u32 = 10_000;

#[derive(Debug)]
pub(super) struct Out {
    pub drop: PathBuf,
    pub run: PathBuf,
    pub recipe: Option<RecipeText>,
    /// Counts on from what the folder has seen.
    pub attempt: u32,
}

impl Out {
    /// With `--out` that folder, new or of the same drop and recipe; else the first below the
    /// home's runs that is new, or unfinished and of the same.
    pub fn choose(
        home: &Home,
        drop: &Path,
        recipe: Option<RecipeText>,
        out: Option<&Path>,
    ) -> Result<Out> {
        let drop = lookup::drop_at(drop)?;
        if let Some(out) = out {
            fs::create_dir_all(out)
                .with_context(|| format!("making the run folder {}", out.display()))?;
            let run = fs::canonicalize(out)
                .with_context(|| format!("looking for the run folder {}", out.display()))?;
            let attempt = fits(&run, &drop, recipe.as_ref())?;
            return Ok(Out { drop, run, recipe, attempt });
        }
        home.create()?;
        let name = drop.file_name().map_or_else(|| "drop".into(), |it| it.to_string_lossy());
        // Without a number, so that no job of the queue has it.
        let stem = run_folder::name(0, &name).replacen("0000", "run", 1);
        for n in 1..RUNS_MAX {
            let run = home.runs().join(if n == 1 { stem.clone() } else { format!("{stem}-{n}") });
            if !run.exists() {
                fs::create_dir(&run)
                    .with_context(|| format!("making the run folder {}", run.display()))?;
            }
            if !run.join(run_folder::DONE).exists()
                && let Ok(attempt) = fits(&run, &drop, recipe.as_ref())
            {
                return Ok(Out { drop, run, recipe, attempt });
            }
        }
        bail!(
            "{} is full of unfinished runs of {}: give --out DIR",
            home.runs().display(),
            drop.display()
        );
    }

    /// Notes which state of the drop the work is about that begins now.
    pub fn begin(&self) -> Result<()> {
        let file = self.run.join(run_folder::DROP_STATE);
        fs::write(&file, self.state()?).with_context(|| format!("writing {}", file.display()))
    }

    /// # Errors
    /// What is proven here is about another state of the drop.
    pub fn is_about_this(&self) -> Result<()> {
        let before = match fs::read_to_string(self.run.join(run_folder::DROP_STATE)) {
            Ok(before) => before,
            // Of a job, or older.
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(err) => return Err(err).context("reading which state of the drop was learnt"),
        };
        if before != self.state()? {
            bail!(
                "{} was written after the model in {} began to learn from it: choose another --out to learn from it as it is now",
                self.drop.display(),
                self.run.display()
            );
        }
        Ok(())
    }

    fn state(&self) -> Result<String> {
        let seen = observe(&self.drop);
        let seen = seen.with_context(|| format!("reading {}", self.drop.display()))?;
        Ok(ownership::hex(seen.fingerprint))
    }
}

/// The number of the next attempt.
///
/// # Errors
/// The folder is in use, holds something else, or another drop or recipe was trained there.
fn fits(run: &Path, drop: &Path, recipe: Option<&RecipeText>) -> Result<u32> {
    if run_lock::is_worked_on(run) {
        bail!("another worker is at work in {}", run.display());
    }
    let file = run.join(run_folder::SPEC);
    if !file.exists() {
        let is_empty = fs::read_dir(run)
            .with_context(|| format!("reading {}", run.display()))?
            .flatten()
            .all(|it| it.file_name() == run_folder::DROP_STATE);
        if !is_empty {
            bail!("{} is neither empty nor a run: choose another --out", run.display());
        }
        return Ok(1);
    }
    let before: Spec = run_facts::json(&file)?;
    if before.drop.as_deref() != Some(drop) {
        let other = before.drop.unwrap_or_default();
        bail!("{} belongs to the drop {}: choose another --out", run.display(), other.display());
    }
    if before.recipe.as_ref().map(|it| &it.text) != recipe.map(|it| &it.text) {
        bail!(
            "{} was begun with another recipe: choose another --out, or take that recipe to continue",
            run.display()
        );
    }
    Ok(before.attempt + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignment::Assignment;
    use crate::config::Config;
    use finetuned_job::spec::Action;

    struct Story {
        root: tempfile::TempDir,
        home: Home,
    }

    impl Story {
        fn new() -> Story {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join("a.csv"), "text,label\n").unwrap();
            fs::write(root.path().join("b.csv"), "text,label\n").unwrap();
            let home = Home::new(root.path().join("home"));
            Story { root, home }
        }

        fn choose(&self, drop: &str, recipe: Option<&str>, out: Option<&str>) -> Result<Out> {
            let recipe = recipe.map(|text| RecipeText { file: "r.toml".into(), text: text.into() });
            let out = out.map(|it| self.root.path().join(it));
            Out::choose(&self.home, &self.root.path().join(drop), recipe, out.as_deref())
        }

        /// As a first attempt would leave it.
        fn begin(&self, out: &Out) {
            let config = Config::load(&self.home.root).unwrap();
            let (drop, recipe) = (Some(out.drop.clone()), out.recipe.clone());
            let spec = Assignment {
                action: Action::Train,
                job: 0,
                attempt: out.attempt,
                drop,
                run: &out.run,
                recipe,
            }
            .spec(&config);
            run_facts::write_json(&out.run.join(run_folder::SPEC), &spec).unwrap();
        }
    }

    #[test]
    fn the_same_command_continues_and_another_begins_anew() {
        let story = Story::new();
        let first = story.choose("a.csv", None, None).unwrap();
        story.begin(&first);
        let again = story.choose("a.csv", None, None).unwrap();
        assert_eq!((&again.run, again.attempt), (&first.run, 2));
        assert_ne!(story.choose("a.csv", Some("train.epochs = 1"), None).unwrap().run, first.run);
        fs::write(first.run.join(run_folder::DONE), "{}").unwrap();
        assert_ne!(story.choose("a.csv", None, None).unwrap().run, first.run, "what is done stays");
    }

    #[test]
    fn what_was_proven_is_not_given_for_other_data() {
        let story = Story::new();
        let out = story.choose("a.csv", None, Some("out")).unwrap();
        out.is_about_this().unwrap();
        out.begin().unwrap();
        out.is_about_this().unwrap();
        fs::write(story.root.path().join("a.csv"), "text,label\nother,rows\n").unwrap();
        let refused = out.is_about_this().unwrap_err().to_string();
        assert!(refused.contains("choose another --out"), "{refused}");
    }

    #[test]
    fn a_folder_of_something_else_is_refused() {
        let story = Story::new();
        let first = story.choose("a.csv", None, Some("out")).unwrap();
        story.begin(&first);
        let refused =
            |drop, recipe, out| story.choose(drop, recipe, Some(out)).unwrap_err().to_string();
        assert!(refused("b.csv", None, "out").contains("belongs to the drop"));
        assert!(refused("a.csv", Some("x"), "out").contains("another recipe"));
        assert!(refused("a.csv", None, ".").contains("neither empty nor a run"));
        assert!(refused("none.csv", None, "out").contains("there is no drop"));
    }
}
