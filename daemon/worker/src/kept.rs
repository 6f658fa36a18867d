//! Runs frozen stages once over every example and keeps what they give: on disk where there is a folder for it,
//! else in memory. Decides that, and that a disk which refuses costs time and no result; the files are
//! `feature_store`'s.

use crate::evaluate::batches_of;
use crate::examples::ExampleSet;
use crate::feature_store::{self, FeatureStore, StoredRows};
use crate::feed::{Examples, Feed};
use crate::journal::Journal;
use crate::network::Network;
use crate::stop::Stop;
use anyhow::{Context, Result};
use finetuned_job::event::Phase;
use finetuned_job::plan::Plan;
use finetuned_job::spec::{FeatureCache, Spec};
use finetuned_models::Pass;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Most that is kept of a split in memory.
const MEMORY_BYTES_MAX: u64 = 1 << 30;

/// Most that may be kept at all.
pub(crate) fn bytes_max(cache: Option<&FeatureCache>) -> u64 {
    cache.map_or(0, |it| it.bytes_max).max(MEMORY_BYTES_MAX)
}

/// What the first stages of a model give for every example, in their order.
pub(crate) struct Kept {
    /// How many stages.
    pub stages: usize,
    rows: Rows,
    spans: Spans,
}

enum Rows {
    /// (rows, …)
    Memory(Tensor),
    Disk(StoredRows),
}

impl Kept {
    /// (indices, …), of texts below their last layer (tokens, width): the rows of these examples one behind the other.
    pub(crate) fn rows(&self, indices: &[u32], device: Device) -> Result<Tensor> {
        let spans = self.spans.of(indices);
        match &self.rows {
            Rows::Disk(stored) => Ok(stored.read(&spans)?.f_to(device)?),
            Rows::Memory(all) => Ok(all.f_index_select(0, &places(&spans, all.device())?)?.f_to(device)?),
        }
    }
}

/// Which rows are an example's: one, or one for each of its tokens. Example i has those from the ith number on.
struct Spans(Vec<u64>);

impl Spans {
    fn new(set: &ExampleSet, by_token: bool) -> Spans {
        let mut starts = vec![0];
        let mut end = 0;
        for length in set.lengths() {
            end += if by_token { u64::from(length) } else { 1 };
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

/// Splits to keep features of, and by what.
pub(crate) struct Keeper<'a> {
    pub network: &'a Network,
    pub stages: usize,
    pub plan: &'a Plan,
    /// Of the base model.
    pub config: &'a serde_json::Value,
}

impl Keeper<'_> {
    /// For both splits; none where they fit nowhere.
    pub(crate) fn keep(
        &self,
        spec: &Spec,
        [train, validation]: [&ExampleSet; 2],
        journal: &mut Journal,
        stop: &Stop,
    ) -> Result<Option<(Kept, Kept)>> {
        let store = spec.features.as_ref().map(FeatureStore::open).transpose();
        let store = store.or_else(|err| without(&err, journal))?;
        let Some(train) = self.keep_split(store.as_ref(), train, journal, stop)? else { return Ok(None) };
        Ok(self.keep_split(store.as_ref(), validation, journal, stop)?.map(|validation| (train, validation)))
    }

    fn keep_split(&self, store: Option<&FeatureStore>, set: &ExampleSet, journal: &mut Journal, stop: &Stop) -> Result<Option<Kept>> {
        let spans = Spans::new(set, self.network.body.gives_by_token(self.stages));
        let rows = self.rows_of(store, set, &spans, journal, stop)?;
        Ok(rows.map(|rows| Kept { stages: self.stages, rows, spans }))
    }

    fn rows_of(&self, store: Option<&FeatureStore>, set: &ExampleSet, spans: &Spans, journal: &mut Journal, stop: &Stop) -> Result<Option<Rows>> {
        let place = store.map(|store| Ok::<_, anyhow::Error>((store, feature_store::key(self.plan, self.config, self.stages, set)?))).transpose()?;
        if let Some((store, key)) = &place {
            match store.find(key) {
                Ok(Some(stored)) => return Ok(Some(Rows::Disk(stored))),
                Ok(None) => {}
                Err(err) => journal.warn(format!("kept features are computed anew: {err:#}"))?,
            }
        }
        let shape = self.shape(set, spans)?;
        if let Some((store, key)) = place {
            let begun = store.begin(&key, &shape).or_else(|err| without(&err, journal))?;
            let stored = begun.map(|writer| self.to_disk(writer, set, spans, journal, stop)).transpose()?;
            if let Some(stored) = stored.flatten() {
                return Ok(Some(Rows::Disk(stored)));
            }
        }
        if feature_store::bytes(&shape).is_none_or(|it| MEMORY_BYTES_MAX < it) {
            return Ok(None);
        }
        let mut all = Tensor::f_empty(&shape, (Kind::Float, self.network.device))?;
        self.run(set, journal, stop, |indices, rows| {
            let _ = all.f_index_copy_(0, &places(&spans.of(indices), rows.device())?, rows)?;
            Ok(())
        })?;
        Ok(Some(Rows::Memory(all)))
    }

    /// None where the disk refused.
    fn to_disk(
        &self,
        mut writer: feature_store::Writer,
        set: &ExampleSet,
        spans: &Spans,
        journal: &mut Journal,
        stop: &Stop,
    ) -> Result<Option<StoredRows>> {
        let mut refused = None;
        let ran = self.run(set, journal, stop, |indices, rows| {
            writer.put(&spans.of(indices), rows).map_err(|err| {
                refused = Some(err);
                anyhow::anyhow!("the disk refused")
            })
        });
        let finished = match (ran, refused) {
            (Ok(()), _) => writer.finish(),
            (Err(_), Some(err)) => Err(err),
            (Err(err), None) => return Err(err),
        };
        finished.map(Some).or_else(|err| without(&err, journal))
    }

    /// (rows, …)
    fn shape(&self, set: &ExampleSet, spans: &Spans) -> Result<Vec<i64>> {
        let first = Feed::plain(Examples { set, kept: None }, vec![vec![0]], self.network.device).next().context("there is nothing to keep")??;
        let row = tch::no_grad(|| self.network.run(&first.input, self.stages, &Pass::evaluation()))?;
        Ok([&[spans.rows() as i64], &row.size()[1..]].concat())
    }

    fn run(&self, set: &ExampleSet, journal: &mut Journal, stop: &Stop, mut put: impl FnMut(&[u32], &Tensor) -> Result<()>) -> Result<()> {
        journal.phase(Phase::Caching, Some(set.len() as u64))?;
        let mut done = 0;
        for batch in Feed::plain(Examples { set, kept: None }, batches_of(set), self.network.device) {
            let batch = batch?;
            let rows = tch::no_grad(|| self.network.run(&batch.input, self.stages, &Pass::evaluation()))?;
            put(&batch.indices, &rows)?;
            done += batch.indices.len() as u64;
            stop.check()?;
            journal.progress(done, Some(set.len() as u64))?;
        }
        Ok(())
    }
}

/// (rows) int64
fn places(spans: &[Range<u64>], device: Device) -> Result<Tensor> {
    let places: Vec<i64> = spans.iter().cloned().flatten().map(|it| it as i64).collect();
    Ok(Tensor::f_from_slice(&places)?.f_to(device)?)
}

/// The disk refused, which costs time only.
fn without<T>(err: &anyhow::Error, journal: &mut Journal) -> Result<Option<T>> {
    journal.warn(format!("features are not kept on disk: {err:#}"))?;
    Ok(None)
}
