//! Writes the curves as TensorBoard reads them: records framed as TFRecord, each an `Event` message
//! with one scalar. Only the few fields of TensorFlow's event.proto and summary.proto that scalars
//! need are here; their numbers are fixed for ever by that format.

use anyhow::{Context, Result};
use finetuned_job::event::{Event, Line, Step};
use finetuned_job::scores::Scores;
use prost::Message;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// First record of every event file.
const FILE_VERSION: &str = "brain.Event:2";
/// TFRecord stores checksums rotated by 15 bits plus this, so that a checksum over checksums stays
/// useful.
const CRC_MASK_DELTA: u32 = 0xa282_ead8;

/// `tensorflow.Event` of event.proto.
#[derive(Clone, PartialEq, Message)]
struct Record {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

/// `tensorflow.Summary` of summary.proto.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// In a oneof there, and so written even where it is zero.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// Writes one event file into `folder`, which is made if need be: `train/loss`, `train/lr` and
/// `train/grad_norm` at each step, what sampled answers were rewarded with, and each metric below
/// its split (`validation/macro_f1`). Times are those of the events, so the same events give
/// the same file.
pub fn tensorboard(events: &[Line], folder: &Path) -> Result<()> {
    let started_ms = events.first().map_or(0, |it| it.at_ms);
    let path = folder.join(format!("events.out.tfevents.{:010}.finetuned", started_ms / 1000));
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    write_file(&path, events, started_ms).with_context(|| format!("writing {}", path.display()))
}

fn write_file(path: &Path, events: &[Line], started_ms: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    write_record(
        &mut file,
        &Record {
            wall_time: seconds(started_ms),
            step: 0,
            what: Some(What::FileVersion(FILE_VERSION.into())),
        },
    )?;
    for line in events {
        for (step, tag, value) in scalars(&line.event) {
            write_record(&mut file, &scalar(line.at_ms, step, tag, value))?;
        }
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn seconds(at_ms: u64) -> f64 {
    at_ms as f64 / 1000.0
}

fn scalar(at_ms: u64, step: u64, tag: String, value: f64) -> Record {
    let summary = Summary { value: vec![Value { tag, simple_value: Some(value as f32) }] };
    Record {
        wall_time: seconds(at_ms),
        step: step.cast_signed(),
        what: Some(What::Summary(summary)),
    }
}

fn scalars(event: &Event) -> Vec<(u64, String, f64)> {
    match event {
        Event::Step(Step { step, loss, lr, grad_norm, epoch, sampled, .. }) => {
            let values =
                [("loss", *loss), ("lr", *lr), ("grad_norm", *grad_norm), ("epoch", *epoch)];
            let sampled = sampled.iter().flat_map(|it| {
                let still = it.groups_without_variance as f64 / it.groups.max(1) as f64;
                [
                    ("reward", it.reward),
                    ("reward_std", it.reward_std),
                    ("length", it.length),
                    ("ended", it.ended),
                    ("frac_reward_zero_std", still),
                ]
            });
            values
                .into_iter()
                .chain(sampled)
                .map(|(name, value)| (*step, format!("train/{name}"), value))
                .collect()
        }
        Event::Evaluation { step, scores, .. } => metrics(*step, scores),
        _ => Vec::new(),
    }
}

fn metrics(step: u64, scores: &Scores) -> Vec<(u64, String, f64)> {
    let all = scores
        .metrics
        .iter()
        .map(|(metric, value)| (metric.as_str(), *value))
        .chain([("loss", scores.loss)]);
    all.map(|(metric, value)| (step, format!("{}/{metric}", scores.split.name()), value)).collect()
}

/// A TFRecord: length, its checksum, the data, its checksum; all little-endian.
fn write_record(out: &mut impl Write, record: &Record) -> io::Result<()> {
    let data = record.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked_crc(&length).to_le_bytes())?;
    out.write_all(&data)?;
    out.write_all(&masked_crc(&data).to_le_bytes())
}

fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(CRC_MASK_DELTA)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by tests/data/make_fixtures.py with TensorBoard 2.21.0's own writer.
    #[test]
    fn the_bytes_are_those_of_tensorboards_own_writer() {
        const START_MS: u64 = 1_700_000_000_500;
        let mut bytes = Vec::new();
        write_record(
            &mut bytes,
            &Record {
                wall_time: seconds(START_MS),
                step: 0,
                what: Some(What::FileVersion(FILE_VERSION.into())),
            },
        )
        .unwrap();
        let values = [
            (1, "train/loss", 1.25),
            (1, "train/lr", 5e-4),
            (300, "validation/accuracy", 0.0),
            (300, "validation/loss", std::f64::consts::PI),
        ];
        for (step, tag, value) in values {
            write_record(&mut bytes, &scalar(START_MS + step * 1000, step, tag.into(), value))
                .unwrap();
        }
        assert_eq!(bytes, include_bytes!("../tests/data/reader.tfevents"));
    }

    #[test]
    fn a_run_without_events_still_gives_a_file_that_opens() {
        let folder = tempfile::tempdir().unwrap();
        tensorboard(&[], &folder.path().join("tensorboard")).unwrap();
        let bytes =
            fs::read(folder.path().join("tensorboard/events.out.tfevents.0000000000.finetuned"))
                .unwrap();
        // Neither time (0) nor step is written: 15 bytes of data, 16 of frame.
        assert_eq!(bytes.len(), 31);
    }
}
