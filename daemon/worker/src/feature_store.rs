//! Features on disk: what frozen stages gave for the examples of a split, for later attempts and
//! other jobs. Decides names, format, and what goes when there is too much; what is computed, and
//! what happens when the disk refuses, is `feature_cache`'s business.
//!
//! A set is two files: `KEY.rows`, fp32 in little endian, row by row, and `KEY.json`, which names
//! their shape and hash and is written last. Rows are read where they are wanted, through the
//! system's page cache: no memory of ours, and a file that shrinks is an error where a mapping
//! would be a crash.

use crate::examples::ExampleSet;
use crate::{checkpoint, durable};
use anyhow::{Context, Result, ensure};
use finetuned_job::plan::Plan;
use finetuned_job::spec::FeatureCache;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tch::{Device, Kind, Tensor};

/// Of what is computed, and of the format: other numbers under the same name would be wrong.
const VERSION: u32 = 3;
const NUMBER_BYTES: usize = size_of::<f32>();

/// blake3 over everything that the numbers depend on, hex.
pub(crate) fn key(
    plan: &Plan,
    config: &serde_json::Value,
    stages: usize,
    shape: &[i64],
    set: &ExampleSet,
) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    // Also what decides the last bits: a resumed run is to be the undisturbed one.
    part(
        format!(
            "features {VERSION} {} {} {} {}",
            env!("CARGO_PKG_VERSION"),
            plan.libtorch,
            plan.device,
            plan.threads
        )
        .as_bytes(),
    );
    part(
        format!(
            "{} {stages} {:?} {shape:?} {}",
            plan.model.architecture,
            plan.model.pooling,
            plan.model.begins_with()
        )
        .as_bytes(),
    );
    part(config.to_string().as_bytes());
    set.encoded.identify(&mut part)?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    /// (rows, …)
    shape: Vec<i64>,
    /// blake3 of the rows, hex.
    hash: String,
}

/// What frozen stages gave for every example, on disk.
#[derive(Debug)]
pub(crate) struct StoredRows {
    file: File,
    shape: Vec<i64>,
}

impl StoredRows {
    /// (rows, …) on the CPU: those of all spans, one behind the other.
    pub(crate) fn read(&self, spans: &[Range<u64>]) -> Result<Tensor> {
        let row_bytes = row_numbers(&self.shape) * NUMBER_BYTES;
        let rows: u64 = spans.iter().map(|it| it.end - it.start).sum();
        let mut bytes = vec![0; rows as usize * row_bytes];
        let mut rest = bytes.as_mut_slice();
        for span in spans {
            let (its, after) = rest.split_at_mut((span.end - span.start) as usize * row_bytes);
            self.file
                .read_exact_at(its, span.start * row_bytes as u64)
                .context("reading cached features")?;
            rest = after;
        }
        let values: Vec<f32> =
            bytes.as_chunks::<NUMBER_BYTES>().0.iter().map(|it| f32::from_le_bytes(*it)).collect();
        Ok(Tensor::f_from_slice(&values)?.f_reshape([&[rows as i64], &self.shape[1..]].concat())?)
    }
}

fn row_numbers(shape: &[i64]) -> usize {
    shape[1..].iter().product::<i64>() as usize
}

/// Of fp32 numbers in this shape; none where no disk has so many.
pub(crate) fn bytes(shape: &[i64]) -> Option<u64> {
    let bytes = shape.iter().try_fold(NUMBER_BYTES as i64, |product, it| product.checked_mul(*it));
    bytes.and_then(|it| u64::try_from(it).ok())
}

#[derive(Debug, Clone)]
pub(crate) struct FeatureStore {
    folder: PathBuf,
    bytes_max: u64,
}

impl FeatureStore {
    pub(crate) fn open(cache: &FeatureCache) -> Result<FeatureStore> {
        fs::create_dir_all(&cache.folder)
            .with_context(|| format!("creating {}", cache.folder.display()))?;
        Ok(FeatureStore { folder: cache.folder.clone(), bytes_max: cache.bytes_max })
    }

    fn rows(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.rows"))
    }

    fn manifest(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }

    /// Those of an earlier run, checked byte for byte; what is damaged is removed.
    ///
    /// # Errors
    /// They are damaged, or can't be read.
    pub(crate) fn find(&self, key: &str) -> Result<Option<StoredRows>> {
        let manifest = self.manifest(key);
        if !manifest.exists() {
            return Ok(None);
        }
        let found = self.opened(key);
        if found.is_err() {
            self.remove(key)?;
        }
        let rows = found
            .with_context(|| format!("{} can't be used and was removed", manifest.display()))?;
        // What was used last goes last.
        File::options().append(true).open(&manifest)?.set_modified(SystemTime::now())?;
        Ok(Some(rows))
    }

    fn opened(&self, key: &str) -> Result<StoredRows> {
        let (manifest, path) = (self.manifest(key), self.rows(key));
        let Manifest { version, shape, hash } = serde_json::from_slice(&fs::read(manifest)?)?;
        ensure!(version == VERSION, "it has version {version}");
        let file = File::open(&path)?;
        ensure!(
            bytes(&shape) == Some(file.metadata()?.len()),
            "{} has another length",
            path.display()
        );
        ensure!(checkpoint::hash(&path)? == hash, "{} has another content", path.display());
        Ok(StoredRows { file, shape })
    }

    /// Room for new ones, taken at once; none where they are too many for the folder.
    pub(crate) fn begin(&self, key: &str, shape: &[i64]) -> Result<Option<Writer>> {
        let Some(bytes) = bytes(shape).filter(|it| *it <= self.bytes_max) else { return Ok(None) };
        self.remove_abandoned()?;
        self.make_room(bytes)?;
        let partial = self.folder.join(format!(".{key}.{}.partial", std::process::id()));
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(&partial);
        let file = file.with_context(|| format!("creating {}", partial.display()))?;
        // Held until the file is closed: a partial file without a holder is a dead worker's.
        file.lock().with_context(|| format!("locking {}", partial.display()))?;
        let writer = Writer {
            store: self.clone(),
            key: key.into(),
            partial,
            stored: StoredRows { file, shape: shape.to_vec() },
        };
        writer.reserve(bytes)?;
        Ok(Some(writer))
    }

    /// Of workers that died while they wrote, or between the two files.
    fn remove_abandoned(&self) -> Result<()> {
        for path in self.files()? {
            let abandoned = match path.extension().and_then(|it| it.to_str()) {
                Some("partial") => File::open(&path).is_ok_and(|it| it.try_lock().is_ok()),
                Some("rows") => {
                    !path.with_extension("json").exists()
                        && File::open(&path).is_ok_and(|it| it.try_lock().is_ok())
                }
                _ => false,
            };
            if abandoned {
                remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Removes what was used longest ago until so many more bytes fit.
    fn make_room(&self, bytes: u64) -> Result<()> {
        let mut stored = Vec::new();
        for manifest in
            self.files()?.into_iter().filter(|it| it.extension().is_some_and(|it| it == "json"))
        {
            let Some(key) = manifest.file_stem().and_then(|it| it.to_str()) else { continue };
            let size = fs::metadata(self.rows(key)).map_or(0, |it| it.len());
            stored.push((
                fs::metadata(&manifest)
                    .and_then(|it| it.modified())
                    .unwrap_or(SystemTime::UNIX_EPOCH),
                size,
                key.to_owned(),
            ));
        }
        stored.sort();
        let mut total: u64 = stored.iter().map(|it| it.1).sum();
        for (_, size, key) in stored {
            if total + bytes <= self.bytes_max {
                break;
            }
            // A worker that reads them has the file open, and loses nothing.
            self.remove(&key)?;
            total -= size;
        }
        Ok(())
    }

    fn remove(&self, key: &str) -> Result<()> {
        remove_file(&self.manifest(key))?;
        remove_file(&self.rows(key))
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&self.folder)
            .with_context(|| format!("listing {}", self.folder.display()))?;
        Ok(entries.collect::<std::io::Result<Vec<_>>>()?.into_iter().map(|it| it.path()).collect())
    }
}

/// Another worker may have been quicker.
fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Err(err).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Rows on their way to the disk, in any order.
pub(crate) struct Writer {
    store: FeatureStore,
    key: String,
    partial: PathBuf,
    stored: StoredRows,
}

impl Writer {
    /// A disk that is too full says so now, not after an hour.
    fn reserve(&self, bytes: u64) -> Result<()> {
        match rustix::fs::fallocate(&self.stored.file, FallocateFlags::empty(), 0, bytes) {
            // Some file systems know no reservation: there the writing shows it.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(err) => Err(err)
                .with_context(|| format!("reserving {bytes} bytes for {}", self.partial.display())),
        }
    }

    /// Those that were put.
    pub(crate) fn rows(&self) -> &StoredRows {
        &self.stored
    }

    /// `rows`: (rows, …), those of all spans, one behind the other.
    pub(crate) fn put(&self, spans: &[Range<u64>], rows: &Tensor) -> Result<()> {
        let row_bytes = row_numbers(&self.stored.shape) * NUMBER_BYTES;
        let rows =
            rows.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?;
        let values: Vec<f32> = Vec::try_from(&rows).context("reading features")?;
        let bytes: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
        let mut rest = bytes.as_slice();
        for span in spans {
            let (its, after) = rest.split_at((span.end - span.start) as usize * row_bytes);
            self.stored
                .file
                .write_all_at(its, span.start * row_bytes as u64)
                .with_context(|| format!("writing {}", self.partial.display()))?;
            rest = after;
        }
        Ok(())
    }

    /// They have their name once all of them are on the disk.
    pub(crate) fn finish(&self) -> Result<StoredRows> {
        let StoredRows { file, shape } = &self.stored;
        file.sync_all().with_context(|| format!("flushing {}", self.partial.display()))?;
        let hash = checkpoint::hash(&self.partial)?;
        durable::rename(&self.partial, &self.store.rows(&self.key))?;
        durable::write_json(
            &self.store.manifest(&self.key),
            &Manifest { version: VERSION, shape: shape.clone(), hash },
        )?;
        Ok(StoredRows {
            file: file.try_clone().context("keeping features open")?,
            shape: shape.clone(),
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Renamed, or on the way out of an error: then the disk gets its room back.
        let _ = fs::remove_file(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path, bytes_max: u64) -> FeatureStore {
        FeatureStore::open(&FeatureCache { folder: folder.join("features"), bytes_max }).unwrap()
    }

    /// Three rows of two numbers, 24 bytes, of which the first is `first`.
    fn write(store: &FeatureStore, key: &str, first: f32) -> StoredRows {
        let writer = store.begin(key, &[3, 2]).unwrap().unwrap();
        writer
            .put(&[2..3, 0..1], &Tensor::from_slice(&[5.0_f32, 6.0, first, 2.0]).view([2, 2]))
            .unwrap();
        writer
            .put(std::slice::from_ref(&(1..2)), &Tensor::from_slice(&[3.0_f32, 4.0]).view([1, 2]))
            .unwrap();
        writer.finish().unwrap()
    }

    fn read(rows: &StoredRows, indices: &[u32]) -> Vec<f32> {
        let spans: Vec<Range<u64>> =
            indices.iter().map(|&it| u64::from(it)..u64::from(it) + 1).collect();
        let rows = rows.read(&spans).unwrap();
        assert_eq!(rows.size(), [indices.len() as i64, 2]);
        rows.view([-1]).try_into().unwrap()
    }

    #[test]
    fn what_was_written_is_found_by_its_name_alone() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path(), 100);
        assert!(store.find("a").unwrap().is_none());
        assert_eq!(read(&write(&store, "a", 1.0), &[1, 0]), [3.0, 4.0, 1.0, 2.0]);
        assert_eq!(read(&store.find("a").unwrap().unwrap(), &[2, 2]), [5.0, 6.0, 5.0, 6.0]);
        assert!(store.find("b").unwrap().is_none());
    }

    #[test]
    fn an_example_may_have_many_rows_or_none() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path(), 100);
        let writer = store.begin("a", &[4, 1]).unwrap().unwrap();
        writer
            .put(&[3..4, 0..3], &Tensor::from_slice(&[4.0_f32, 1.0, 2.0, 3.0]).view([4, 1]))
            .unwrap();
        let rows = writer.finish().unwrap().read(&[1..3, 3..3, 3..4]).unwrap();
        assert_eq!(
            (rows.size(), Vec::<f32>::try_from(rows.view([-1])).unwrap()),
            (vec![3, 1], vec![2.0, 3.0, 4.0])
        );
    }

    #[test]
    fn what_is_damaged_is_named_and_gone() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path(), 100);
        let damages: [fn(&Path, &str); 4] = [
            |folder, key| fs::write(folder.join(format!("{key}.rows")), [0; 24]).unwrap(),
            |folder, key| fs::write(folder.join(format!("{key}.rows")), [0; 20]).unwrap(),
            |folder, key| fs::remove_file(folder.join(format!("{key}.rows"))).unwrap(),
            |folder, key| fs::write(folder.join(format!("{key}.json")), "{").unwrap(),
        ];
        for (key, damage) in ["a", "b", "c", "d"].into_iter().zip(damages) {
            write(&store, key, 1.0);
            damage(&store.folder, key);
            let claimed = format!("{:#}", store.find(key).unwrap_err());
            assert!(claimed.contains("can't be used and was removed"), "{claimed}");
            assert!(store.find(key).unwrap().is_none());
        }
        assert_eq!(store.files().unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path(), 60);
        for (key, age) in [("old", 90), ("older", 100)] {
            write(&store, key, 1.0);
            let then = SystemTime::now() - std::time::Duration::from_secs(age);
            File::options()
                .append(true)
                .open(store.manifest(key))
                .unwrap()
                .set_modified(then)
                .unwrap();
        }
        let in_use = store.find("older").unwrap().unwrap();
        write(&store, "new", 1.0);
        assert!(store.find("old").unwrap().is_none());
        assert!(store.find("older").unwrap().is_some() && store.find("new").unwrap().is_some());
        write(&store, "newer", 1.0);
        assert_eq!(read(&in_use, &[1]), [3.0, 4.0]);
        assert!(store.begin("huge", &[30, 2]).unwrap().is_none());
    }

    #[test]
    fn nothing_stays_of_those_who_died() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path(), 100);
        fs::write(store.folder.join(".a.1.partial"), "x").unwrap();
        fs::write(store.rows("b"), "x").unwrap();
        let writer = store.begin("c", &[3, 2]).unwrap().unwrap();
        assert_eq!(store.files().unwrap(), std::slice::from_ref(&writer.partial));
        let other = store.begin("d", &[3, 2]).unwrap().unwrap();
        assert_eq!(store.files().unwrap().len(), 2, "those alive keep theirs");
        drop((writer, other));
        assert_eq!(store.files().unwrap().len(), 0);
    }
}
