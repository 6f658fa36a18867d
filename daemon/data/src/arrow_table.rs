//! Arrow's IPC format: files (Feather), streams, and what `save_to_disk` of Hugging Face's datasets
//! writes. A file is a stream with a mark before it and a directory behind it, and is read as one.
//!
//! No length that a file gives is believed before it was held against what there is. The crate may
//! panic on a damaged file; that ends here, as a sentence.

use crate::inflate::{self, Count};
use crate::parquet_table::class_labels;
use crate::refusal;
use crate::row::{Row, SAMPLE_ROWS, Sample, shorten, structure};
use crate::source::Source;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::{ArrowError, DataType, Schema};
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::collections::BTreeMap;
use std::io::{BufReader, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

const MAGIC: &[u8] = b"ARROW1\0\0";
/// Of a message: names of columns, lengths of buffers.
const METADATA_BYTES_MAX: usize = 16 << 20;
/// One batch of rows lies in memory as a whole.
const BATCH_BYTES_MAX: u64 = 4 << 30;
/// Rows with images in them are large, and a few of them say what they are.
const SAMPLE_BYTES: usize = 16 << 20;

pub(crate) struct Opened {
    pub(crate) sample: Sample,
    pub(crate) label_names: BTreeMap<String, Vec<String>>,
}

pub(crate) fn open(source: &Source) -> Result<Opened, Failure> {
    guarded(source, || {
        let mut opened = Opened { sample: Sample::default(), label_names: BTreeMap::new() };
        let mut bytes = 0;
        batches(source, &Count::default(), &mut |schema, batch| {
            if let Some(json) = schema.metadata().get("huggingface") {
                opened.label_names = class_labels(json);
            }
            opened.sample.columns = schema.fields().iter().map(|it| it.name().clone()).collect();
            for row in 0..batch.map_or(0, RecordBatch::num_rows) {
                let cells = batch.iter().flat_map(|it| it.columns());
                let mut cells: Vec<Cell> = cells.map(|it| cell(it, row)).collect();
                bytes += cells.iter_mut().map(shorten).sum::<usize>();
                opened.sample.rows.push(cells);
                if SAMPLE_ROWS <= opened.sample.rows.len() || SAMPLE_BYTES < bytes {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        Ok(opened)
    })
}

pub(crate) fn rows(
    source: &Source,
    wanted: &[usize],
    raw: &Count,
    each: &mut dyn FnMut(Row) -> Result<(), Failure>,
) -> Result<(), Failure> {
    guarded(source, || {
        let mut line = 0;
        batches(source, raw, &mut |_, batch| {
            let Some(batch) = batch else { return Ok(true) };
            for row in 0..batch.num_rows() {
                line += 1;
                let cell =
                    |it: &usize| batch.columns().get(*it).map_or(Cell::Missing, |it| cell(it, row));
                each(Row { line, cells: Ok(wanted.iter().map(cell).collect()) })?;
            }
            Ok(true)
        })
    })
}

type EachBatch<'a> = &'a mut dyn FnMut(&Schema, Option<&RecordBatch>) -> Result<bool, Failure>;

/// First the schema alone, then every batch; goes on while `each` says so.
fn batches(source: &Source, raw: &Count, each: EachBatch<'_>) -> Result<(), Failure> {
    let mut messages = Messages { source, stream: BufReader::new(source.stream(raw)?) };
    let mut decoder = StreamDecoder::new();
    let mut shown = false;
    while let Some(message) = messages.next()? {
        let mut buffer = Buffer::from_vec(message);
        while !buffer.is_empty() {
            let batch = decoder.decode(&mut buffer).map_err(|err| damaged(source, &err))?;
            let Some(schema) = decoder.schema() else { continue };
            if (!shown && !each(&schema, None)?)
                || (batch.is_some() && !each(&schema, batch.as_ref())?)
            {
                return Ok(());
            }
            shown = true;
        }
    }
    match shown {
        true => Ok(()),
        false => Err(refusal::data(format!("{} is no Arrow file", source.name))),
    }
}

/// One message after the other, each with its own body.
struct Messages<'a, R> {
    source: &'a Source,
    stream: BufReader<R>,
}

impl<R: Read> Messages<'_, R> {
    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut head = self.exactly()?;
        if head.is_some_and(|it| it == MAGIC[..4]) {
            // The mark is filled up with zeros, before the first message.
            head = self.exactly()?;
            while head.is_some_and(|it| it == MAGIC[4..] || it == [0; 4]) {
                head = self.exactly()?;
            }
        }
        let Some(mut length) = head else { return Ok(None) };
        let mut message = length.to_vec();
        if length == [0xff; 4] {
            length = self.exactly()?.ok_or_else(|| self.cut_off())?;
            message.extend(length);
        }
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 {
            return Ok(None);
        }
        if METADATA_BYTES_MAX < length {
            return Err(self.contradicts());
        }
        let metadata = self.bytes(length as u64)?;
        let (body, compressed) = self.lengths(&metadata)?;
        message.extend(metadata);
        let body = self.bytes(body)?;
        self.check_ratio(&body, &compressed)?;
        message.extend(body);
        Ok(Some(message))
    }

    /// Of the body, and the places of its compressed buffers.
    fn lengths(&self, metadata: &[u8]) -> Result<(u64, Vec<(usize, usize)>), Failure> {
        let message = arrow_ipc::root_as_message(metadata).map_err(|_| self.contradicts())?;
        let body = u64::try_from(message.bodyLength()).map_err(|_| self.contradicts())?;
        if BATCH_BYTES_MAX < body {
            return Err(refusal::data(format!(
                "{} has a batch of more than {} GiB",
                self.source.name,
                BATCH_BYTES_MAX >> 30
            ))
            .with_cure("write it in smaller batches"));
        }
        let dictionary = message.header_as_dictionary_batch().and_then(|it| it.data());
        let batch = message.header_as_record_batch().or(dictionary);
        let batch = batch.filter(|it| it.compression().is_some());
        let buffers = batch.and_then(|it| it.buffers()).into_iter().flatten();
        let place = |it: &arrow_ipc::Buffer| {
            Some((usize::try_from(it.offset()).ok()?, usize::try_from(it.length()).ok()?))
        };
        Ok((body, buffers.filter_map(place).collect()))
    }

    /// Every compressed buffer begins with the length that it will have.
    fn check_ratio(&self, body: &[u8], compressed: &[(usize, usize)]) -> Result<(), Failure> {
        let mut announced = 0_u64;
        for (offset, length) in compressed {
            let prefix = body.get(*offset..).and_then(|it| it.first_chunk::<8>());
            let length_then = prefix.map_or(0, |it| i64::from_le_bytes(*it)).max(0) as u64;
            announced = announced.saturating_add(length_then);
            if *length < 8 && 0 < *length {
                return Err(self.contradicts());
            }
        }
        match inflate::is_bomb(body.len() as u64, announced) || BATCH_BYTES_MAX < announced {
            true => Err(refusal::reading(&self.source.name, &inflate::bomb())),
            false => Ok(()),
        }
    }

    /// Nothing at the end of the file.
    fn exactly<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Failure> {
        let mut bytes = [0; N];
        match self.stream.read_exact(&mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(err) if err.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(err) => Err(refusal::reading(&self.source.name, &err)),
        }
    }

    /// As many as there are announced, and no more memory than there are bytes.
    fn bytes(&mut self, n: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let read = self.stream.by_ref().take(n).read_to_end(&mut bytes);
        read.map_err(|err| refusal::reading(&self.source.name, &err))?;
        if (bytes.len() as u64) < n { Err(self.cut_off()) } else { Ok(bytes) }
    }

    fn cut_off(&self) -> Failure {
        refusal::reading(&self.source.name, &ErrorKind::UnexpectedEof.into())
    }

    fn contradicts(&self) -> Failure {
        contradicts(self.source)
    }
}

fn cell(array: &dyn Array, row: usize) -> Cell {
    if array.is_null(row) {
        return Cell::Missing;
    }
    let list =
        |values: &dyn Array| Cell::List((0..values.len()).map(|it| cell(values, it)).collect());
    match array.data_type() {
        DataType::Null => Cell::Missing,
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).into()),
        DataType::LargeUtf8 => Cell::Text(array.as_string::<i64>().value(row).into()),
        DataType::Utf8View => Cell::Text(array.as_string_view().value(row).into()),
        DataType::Binary => Cell::Bytes(array.as_binary::<i32>().value(row).into()),
        DataType::LargeBinary => Cell::Bytes(array.as_binary::<i64>().value(row).into()),
        DataType::BinaryView => Cell::Bytes(array.as_binary_view().value(row).into()),
        DataType::FixedSizeBinary(_) => Cell::Bytes(array.as_fixed_size_binary().value(row).into()),
        DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
        DataType::Int8 => Cell::Integer(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Cell::Integer(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Cell::Integer(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Cell::Integer(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::UInt8 => Cell::Integer(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => Cell::Integer(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => Cell::Integer(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Cell::Integer(array.as_primitive::<UInt64Type>().value(row).into()),
        DataType::Float16 => Cell::Fraction(array.as_primitive::<Float16Type>().value(row).into()),
        DataType::Float32 => Cell::Fraction(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Cell::Fraction(array.as_primitive::<Float64Type>().value(row)),
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row)),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter().zip(fields);
            structure(columns.map(|(it, field)| (field.name().clone(), cell(it, row))).collect())
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let values = dictionary.values();
            let Cell::Integer(key) = cell(dictionary.keys(), row) else { return Cell::Missing };
            let key = usize::try_from(key).ok().filter(|it| *it < values.len());
            key.map_or(Cell::Missing, |it| cell(values, it))
        }
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Time32(_) => {
            Cell::Other("a date or a time")
        }
        DataType::Map(..) => Cell::Other("a map"),
        _ => Cell::Other("something else than texts, numbers and lists"),
    }
}

fn contradicts(source: &Source) -> Failure {
    refusal::data(format!("{} is damaged: its Arrow messages contradict each other", source.name))
        .with_cure("copy or make it again")
}

fn damaged(source: &Source, err: &ArrowError) -> Failure {
    refusal::data(format!("{} can't be read as Arrow: {err}", source.name))
}

fn guarded<T>(source: &Source, read: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(contradicts(source)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::DictionaryArray;

    #[test]
    fn a_cell_of_a_dictionary_costs_the_same_in_a_long_batch() {
        /// Looking at all keys for each row would be a hundred thousand million steps.
        const ROWS: usize = 300_000;
        let word = |row: usize| [Some("neg"), None, Some("pos")][row % 3];
        let array: DictionaryArray<Int8Type> = (0..ROWS).map(word).collect();
        for row in 0..ROWS {
            let expected = word(row).map_or(Cell::Missing, |it| Cell::Text(it.into()));
            assert_eq!(cell(&array, row), expected);
        }
    }
}
