//! Excel workbooks, old and new, and OpenDocument's: by content, whatever the file is called. Cells
//! are what people see: whole numbers without decimals, dates as dates.
//!
//! What comes out of the zip is counted before the crate sees it, and so are cells; the crate may
//! panic on a damaged file, and that ends here, as a sentence.

use crate::dialect;
use crate::inflate;
use crate::names;
use crate::refusal;
use crate::row::{ABOVE_MAX, Held, Row, SAMPLE_ROWS, Sample, above_note};
use crate::source::Source;
use calamine::{Data, DataRef, ExcelDateTime, Ods, Reader, Sheet, SheetVisible, Xls, Xlsb, Xlsx};
use csv::StringRecord;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Of all parts, inflated: the crate holds several of them at a time.
const INFLATED_BYTES_MAX: u64 = 1 << 30;
/// An old workbook is read as a whole.
const OLD_BYTES_MAX: u64 = 256 << 20;
/// Of one sheet, empty ones among them counted; Excel's own limit of rows times twenty columns.
const CELLS_MAX: usize = 20 << 20;
/// Of the texts of one sheet: many cells may share one text in the file.
const TEXT_BYTES_MAX: usize = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Xlsx,
    Xlsb,
    Xls,
    Ods,
    /// A document that is no workbook: what it is called in a sentence.
    Other(&'static str),
}

/// By content; nothing where it is no office document.
pub(crate) fn kind(source: &Source) -> Result<Option<Kind>, Failure> {
    let mut head = [0; 4];
    let n = source.raw_head(&mut head)?;
    match &head[..n] {
        b"\xd0\xcf\x11\xe0" => Ok(Some(Kind::Xls)),
        b"PK\x03\x04" => Ok(of_zip(source)),
        _ => Ok(None),
    }
}

/// By the names of the parts; a zip that can't be listed is none.
fn of_zip(source: &Source) -> Option<Kind> {
    /// The telling parts come early.
    const LOOKED_AT: usize = 200;
    let mut kind = None;
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(source.file().ok()?, &mut buffer).ok()?;
    let mut directory = vec![0; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let mut entries = archive.entries(&mut directory);
    for _ in 0..LOOKED_AT {
        let Ok(Some(entry)) = entries.next_entry() else { break };
        match entry.file_path().as_bytes() {
            b"xl/workbook.xml" => return Some(Kind::Xlsx),
            b"xl/workbook.bin" => return Some(Kind::Xlsb),
            b"word/document.xml" => return Some(Kind::Other("a Word document")),
            b"ppt/presentation.xml" => return Some(Kind::Other("a PowerPoint file")),
            b"mimetype" => {
                let mut what = Vec::new();
                let method = entry.compression_method();
                let found = archive.get_entry(entry.wayfinder()).ok()?;
                let raw = BufReader::new(found.reader());
                let _ = match method {
                    CompressionMethod::DEFLATE => {
                        flate2::bufread::DeflateDecoder::new(raw).take(100).read_to_end(&mut what)
                    }
                    _ => raw.take(100).read_to_end(&mut what),
                };
                kind = match what.as_slice() {
                    it if it.ends_with(b"opendocument.spreadsheet") => return Some(Kind::Ods),
                    it if it.starts_with(b"application/vnd.oasis.opendocument") => {
                        Some(Kind::Other("an OpenDocument file and no sheet"))
                    }
                    it if it.starts_with(b"application/epub") => Some(Kind::Other("an e-book")),
                    _ => None,
                };
            }
            _ => {}
        }
    }
    kind
}

/// Names of the sheets that hold something, in their order, but those of a few rows come behind the
/// others, as a legend, and those without two cells in a row last: they are notes.
pub(crate) fn sheets(source: &Source) -> Result<Vec<String>, Failure> {
    let names = with(source, &mut |book| Ok(in_order(book)))?;
    if names.is_empty() { Err(nothing(source)) } else { Ok(names) }
}

fn nothing(source: &Source) -> Failure {
    refusal::data(format!("{} has no sheet with anything in it", source.name))
}

fn in_order(book: &mut dyn Book) -> Vec<String> {
    /// Of a table that is no legend.
    const ROWS_MIN: usize = 10;
    let (mut tables, mut legends, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for name in book.sheets() {
        let (mut last, mut wide) = (None, BTreeSet::new());
        let mut note = |row, _, cell| {
            if cell != Cell::Missing && last.replace(row) == Some(row) {
                wide.insert(row);
            }
            wide.len() < ROWS_MIN
        };
        // A chart is no sheet of cells.
        if book.cells(&name, &mut note).is_ok() && last.is_some() {
            let of = match wide.len() {
                0 => &mut notes,
                ROWS_MIN => &mut tables,
                _ => &mut legends,
            };
            of.push(name);
        }
    }
    tables.append(&mut legends);
    tables.append(&mut notes);
    tables
}

/// One sheet, the first that holds something where none is named.
pub(crate) fn open(
    source: &Source,
    sheet: Option<&str>,
    named: &[&str],
) -> Result<(Sample, Held), Failure> {
    let opened = with(source, &mut |book| {
        let first = || in_order(book).into_iter().next();
        let Some(sheet) = sheet.map(str::to_string).or_else(first) else { return Ok(None) };
        let mut grid = Grid::default();
        book.cells(&sheet, &mut |row, column, cell| grid.take(row, column, cell))?;
        Ok(Some((sheet, grid)))
    })?;
    let (sheet, grid) = opened.ok_or_else(|| nothing(source))?;
    grid.checked(&source.name)?.table(named).ok_or_else(|| {
        refusal::data(format!("{}: the sheet `{sheet}` has columns but no rows", source.name))
    })
}

/// Names of the sheets that people see; of all of them where they see none.
fn in_sight(sheets: &[Sheet]) -> Vec<String> {
    let is_seen = |it: &&Sheet| it.visible == SheetVisible::Visible;
    let any = sheets.iter().any(|it| is_seen(&it));
    sheets.iter().filter(|it| !any || is_seen(it)).map(|it| it.name.clone()).collect()
}

/// A workbook of any kind. `cells` gives row, column and content until `each` says no.
trait Book {
    fn sheets(&self) -> Vec<String>;
    fn cells(&mut self, sheet: &str, each: Each<'_>) -> Result<(), String>;
}

type Each<'a> = &'a mut dyn FnMut(u32, u32, Cell) -> bool;
type Stream = BufReader<File>;

impl Book for Xlsx<Stream> {
    fn sheets(&self) -> Vec<String> {
        in_sight(self.sheets_metadata())
    }

    fn cells(&mut self, sheet: &str, each: Each<'_>) -> Result<(), String> {
        let mut cells = self.worksheet_cells_reader(sheet).map_err(spoken)?;
        while let Some(it) = cells.next_cell().map_err(spoken)? {
            let (row, column) = it.get_position();
            if !each(row, column, shared(it.get_value())) {
                break;
            }
        }
        Ok(())
    }
}

impl Book for Xlsb<Stream> {
    fn sheets(&self) -> Vec<String> {
        in_sight(self.sheets_metadata())
    }

    fn cells(&mut self, sheet: &str, each: Each<'_>) -> Result<(), String> {
        let mut cells = self.worksheet_cells_reader(sheet).map_err(spoken)?;
        while let Some(it) = cells.next_cell().map_err(spoken)? {
            let (row, column) = it.get_position();
            if !each(row, column, shared(it.get_value())) {
                break;
            }
        }
        Ok(())
    }
}

/// Of kinds that the crate reads as a whole.
fn ranged<B: Reader<Stream>>(book: &mut B, sheet: &str, each: Each<'_>) -> Result<(), String>
where
    B::Error: Display,
{
    let range = book.worksheet_range(sheet).map_err(spoken)?;
    let (top, left) = range.start().unwrap_or_default();
    for (row, column, it) in range.used_cells() {
        if !each(top + row as u32, left + column as u32, owned(it)) {
            break;
        }
    }
    Ok(())
}

impl Book for Xls<Stream> {
    fn sheets(&self) -> Vec<String> {
        in_sight(self.sheets_metadata())
    }

    fn cells(&mut self, sheet: &str, each: Each<'_>) -> Result<(), String> {
        ranged(self, sheet, each)
    }
}

impl Book for Ods<Stream> {
    fn sheets(&self) -> Vec<String> {
        in_sight(self.sheets_metadata())
    }

    fn cells(&mut self, sheet: &str, each: Each<'_>) -> Result<(), String> {
        ranged(self, sheet, each)
    }
}

fn spoken(err: impl Display) -> String {
    err.to_string()
}

fn with<T>(
    source: &Source,
    read: &mut dyn FnMut(&mut dyn Book) -> Result<T, String>,
) -> Result<T, Failure> {
    let name = &source.name;
    let kind = kind(source)?;
    match kind {
        Some(Kind::Xls) if OLD_BYTES_MAX < source.bytes() => {
            return Err(refusal::data(format!(
                "{name} is an old workbook of more than {} MiB",
                OLD_BYTES_MAX >> 20
            ))
            .with_cure("save the sheet as CSV and drop that"));
        }
        Some(Kind::Xlsx | Kind::Xlsb | Kind::Ods) => bounded(source, kind == Some(Kind::Ods))?,
        _ => {}
    }
    let file = source.file().map_err(|err| refusal::reading(name, &err))?;
    let damaged = |why: String| {
        refusal::data(format!("{name} can't be read as a workbook: {why}"))
            .with_cure("save the sheet as CSV and drop that")
    };
    let opened = || -> Result<T, String> {
        let stream = BufReader::new(file);
        match kind {
            Some(Kind::Xlsx) => read(&mut Xlsx::new(stream).map_err(spoken)?),
            Some(Kind::Xlsb) => read(&mut Xlsb::new(stream).map_err(spoken)?),
            Some(Kind::Xls) => read(&mut Xls::new(stream).map_err(spoken)?),
            Some(Kind::Ods) => read(&mut Ods::new(stream).map_err(spoken)?),
            Some(Kind::Other(what)) => Err(format!("it is {what}")),
            None => Err("it is none".into()),
        }
    };
    let read = catch_unwind(AssertUnwindSafe(opened));
    read.unwrap_or_else(|_| Err("its parts contradict each other".into())).map_err(damaged)
}

/// Inflates everything once, and counts: nothing that a header says about sizes is believed.
fn bounded(source: &Source, is_ods: bool) -> Result<(), Failure> {
    let name = &source.name;
    let damaged = |err: &dyn Display| {
        refusal::data(format!("{name} is damaged: {err}")).with_cure("copy or save it again")
    };
    let too_much = || {
        refusal::data(format!(
            "{name} unpacks to more than is read as one workbook ({} MiB)",
            INFLATED_BYTES_MAX >> 20
        ))
        .with_cure("save the sheet as CSV and drop that")
    };
    let file = source.file().map_err(|err| refusal::reading(name, &err))?;
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(|err| damaged(&err))?;
    let mut directory = vec![0; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let mut entries = archive.entries(&mut directory);
    let (mut total, mut repeats) = (0, Repeats::default());
    while let Some(entry) = entries.next_entry().map_err(|err| damaged(&err))? {
        let counts_repeats = is_ods && entry.file_path().as_bytes() == b"content.xml";
        let method = entry.compression_method();
        let found = archive.get_entry(entry.wayfinder()).map_err(|err| damaged(&err))?;
        let raw = BufReader::with_capacity(1 << 16, found.reader());
        let mut content: Box<dyn Read + '_> = match method {
            CompressionMethod::DEFLATE => Box::new(flate2::bufread::DeflateDecoder::new(raw)),
            _ => Box::new(raw),
        };
        let mut chunk = vec![0; 1 << 16];
        loop {
            let n = content.read(&mut chunk).map_err(|err| damaged(&err))?;
            if n == 0 {
                break;
            }
            total += n as u64;
            if INFLATED_BYTES_MAX < total || inflate::is_bomb(source.bytes(), total) {
                return Err(too_much());
            }
            if counts_repeats {
                repeats.take(&chunk[..n]);
            }
        }
    }
    if CELLS_MAX as u64 * 10 < repeats.cells { Err(too_much()) } else { Ok(()) }
}

/// Cells that OpenDocument repeats, but for empty ones at the end of a row: each is one cell in
/// memory, however short the file.
#[derive(Default)]
struct Repeats {
    /// The tag under way; longer ones are cut.
    tag: Vec<u8>,
    inside: bool,
    /// Empty cells that something may follow.
    waiting: u64,
    cells: u64,
}

impl Repeats {
    fn take(&mut self, chunk: &[u8]) {
        const TAG_BYTES_MAX: usize = 4096;
        for byte in chunk {
            match byte {
                b'<' => {
                    self.tag.clear();
                    self.inside = true;
                }
                b'>' if self.inside => {
                    self.inside = false;
                    self.close();
                }
                _ if self.inside && self.tag.len() < TAG_BYTES_MAX => self.tag.push(*byte),
                _ => {}
            }
        }
    }

    fn close(&mut self) {
        const REPEATED: &[u8] = b"number-columns-repeated=";
        if self.tag.starts_with(b"/table:table-row") {
            self.waiting = 0;
        } else if self.tag.starts_with(b"table:table-cell")
            || self.tag.starts_with(b"table:covered")
        {
            let at = self.tag.windows(REPEATED.len()).position(|it| it == REPEATED);
            let digits = at.map_or(&b""[..], |at| &self.tag[at + REPEATED.len()..]);
            let digits = digits.iter().skip(1).take_while(|it| it.is_ascii_digit()).take(9);
            let n = digits.fold(0, |n, it| 10 * n + u64::from(it - b'0')).max(1);
            if self.tag.ends_with(b"/") {
                self.waiting = self.waiting.saturating_add(n);
            } else {
                self.cells = self.cells.saturating_add(n).saturating_add(self.waiting);
                self.waiting = 0;
            }
        }
    }
}

fn shared(cell: &DataRef<'_>) -> Cell {
    match cell {
        DataRef::SharedString(it) => text(it),
        DataRef::Int(it) => owned(&Data::Int(*it)),
        DataRef::Float(it) => owned(&Data::Float(*it)),
        DataRef::String(it) => text(it),
        DataRef::Bool(it) => Cell::Bool(*it),
        DataRef::DateTime(it) => Cell::Text(date(it)),
        DataRef::DateTimeIso(it) | DataRef::DurationIso(it) => text(it),
        DataRef::Error(_) | DataRef::Empty => Cell::Missing,
    }
}

fn owned(cell: &Data) -> Cell {
    /// Integers above this are not exact in a double.
    const EXACT_MAX: f64 = (1_u64 << 53) as f64;
    match cell {
        Data::Int(it) => Cell::Integer((*it).into()),
        Data::Float(it) if it.fract() == 0.0 && it.abs() < EXACT_MAX => Cell::Integer(*it as i128),
        Data::Float(it) => Cell::Fraction(*it),
        Data::String(it) => text(it),
        Data::Bool(it) => Cell::Bool(*it),
        Data::DateTime(it) => Cell::Text(date(it)),
        Data::DateTimeIso(it) | Data::DurationIso(it) => text(it),
        Data::Error(_) | Data::Empty => Cell::Missing,
    }
}

fn text(text: &str) -> Cell {
    if text.is_empty() { Cell::Missing } else { Cell::Text(text.into()) }
}

fn date(it: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = it.to_ymd_hms_milli();
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    match (it.is_duration() || it.as_f64() < 1.0, hour + minute + second) {
        (true, _) => time,
        (false, 0) => format!("{year:04}-{month:02}-{day:02}"),
        (false, _) => format!("{year:04}-{month:02}-{day:02} {time}"),
    }
}

/// The cells of a sheet that hold something.
#[derive(Default)]
struct Grid {
    rows: BTreeMap<u32, Vec<(u32, Cell)>>,
    columns: BTreeSet<u32>,
    text_bytes: usize,
    cells: usize,
    too_large: bool,
}

impl Grid {
    fn take(&mut self, row: u32, column: u32, cell: Cell) -> bool {
        match &cell {
            Cell::Missing => return true,
            Cell::Text(it) => self.text_bytes += it.len(),
            _ => {}
        }
        self.cells += 1;
        self.columns.insert(column);
        self.rows.entry(row).or_default().push((column, cell));
        self.too_large = CELLS_MAX < self.cells || TEXT_BYTES_MAX < self.text_bytes;
        !self.too_large
    }

    fn checked(self, name: &str) -> Result<Grid, Failure> {
        if self.too_large || CELLS_MAX < self.rows.len().saturating_mul(self.columns.len()) {
            return Err(refusal::data(format!("{name} has more cells than are read of a sheet"))
                .with_cure("save the sheet as CSV and drop that"));
        }
        Ok(self)
    }

    /// Rows above the header, as a title: with one cell each, where all columns have a text below.
    fn above(&self) -> usize {
        let rows = || self.rows.values();
        let above = rows().take_while(|it| it.len() < 2).count();
        let header = rows().nth(above).map_or(&[][..], Vec::as_slice);
        let is_name = |it: &(u32, Cell)| matches!(it.1, Cell::Text(_));
        let is_usual = |it: &(u32, Cell)| matches!(&it.1, Cell::Text(it) if names::is_usual(it));
        let names = header.len() == self.columns.len() && header.iter().all(is_name);
        let titles = !rows().take(above).flatten().any(is_usual);
        if above <= ABOVE_MAX && names && titles { above } else { 0 }
    }

    /// The first row that holds several things is the header, where it looks like names, as in CSV.
    fn table(self, named: &[&str]) -> Option<(Sample, Held)> {
        let places: Vec<u32> = self.columns.iter().copied().collect();
        let above = self.above();
        let rows = self.rows.into_iter().skip(above).map(|(row, cells)| {
            let mut line = vec![Cell::Missing; places.len()];
            for (column, cell) in cells {
                if let Ok(at) = places.binary_search(&column) {
                    line[at] = cell;
                }
            }
            Row { line: u64::from(row) + 1, cells: Ok(line) }
        });
        let mut rows: Vec<Row> = rows.collect();
        let header = dialect::has_header(&records(rows.iter()), named);
        let first = rows.first()?.clone();
        let cells = first.cells.as_ref().map_or(&[][..], Vec::as_slice);
        let name = |(idx, cell): (usize, &Cell)| match cell {
            Cell::Text(it) if header && !it.trim().is_empty() => it.trim().to_string(),
            Cell::Integer(it) if header => it.to_string(),
            _ => names::of_place(idx + 1),
        };
        let columns: Vec<String> = cells.iter().enumerate().map(name).collect();
        if header {
            rows.remove(0);
        }
        (!rows.is_empty()).then(|| {
            let (sample, mut held) = Held::new(columns, rows, !header);
            held.notes.extend(above_note(above));
            (sample, held)
        })
    }
}

/// Of a few rows; numbers and dates as they are shown.
fn records<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<StringRecord> {
    let shown = |cell: &Cell| match cell {
        Cell::Text(it) => it.trim().to_string(),
        Cell::Missing => String::new(),
        other => other.shown(),
    };
    let of_row = |row: &Row| row.cells.iter().flatten().map(shown).collect();
    rows.take(SAMPLE_ROWS).map(of_row).collect()
}
