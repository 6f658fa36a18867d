//! Decides what a checkpoint is: a folder `checkpoints/step-N/` with the tensors that may differ
//! from the base model, the optimizer's state, the generator's state, and a manifest with their
//! hashes, all renamed into place at once; those of a second training lie in `checkpoints/refit/`.
//! Also which are kept. What the tensors mean is left to `trainer`.

use crate::durable::{self, Partial};
use anyhow::{Context, Result, bail};
use finetuned_job::outcome::{Groups, Probe};
use finetuned_job::run_folder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tch::Tensor;

const VERSION: u32 = 1;
const MANIFEST: &str = "manifest.json";
const TENSORS: &str = "model.safetensors";
const REFIT: &str = "refit";
const START: &str = "start";
const STATE: &str = "optimizer.safetensors";

pub(crate) type Named = Vec<(String, Tensor)>;

/// Where training stands, besides its tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    /// Updates done.
    pub step: u64,
    /// After how many of them the last evaluation was.
    #[serde(default)]
    pub evaluated: Option<u64>,
    pub best: Option<Best>,
    /// Of the frozen base, from before training.
    #[serde(default)]
    pub probe: Option<Probe>,
    /// Evaluations since the best one.
    pub evaluations_without_progress: u32,
    /// Patience ran out at this step.
    pub stopped_early: bool,
    pub tokens: u64,
    pub tokens_padded: u64,
    /// Of answers that the model made to learn from.
    #[serde(default)]
    pub groups: Option<Groups>,
    /// Time in training, over all attempts.
    pub seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Best {
    pub step: u64,
    pub score: f64,
    /// Of the same evaluation.
    pub loss: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    position: Option<Position>,
    /// File name to blake3, hex.
    files: BTreeMap<String, String>,
}

pub(crate) struct Checkpoint {
    pub position: Position,
    pub tensors: Named,
    pub state: Named,
}

pub(crate) struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    pub(crate) fn open(run: &Path) -> Result<Checkpoints> {
        let folder = run.join(run_folder::CHECKPOINTS);
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(Checkpoints { folder })
    }

    /// Those of the training that comes after: on training and validation examples together.
    pub(crate) fn of_refit(run: &Path) -> Result<Checkpoints> {
        let folder = run.join(run_folder::CHECKPOINTS).join(REFIT);
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(Checkpoints { folder })
    }

    pub(crate) fn save(
        &self,
        position: &Position,
        tensors: &Named,
        state: &Named,
        keep: u32,
    ) -> Result<()> {
        let target = self.folder.join(format!("step-{}", position.step));
        save(&target, Some(position), &[(TENSORS, tensors), (STATE, state)])?;
        self.prune(position, keep)
    }

    /// The newest one whose hashes are right. What was passed over is told, since it should not
    /// happen.
    pub(crate) fn newest(
        &self,
        mut passed_over: impl FnMut(String) -> Result<()>,
    ) -> Result<Option<Checkpoint>> {
        for (_, path) in self.numbered("step-")?.into_iter().rev() {
            match load(&path) {
                Ok(found) => return Ok(Some(found)),
                Err(err) => passed_over(format!("{err:#}; an older checkpoint is used"))?,
            }
        }
        Ok(None)
    }

    /// Keeps the tensors that training begins with.
    pub(crate) fn save_start(&self, tensors: &Named) -> Result<()> {
        save(&self.folder.join(START), None, &[(TENSORS, tensors)])
    }

    pub(crate) fn load_start(&self) -> Result<Named> {
        let path = self.folder.join(START);
        verified(&path)?;
        read(&path.join(TENSORS))
    }

    /// Keeps the tensors of the best step so far.
    pub(crate) fn save_best(&self, step: u64, tensors: &Named) -> Result<()> {
        save(&self.folder.join(format!("best-{step}")), None, &[(TENSORS, tensors)])
    }

    pub(crate) fn load_best(&self, step: u64) -> Result<Named> {
        let path = self.folder.join(format!("best-{step}"));
        verified(&path)?;
        read(&path.join(TENSORS))
    }

    /// Removes all but the newest checkpoints, and best tensors that neither the newest state nor a
    /// kept checkpoint speaks of.
    fn prune(&self, newest: &Position, keep: u32) -> Result<()> {
        let steps = self.numbered("step-")?;
        let (old, held) = steps.split_at(steps.len().saturating_sub(keep as usize));
        for (_, path) in old {
            durable::remove_tree(path)?;
        }
        let mut wanted: Vec<u64> = newest.best.iter().map(|it| it.step).collect();
        for (_, path) in held {
            if let Ok(Manifest { position: Some(Position { best: Some(best), .. }), .. }) =
                manifest(path)
            {
                wanted.push(best.step);
            }
        }
        for (step, path) in self.numbered("best-")? {
            if !wanted.contains(&step) {
                durable::remove_tree(&path)?;
            }
        }
        Ok(())
    }

    fn numbered(&self, prefix: &str) -> Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)
            .with_context(|| format!("listing {}", self.folder.display()))?
        {
            let entry = entry?;
            if let Some(step) =
                entry.file_name().to_str().and_then(|it| it.strip_prefix(prefix)?.parse().ok())
            {
                found.push((step, entry.path()));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The step of the newest checkpoint of a run, whatever its state; 0 without one.
pub(crate) fn newest_step(run: &Path) -> u64 {
    let steps = Checkpoints { folder: run.join(run_folder::CHECKPOINTS) }.numbered("step-");
    steps.ok().and_then(|it| it.last().map(|(step, _)| *step)).unwrap_or(0)
}

fn save(target: &Path, position: Option<&Position>, files: &[(&str, &Named)]) -> Result<()> {
    let partial = Partial::new(target)?;
    let mut hashes = BTreeMap::new();
    for (name, tensors) in files {
        let path = partial.path().join(name);
        finetuned_models::save(tensors, &path)
            .with_context(|| format!("writing {}", target.join(name).display()))?;
        hashes.insert((*name).to_string(), hash(&path)?);
    }
    let manifest = Manifest { version: VERSION, position: position.cloned(), files: hashes };
    durable::write_json(&partial.path().join(MANIFEST), &manifest)?;
    partial.finish()
}

fn load(path: &Path) -> Result<Checkpoint> {
    let Some(position) = verified(path)?.position else {
        bail!("{} has no position", path.display())
    };
    Ok(Checkpoint {
        position,
        tensors: read(&path.join(TENSORS))?,
        state: read(&path.join(STATE))?,
    })
}

fn manifest(path: &Path) -> Result<Manifest> {
    let file = path.join(MANIFEST);
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let manifest: Manifest =
        serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
    if manifest.version != VERSION {
        bail!("{} has version {}, this program reads {VERSION}", file.display(), manifest.version);
    }
    Ok(manifest)
}

fn verified(path: &Path) -> Result<Manifest> {
    let manifest = manifest(path)?;
    for (name, wanted) in &manifest.files {
        let file = path.join(name);
        if hash(&file)? != *wanted {
            bail!("{} is damaged: its hash differs from the manifest's", file.display());
        }
    }
    Ok(manifest)
}

fn read(path: &Path) -> Result<Named> {
    finetuned_models::read(path).with_context(|| format!("reading {}", path.display()))
}

/// Of the files of a model, in their order.
pub(crate) fn hashes(files: &[PathBuf]) -> Result<String> {
    let hashes = files.iter().map(|it| hash(it)).collect::<Result<Vec<String>>>()?;
    Ok(hashes.join("+"))
}

/// blake3 of a file, hex.
pub(crate) fn hash(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let file = fs::File::open(path).with_context(|| format!("reading {}", path.display()))?;
    hasher.update_reader(file).with_context(|| format!("reading {}", path.display()))?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(step: u64, best: u64) -> Position {
        Position {
            step,
            best: Some(Best { step: best, score: 0.5, loss: 1.0 }),
            ..Position::default()
        }
    }

    fn tensors(value: f64) -> Named {
        vec![("w".into(), Tensor::from(value).to_kind(tch::Kind::Float))]
    }

    #[test]
    fn a_torn_or_damaged_checkpoint_is_passed_over() {
        let run = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(run.path()).unwrap();
        for step in [10, 20, 30] {
            checkpoints.save(&position(step, 10), &tensors(step as f64), &vec![], 3).unwrap();
        }
        let folder = run.path().join("checkpoints");
        fs::write(folder.join("step-30").join(TENSORS), b"torn").unwrap();
        fs::remove_file(folder.join("step-20").join(MANIFEST)).unwrap();
        let mut reported = Vec::new();
        let found = checkpoints
            .newest(|it| {
                reported.push(it);
                Ok(())
            })
            .unwrap()
            .unwrap();
        assert_eq!(found.position.step, 10);
        assert_eq!(f64::try_from(&found.tensors[0].1).unwrap(), 10.0);
        assert_eq!(reported.len(), 2);
    }

    #[test]
    fn old_ones_go_and_the_best_stays_as_long_as_it_is_spoken_of() {
        let run = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(run.path()).unwrap();
        for (step, best) in [(1, 1), (2, 1), (3, 3), (4, 3)] {
            if step == best {
                checkpoints.save_best(best, &tensors(best as f64)).unwrap();
            }
            checkpoints.save(&position(step, best), &tensors(0.0), &vec![], 2).unwrap();
        }
        let mut names: Vec<String> = fs::read_dir(run.path().join("checkpoints"))
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["best-3", "step-3", "step-4"]);
        assert_eq!(f64::try_from(&checkpoints.load_best(3).unwrap()[0].1).unwrap(), 3.0);
    }
}
