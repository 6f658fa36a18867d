//! Parquet, through the row interface of the parquet crate: without Arrow it needs far fewer
//! crates, and a row of few cells gains nothing from columns.
//!
//! The crate may panic on a damaged file; that ends here, as a sentence.

use crate::inflate::Count;
use crate::refusal;
use crate::row::{Row, SAMPLE_ROWS, Sample, shorten, structure};
use crate::source::Source;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::{Type, TypePtr};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Rows with images in them are large, and a few of them say what they are.
const SAMPLE_BYTES: usize = 16 << 20;

pub(crate) struct Opened {
    pub(crate) sample: Sample,
    pub(crate) label_names: BTreeMap<String, Vec<String>>,
}

pub(crate) fn open(source: &Source) -> Result<Opened, Failure> {
    guarded(source, || {
        let reader =
            SerializedFileReader::new(file(source)?).map_err(|err| damaged(source, &err))?;
        let metadata = reader.metadata().file_metadata();
        let fields = metadata.schema().get_fields();
        let columns: Vec<String> = fields.iter().map(|it| it.name().to_string()).collect();
        let huggingface =
            metadata.key_value_metadata().into_iter().flatten().find(|it| it.key == "huggingface");
        let label_names =
            huggingface.and_then(|it| it.value.as_deref()).map(class_labels).unwrap_or_default();
        let all: Vec<usize> = (0..fields.len()).collect();
        let (mut rows, mut bytes) = (Vec::new(), 0);
        scan(source, &reader, &all, &mut |_, mut row| {
            bytes += row.iter_mut().map(shorten).sum::<usize>();
            rows.push(row);
            Ok(rows.len() < SAMPLE_ROWS && bytes < SAMPLE_BYTES)
        })?;
        Ok(Opened { sample: Sample { columns, rows, headerless: false }, label_names })
    })
}

pub(crate) fn rows(
    source: &Source,
    wanted: &[usize],
    raw: &Count,
    each: &mut dyn FnMut(Row) -> Result<(), Failure>,
) -> Result<(), Failure> {
    guarded(source, || {
        let reader =
            SerializedFileReader::new(file(source)?).map_err(|err| damaged(source, &err))?;
        let total = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
        // A projection keeps the order of the file.
        let mut projection = wanted.to_vec();
        projection.sort_unstable();
        let places: Vec<usize> =
            wanted.iter().filter_map(|idx| projection.binary_search(idx).ok()).collect();
        scan(source, &reader, &projection, &mut |line, mut row| {
            // Bytes can't be counted through the crate's own file access: rows stand for them.
            raw.set((source.bytes() as f64 * (line as f64 / total as f64).min(1.0)) as u64);
            let cell = |place: &usize| {
                row.get_mut(*place).map_or(Cell::Missing, |it| std::mem::replace(it, Cell::Missing))
            };
            each(Row { line, cells: Ok(places.iter().map(cell).collect()) }).map(|()| true)
        })
    })
}

/// Row number (from 1) and the cells of `projection`; goes on while `each` says so.
fn scan(
    source: &Source,
    reader: &SerializedFileReader<std::fs::File>,
    projection: &[usize],
    each: &mut dyn FnMut(u64, Vec<Cell>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let schema = reader.metadata().file_metadata().schema();
    let fields: Vec<TypePtr> =
        projection.iter().map(|idx| schema.get_fields()[*idx].clone()).collect();
    let projection = Type::group_type_builder(schema.name())
        .with_fields(fields)
        .build()
        .map_err(|err| damaged(source, &err))?;
    let mut line = 0;
    for group_idx in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group_idx).map_err(|err| damaged(source, &err))?;
        for row in
            group.get_row_iter(Some(projection.clone())).map_err(|err| damaged(source, &err))?
        {
            let row = row.map_err(|err| damaged(source, &err))?;
            line += 1;
            if !each(line, row.into_columns().into_iter().map(|(_, field)| cell(field)).collect())?
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn cell(field: Field) -> Cell {
    match field {
        Field::Null => Cell::Missing,
        Field::Str(it) => Cell::Text(it),
        Field::Bytes(it) => Cell::Bytes(it.data().to_vec()),
        Field::Bool(it) => Cell::Bool(it),
        Field::Byte(it) => Cell::Integer(it.into()),
        Field::Short(it) => Cell::Integer(it.into()),
        Field::Int(it) => Cell::Integer(it.into()),
        Field::Long(it) => Cell::Integer(it.into()),
        Field::UByte(it) => Cell::Integer(it.into()),
        Field::UShort(it) => Cell::Integer(it.into()),
        Field::UInt(it) => Cell::Integer(it.into()),
        Field::ULong(it) => Cell::Integer(it.into()),
        Field::Float16(it) => Cell::Fraction(it.to_f64()),
        Field::Float(it) => Cell::Fraction(it.into()),
        Field::Double(it) => Cell::Fraction(it),
        number @ Field::Decimal(_) => match number.to_string().parse() {
            Ok(it) => Cell::Fraction(it),
            Err(_) => Cell::Other("a decimal number"),
        },
        Field::Date(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::TimestampMillis(_)
        | Field::TimestampMicros(_) => Cell::Other("a date or a time"),
        Field::ListInternal(it) => Cell::List(it.elements().iter().cloned().map(cell).collect()),
        Field::Group(it) => {
            structure(it.into_columns().into_iter().map(|(name, it)| (name, cell(it))).collect())
        }
        Field::MapInternal(_) => Cell::Other("a map"),
    }
}

/// `{"info": {"features": {COLUMN: {"_type": "ClassLabel", "names": [...]}}}}`, as the datasets
/// library writes it, for lists one level deeper in `feature`; nothing where it says something
/// else.
pub(crate) fn class_labels(json: &str) -> BTreeMap<String, Vec<String>> {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let features = value["info"]["features"].as_object().into_iter().flatten();
    let names = |feature: &serde_json::Value| -> Option<Vec<String>> {
        // Old files write a list as `[FEATURE]`.
        let feature = feature.get("feature").or_else(|| feature.get(0)).unwrap_or(feature);
        (feature["_type"] == "ClassLabel").then_some(())?;
        feature["names"].as_array()?.iter().map(|it| it.as_str().map(str::to_string)).collect()
    };
    features.filter_map(|(column, feature)| Some((column.clone(), names(feature)?))).collect()
}

fn file(source: &Source) -> Result<std::fs::File, Failure> {
    source.file().map_err(|err| refusal::reading(&source.name, &err))
}

fn damaged(source: &Source, err: &ParquetError) -> Failure {
    let what = match err {
        ParquetError::General(it) | ParquetError::NYI(it) | ParquetError::EOF(it) => it.clone(),
        other => other.to_string(),
    };
    refusal::data(format!("{} can't be read as Parquet: {what}", source.name))
}

fn guarded<T>(source: &Source, read: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(refusal::data(format!(
            "{} is damaged: its Parquet pages contradict each other",
            source.name
        )))
    })
}
