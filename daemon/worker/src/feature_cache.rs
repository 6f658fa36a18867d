//! What frozen stages give for an example, so that they run once for it: on disk where there is a
//! folder for it, else in memory. Decides that, and that a disk which refuses costs time and no
//! result; the files are `feature_store`'s, and the stages run in `stored`, when an example is
//! first wanted.

use crate::batches;
use crate::examples::ExampleSet;
use crate::feature_store::{self, FeatureStore, StoredRows, Writer};
use crate::journal::Journal;
use anyhow::{Result, bail};
use finetuned_job::event::Event;
use finetuned_job::plan::Plan;
use finetuned_job::scores::Split;
use finetuned_job::spec;
use finetuned_models::{Outline, Rows as RowsPer};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Most that is cached of a split in memory.
const MEMORY_BYTES_MAX: u64 = 1 << 30;

/// Most that may be cached at all.
pub(crate) fn bytes_max(cache: Option<&spec::FeatureCache>) -> u64 {
    cache.map_or(0, |it| it.bytes_max).max(MEMORY_BYTES_MAX)
}

/// What the first stages of a model give for each example of a split, as far as it has been wanted.
pub(crate) struct FeatureCache {
    /// How many stages.
    pub stages: usize,
    /// Of all rows: (rows, …)
    shape: Vec<i64>,
    spans: Spans,
    /// Examples that the stages run over together.
    groups: Vec<Vec<u32>>,
    /// Of each example.
    group_of: Vec<usize>,
    device: Device,
    state: RefCell<State>,
}

struct State {
    rows: Rows,
    /// Groups whose rows are not there.
    missing: BTreeSet<usize>,
    warning: Option<String>,
}

enum Rows {
    /// (rows, …)
    Memory(Tensor),
    Writing(Writer),
    Disk(StoredRows),
}

impl FeatureCache {
    /// The groups that must be put before these examples have their rows.
    pub(crate) fn missing(&self, indices: &[u32]) -> BTreeSet<usize> {
        let missing = &self.state.borrow().missing;
        if missing.is_empty() {
            BTreeSet::new()
        } else {
            indices
                .iter()
                .map(|&it| self.group_of[it as usize])
                .filter(|it| missing.contains(it))
                .collect()
        }
    }

    pub(crate) fn group(&self, number: usize) -> &[u32] {
        &self.groups[number]
    }

    /// `rows`: (rows, …), what the stages give for a group.
    pub(crate) fn put(&self, group: usize, rows: &Tensor) -> Result<()> {
        let state = &mut *self.state.borrow_mut();
        state.missing.remove(&group);
        let spans = self.spans.of(&self.groups[group]);
        let written = match &mut state.rows {
            Rows::Memory(all) => {
                let _ = all.f_index_copy_(0, &places(&spans, all.device())?, rows)?;
                return Ok(());
            }
            Rows::Writing(writer) => writer
                .put(&spans, rows)
                .and_then(|()| state.missing.is_empty().then(|| writer.finish()).transpose()),
            Rows::Disk(_) => bail!("the features of these examples are there already"),
        };
        match written {
            Ok(None) => Ok(()),
            Ok(Some(stored)) => {
                state.rows = Rows::Disk(stored);
                Ok(())
            }
            Err(err) => self.begin_again(state, err),
        }
    }

    /// In memory, where there is room: the disk refused.
    fn begin_again(&self, state: &mut State, refused: anyhow::Error) -> Result<()> {
        let Some(rows) = in_memory(&self.shape, self.device)? else {
            return Err(refused.context("caching features"));
        };
        *state = State {
            rows,
            missing: (0..self.groups.len()).collect(),
            warning: Some(not_on_disk(&refused)),
        };
        Ok(())
    }

    /// What a person should know of the disk, once.
    pub(crate) fn take_warning(&self) -> Option<String> {
        self.state.borrow_mut().warning.take()
    }

    /// (indices, …), of texts below their last layer (tokens, width): the rows of these examples,
    /// none of which may be missing, one behind the other.
    pub(crate) fn rows(&self, indices: &[u32], device: Device) -> Result<Tensor> {
        let spans = self.spans.of(indices);
        let stored = match &self.state.borrow().rows {
            Rows::Disk(stored) => stored.read(&spans)?,
            Rows::Writing(writer) => writer.rows().read(&spans)?,
            Rows::Memory(all) => all.f_index_select(0, &places(&spans, all.device())?)?,
        };
        Ok(stored.f_to(device)?)
    }
}

/// None where they are too many.
fn in_memory(shape: &[i64], device: Device) -> Result<Option<Rows>> {
    let few = feature_store::bytes(shape).is_some_and(|it| it <= MEMORY_BYTES_MAX);
    few.then(|| Ok(Rows::Memory(Tensor::f_empty(shape, (Kind::Float, device))?))).transpose()
}

/// Which rows are an example's: one, or one for each of its tokens. Example i has those from the
/// ith number on.
struct Spans(Vec<u64>);

impl Spans {
    fn new(set: &ExampleSet, per_token: bool) -> Spans {
        let mut starts = vec![0];
        let mut end = 0;
        for length in set.encoded.lengths() {
            end += if per_token { u64::from(length) } else { 1 };
            starts.push(end);
        }
        Spans(starts)
    }

    fn rows(&self) -> u64 {
        self.0.last().copied().unwrap_or(0)
    }

    fn of(&self, indices: &[u32]) -> Vec<Range<u64>> {
        indices.iter().map(|&it| self.0[it as usize]..self.0[it as usize + 1]).collect()
    }
}

/// What is to be cached of a run's splits.
pub(crate) struct Caching<'a> {
    pub stages: usize,
    /// What those stages give for an example.
    pub outline: &'a Outline,
    pub plan: &'a Plan,
    /// Of the base model.
    pub config: &'a serde_json::Value,
    pub device: Device,
}

impl Caching<'_> {
    /// For both splits, the second of which may have no examples; none where they fit nowhere.
    pub(crate) fn open(
        &self,
        folder: Option<&spec::FeatureCache>,
        [train, validation]: [&ExampleSet; 2],
        journal: &mut Journal,
    ) -> Result<Option<(FeatureCache, Option<FeatureCache>)>> {
        let store = folder.map(FeatureStore::open).transpose();
        let store = store.or_else(|err| without(&err, journal))?;
        let Some(train) = self.of_split(store.as_ref(), Split::Train, train, journal)? else {
            return Ok(None);
        };
        if validation.len() == 0 {
            return Ok(Some((train, None)));
        }
        let validation = self.of_split(store.as_ref(), Split::Validation, validation, journal)?;
        Ok(validation.map(|validation| (train, Some(validation))))
    }

    fn of_split(
        &self,
        store: Option<&FeatureStore>,
        split: Split,
        set: &ExampleSet,
        journal: &mut Journal,
    ) -> Result<Option<FeatureCache>> {
        let spans = Spans::new(set, self.outline.rows == RowsPer::PerToken);
        let shape = [&[spans.rows() as i64], self.outline.shape.as_slice()].concat();
        let Some(rows) = self.rows(store, set, &shape, journal)? else { return Ok(None) };
        let found = matches!(rows, Rows::Disk(_));
        journal.tell(Event::Features {
            split,
            bytes: feature_store::bytes(&shape).unwrap_or(0),
            found,
        })?;
        let groups = batches::groups(&set.lengths());
        let mut group_of = vec![0; set.len()];
        for (number, group) in groups.iter().enumerate() {
            group.iter().for_each(|&it| group_of[it as usize] = number);
        }
        let missing = if found { BTreeSet::new() } else { (0..groups.len()).collect() };
        let state = RefCell::new(State { rows, missing, warning: None });
        Ok(Some(FeatureCache {
            stages: self.stages,
            shape,
            spans,
            groups,
            group_of,
            device: self.device,
            state,
        }))
    }

    /// Those of an earlier run, or room for new ones.
    fn rows(
        &self,
        store: Option<&FeatureStore>,
        set: &ExampleSet,
        shape: &[i64],
        journal: &mut Journal,
    ) -> Result<Option<Rows>> {
        let Some(store) = store else { return in_memory(shape, self.device) };
        let key = feature_store::key(self.plan, self.config, self.stages, shape, set)?;
        match store.find(&key) {
            Ok(Some(stored)) => return Ok(Some(Rows::Disk(stored))),
            Ok(None) => {}
            Err(err) => journal.warn(format!("cached features are computed anew: {err:#}"))?,
        }
        match store.begin(&key, shape).or_else(|err| without(&err, journal))? {
            Some(writer) => Ok(Some(Rows::Writing(writer))),
            None => in_memory(shape, self.device),
        }
    }
}

/// (rows) int64
fn places(spans: &[Range<u64>], device: Device) -> Result<Tensor> {
    let places: Vec<i64> = spans.iter().cloned().flatten().map(|it| it as i64).collect();
    Ok(Tensor::f_from_slice(&places)?.f_to(device)?)
}

/// The disk refused, which costs time only.
fn without<T>(err: &anyhow::Error, journal: &mut Journal) -> Result<Option<T>> {
    journal.warn(not_on_disk(err))?;
    Ok(None)
}

fn not_on_disk(err: &anyhow::Error) -> String {
    format!("features are not cached on disk: {err:#}")
}

#[cfg(test)]
impl FeatureCache {
    /// Of five examples of two numbers each, in memory, of which nothing is there yet.
    pub(crate) fn empty() -> FeatureCache {
        tests::cached(Rows::Memory(Tensor::zeros([5, 2], tch::kind::FLOAT_CPU)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Five examples of two numbers each, in two groups.
    pub(super) fn cached(rows: Rows) -> FeatureCache {
        let state = RefCell::new(State { rows, missing: (0..2).collect(), warning: None });
        let spans = Spans((0..=5).collect());
        let groups = vec![vec![3, 1], vec![0, 4, 2]];
        FeatureCache {
            stages: 1,
            shape: vec![5, 2],
            spans,
            groups,
            group_of: vec![1, 0, 1, 0, 1],
            device: Device::Cpu,
            state,
        }
    }

    fn put(cache: &FeatureCache, group: usize) {
        let numbers: Vec<f32> =
            cache.group(group).iter().flat_map(|&it| [it as f32, 0.5]).collect();
        cache.put(group, &Tensor::from_slice(&numbers).view([-1, 2])).unwrap();
    }

    fn read(cache: &FeatureCache, indices: &[u32]) -> Vec<f32> {
        Vec::try_from(cache.rows(indices, Device::Cpu).unwrap().select(1, 0)).unwrap()
    }

    fn writing(folder: &std::path::Path) -> Rows {
        let store =
            FeatureStore::open(&spec::FeatureCache { folder: folder.into(), bytes_max: 1000 })
                .unwrap();
        Rows::Writing(store.begin("a", &[5, 2]).unwrap().unwrap())
    }

    #[test]
    fn an_example_is_there_once_its_group_is() {
        let home = tempfile::tempdir().unwrap();
        for rows in [writing(home.path()), in_memory(&[5, 2], Device::Cpu).unwrap().unwrap()] {
            let cache = cached(rows);
            assert_eq!(cache.missing(&[1, 2]), [0, 1].into());
            put(&cache, 0);
            assert_eq!((cache.missing(&[1, 3]), cache.missing(&[1, 2])), ([].into(), [1].into()));
            assert_eq!(read(&cache, &[1, 3, 1]), [1.0, 3.0, 1.0]);
            put(&cache, 1);
            assert_eq!(
                (cache.missing(&[0, 1, 2, 3, 4]), read(&cache, &[4, 3, 0])),
                ([].into(), vec![4.0, 3.0, 0.0])
            );
        }
        assert!(home.path().join("a.json").exists());
    }

    #[test]
    fn a_disk_that_refuses_at_the_end_costs_time_only() {
        let home = tempfile::tempdir().unwrap();
        let cache = cached(writing(home.path()));
        put(&cache, 0);
        for file in fs::read_dir(home.path()).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        put(&cache, 1);
        assert_eq!(cache.missing(&[1, 2]), [0, 1].into());
        let warning = cache.take_warning().unwrap();
        assert!(
            warning.starts_with("features are not cached on disk: ")
                && cache.take_warning().is_none(),
            "{warning}"
        );
        (0..2).for_each(|it| put(&cache, it));
        assert_eq!(read(&cache, &[2, 3]), [2.0, 3.0]);
    }
}
