//! IDX, the form of MNIST: a file of pixels and a file of labels (`train-images-idx3-ubyte`,
//! `train-labels-idx1-ubyte`), plain or compressed. Every image becomes a PNG, so that nobody
//! behind this has to know of the form.
//!
//! The format: <http://yann.lecun.com/exdb/mnist/>; big-endian magic 0, 0, type, dimensions; then
//! the sizes.

use super::store::Writer;
use crate::example::Record;
use crate::gather::Place;
use crate::inflate::Count;
use crate::inventory::{Inventory, SingleFile};
use crate::progress::Steps;
use crate::reading::Reading;
use crate::refusal;
use crate::source::Source;
use crate::split_names;
use crate::targets;
use finetuned_answers::Cell;
use finetuned_job::data::FileReport;
use finetuned_job::event::Phase;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use flate2::write::ZlibEncoder;
use std::io::{self, BufReader, Read as _, Write};

/// Unsigned bytes, the only type that images have.
const UNSIGNED_BYTES: u8 = 8;
/// Far above what is published in this form.
const SIDE_MAX: u32 = 4096;

pub(super) fn read(
    found: Inventory,
    store: &mut Writer,
    reading: &mut Reading<'_, '_>,
) -> Result<(), Failure> {
    reading.gather.learnt = Some(targets::of_classes("IDX files", reading.request)?);
    let mut opened = Vec::new();
    for file in found.idx {
        let source = Source::open(&file.path, &file.name)?;
        let (shape, _) = open(&source, &Count::default())?;
        opened.push((file, source, shape));
    }
    let (labels, images): (Vec<_>, Vec<_>) = opened.into_iter().partition(|it| it.2.len() == 1);
    if images.is_empty() {
        return Err(refusal::data("the drop has IDX files of labels, but none of images"));
    }
    let mut steps = Steps::new(Phase::Reading, Some(images.iter().map(|it| it.1.bytes()).sum()));
    let alone = images.len() == 1;
    for (file, source, shape) in &images {
        let labels = labels_of(file, alone, &labels)?;
        let wanted = Pixels { source, shape, split: split(&file.name) };
        take(&wanted, &read_labels(&labels.1, shape[0], source)?, store, reading, &mut steps)?;
        reading.files.push(FileReport {
            path: file.name.clone(),
            format: "idx".into(),
            encoding: None,
            bytes: source.bytes() + labels.1.bytes(),
            rows: 0,
            split: wanted.split,
        });
    }
    Ok(())
}

type Opened = (SingleFile, Source, Vec<u32>);

/// MNIST calls its test set t10k.
fn split(name: &str) -> Option<Split> {
    let own = name.rsplit('/').next().unwrap_or(name);
    if own.starts_with("t10k") { Some(Split::Test) } else { split_names::split_of(own) }
}

/// What the names of a pair have in common.
fn pair_name(name: &str) -> String {
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    name.replace("labels", "images").replace("idx1", "idx3").replace("idx4", "idx3")
}

fn labels_of<'a>(
    images: &SingleFile,
    alone: bool,
    labels: &'a [Opened],
) -> Result<&'a Opened, Failure> {
    if let ([only], true) = (labels, alone) {
        return Ok(only);
    }
    labels.iter().find(|it| pair_name(&it.0.name) == pair_name(&images.name)).ok_or_else(|| {
        refusal::data(format!("{} has no file of labels beside it", images.name))
            .with_cure("name the two alike, as train-images-idx3-ubyte and train-labels-idx1-ubyte")
    })
}

type Stream = BufReader<Box<dyn io::Read>>;

/// Sizes, and the stream behind the header. `raw` counts the bytes read of the file.
fn open(source: &Source, raw: &Count) -> Result<(Vec<u32>, Stream), Failure> {
    let name = &source.name;
    let failed = |err| refusal::reading(name, &err);
    let mut stream = BufReader::with_capacity(1 << 16, source.stream(raw)?);
    let mut magic = [0; 4];
    stream.read_exact(&mut magic).map_err(failed)?;
    let [0, 0, UNSIGNED_BYTES, dimensions @ (1 | 3 | 4)] = magic else {
        return Err(refusal::data(format!(
            "{name} is no IDX file of images or labels in unsigned bytes"
        )));
    };
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let mut size = [0; 4];
        stream.read_exact(&mut size).map_err(failed)?;
        shape.push(u32::from_be_bytes(size));
    }
    let sides = shape.iter().skip(1).take(2);
    if sides.clone().any(|it| *it == 0 || SIDE_MAX < *it)
        || shape.get(3).is_some_and(|it| *it != 1 && *it != 3)
    {
        let shape: Vec<String> = shape.iter().map(u32::to_string).collect();
        return Err(refusal::data(format!(
            "{name} holds {}, which are no images",
            shape.join(" x ")
        )));
    }
    Ok((shape, stream))
}

fn read_labels(source: &Source, images: u32, of: &Source) -> Result<Vec<u8>, Failure> {
    let (shape, stream) = open(source, &Count::default())?;
    if shape[0] != images {
        return Err(refusal::data(format!(
            "{} holds {} labels, but {} holds {images} images",
            source.name, shape[0], of.name
        )));
    }
    let mut labels = Vec::new();
    stream
        .take(shape[0].into())
        .read_to_end(&mut labels)
        .map_err(|err| refusal::reading(&source.name, &err))?;
    source.check_unchanged()?;
    if labels.len() != shape[0] as usize {
        return Err(refusal::reading(&source.name, &io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(labels)
}

struct Pixels<'a> {
    source: &'a Source,
    shape: &'a [u32],
    split: Option<Split>,
}

fn take(
    pixels: &Pixels<'_>,
    labels: &[u8],
    store: &mut Writer,
    reading: &mut Reading<'_, '_>,
    steps: &mut Steps,
) -> Result<(), Failure> {
    let Pixels { source, shape, split } = *pixels;
    let name = &source.name;
    let failed = |err| refusal::reading(name, &err);
    let raw = Count::default();
    let (_, mut stream) = open(source, &raw)?;
    let (height, width) = (shape[1], shape[2]);
    let channels = shape.get(3).copied().unwrap_or(1);
    let mut bytes = vec![0; (width * height * channels) as usize];
    let file = reading.file_idx();
    for (nth, label) in labels.iter().enumerate() {
        stream.read_exact(&mut bytes).map_err(failed)?;
        let png = png(width, height, channels, &bytes).map_err(failed)?;
        let nth = nth as u64 + 1;
        let row = store.add(&png)?.map(|at| {
            let record = Record { image: Some(at), ..Record::default() };
            (record, vec![Cell::Integer((*label).into())])
        });
        reading.gather.take(Place { split, file, nth, name, line: Some(nth) }, row)?;
        steps.within(&raw, reading.progress);
    }
    steps.file(source.bytes(), reading.progress);
    source.check_unchanged()
}

/// The smallest PNG there is: one pass, no filters. <https://www.w3.org/TR/png-3/>
fn png(width: u32, height: u32, channels: u32, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], content: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(content);
        png.extend((content.len() as u32).to_be_bytes());
        png.extend(kind);
        png.extend(content);
        png.extend(crc.sum().to_be_bytes());
    };
    let colour = if channels == 3 { 2 } else { 0 };
    chunk(
        b"IHDR",
        &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, colour, 0, 0, 0]].concat(),
    );
    let mut rows = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    for row in pixels.chunks_exact((width * channels) as usize) {
        rows.write_all(&[0])?;
        rows.write_all(row)?;
    }
    chunk(b"IDAT", &rows.finish()?);
    chunk(b"IEND", b"");
    Ok(png)
}
