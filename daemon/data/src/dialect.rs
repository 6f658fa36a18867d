//! How a CSV or TSV file is written: which delimiter, how quotes quote, whether there is a header,
//! which of its columns are any. Decided by its first rows.

use crate::formulas;
use crate::names;
use crate::row::{ABOVE_MAX, SAMPLE_ROWS, Sample, above_note, nearly_all};
use crate::swallowed::{self, Shape};
use crate::unblanked::Unblanked;
use crate::whole_lines::{self, WholeLines};
use csv::{ReaderBuilder, StringRecord};
use finetuned_answers::Cell;
use std::collections::HashSet;
use std::io::Read;

/// Part of the rows in which a column without a name may hold something and be none: what is broken
/// in a row falls into it.
const STRAY_SHARE_MAX: f64 = 0.1;

/// Of a file whose name says nothing: fewer lines may be alike by chance.
const ROWS_MIN: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// A quote inside of quotes is doubled.
    Doubled,
    /// It has a backslash before it, or is doubled.
    Escaped,
    /// They are doubled, and blanks may stand before the first one.
    AfterBlanks,
    /// They are single ones, doubled inside of quotes or with a backslash before them, as databases
    /// and Python write them.
    Single,
    /// They are characters as all others.
    None,
}

impl Quotes {
    /// What a person should know of them.
    fn note(self) -> Option<&'static str> {
        match self {
            Quotes::Escaped => Some("was read with a backslash before each quote inside of quotes"),
            Quotes::Single => Some("was read with single quotes around its fields"),
            Quotes::Doubled | Quotes::AfterBlanks | Quotes::None => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    quotes: Quotes,
    /// Whether each line stands in quotes as a whole.
    whole_lines: bool,
    /// Excel's first line that names the delimiter.
    sep_line: bool,
    /// Records above the header, as a title and empty ones.
    above: usize,
    /// Whether lines end as on Windows.
    pub(crate) crlf: bool,
    pub(crate) header: Option<Vec<String>>,
    /// Of a row.
    pub(crate) fields: usize,
    /// The place in a row of each column of the sample.
    pub(crate) columns: Vec<usize>,
    /// Of every field.
    pub(crate) shapes: Vec<Shape>,
    /// What a person should know of it, in sentences that follow the file's name.
    pub(crate) notes: Vec<String>,
}

impl Dialect {
    fn new(delimiter: u8, quotes: Quotes, sep_line: bool) -> Dialect {
        Dialect {
            delimiter,
            quotes,
            whole_lines: false,
            sep_line,
            above: 0,
            crlf: false,
            header: None,
            fields: 0,
            columns: Vec::new(),
            shapes: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn reader<R: Read>(&self, text: R) -> csv::Reader<Unblanked<WholeLines<R>>> {
        let (after_blanks, lines) =
            (self.quotes == Quotes::AfterBlanks, WholeLines::new(text, self.whole_lines));
        ReaderBuilder::new()
            .delimiter(self.delimiter)
            .quoting(self.quotes != Quotes::None)
            .quote(if self.quotes == Quotes::Single { b'\'' } else { b'"' })
            .escape(matches!(self.quotes, Quotes::Escaped | Quotes::Single).then_some(b'\\'))
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(1 << 16)
            .from_reader(Unblanked::new(lines, self.delimiter, after_blanks))
    }

    /// Records before the first row.
    pub(crate) fn skipped(&self) -> usize {
        usize::from(self.sep_line) + self.above + usize::from(self.header.is_some())
    }

    /// Whether a row is the header once more: with its names in the same order, or in another.
    pub(crate) fn header_again(&self, record: &StringRecord) -> Option<bool> {
        let header = self.header.as_ref()?;
        if repeats(record, header) {
            return Some(true);
        }
        let names = || unmarked(record);
        let is = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        // Nearly always they differ in the first one.
        let known = names().all(|it| !it.is_empty() && header.iter().any(|name| is(it, name)));
        let all = || header.iter().all(|it| names().any(|name| is(it, name)));
        (known && all()).then_some(false)
    }
}

/// A file that was joined to another one may have brought its mark.
fn unmarked(record: &StringRecord) -> impl Iterator<Item = &str> {
    record.iter().map(|it| it.trim_start_matches('\u{feff}').trim())
}

/// Whether a row holds these names in their order.
fn repeats(record: &StringRecord, names: &[impl AsRef<str>]) -> bool {
    let mut pairs = unmarked(record).zip(names);
    record.len() == names.len() && pairs.all(|(a, b)| a.eq_ignore_ascii_case(b.as_ref()))
}

/// `text`: the start of the file, whole lines. `tabs`: they are the likeliest delimiters.
pub(crate) fn sniff(text: &str, tabs: bool, named: &[&str]) -> (Dialect, Sample) {
    if let Some(inner) = whole_lines::unquoted(text) {
        let (mut dialect, sample) = sniff(&inner, tabs, named);
        if 1 < dialect.fields && whole_lines::are_rows(&inner, sample.rows.len()) {
            dialect.whole_lines = true;
            dialect.notes.push(whole_lines::NOTE.into());
            return (dialect, sample);
        }
    }
    let sep = sep_line(text);
    let head = text.lines().next().unwrap_or("");
    let delimiters: &[u8] = match &sep {
        Some(it) => std::slice::from_ref(it),
        None if tabs => b"\t,;|",
        // As R writes tables where nobody says otherwise.
        None if text.starts_with('"') && head.contains("\" \"") => b",;\t| ",
        None if is_list(text) => b" ",
        None => b",;\t|",
    };
    let mut best: Option<Reading> = None;
    for &delimiter in delimiters {
        use Quotes::{AfterBlanks, Doubled, Escaped, None, Single};
        for quotes in [Doubled, Escaped, AfterBlanks, Single, None] {
            let crlf = text.contains("\r\n");
            let dialect = Dialect { crlf, ..Dialect::new(delimiter, quotes, sep.is_some()) };
            let Some(reading) = Reading::of(dialect, text) else { continue };
            if best.as_ref().is_none_or(|it| reading.beats(it)) {
                best = Some(reading);
            }
        }
    }
    match best {
        Some(it) => it.finish(named),
        None => (Dialect::new(b',', Quotes::Doubled, false), Sample::default()),
    }
}

/// The delimiter of a file whose name says nothing and whose lines are rows: nearly all with as
/// many fields, one of which is one of a few values.
pub(crate) fn delimiter_of(text: &str) -> Option<u8> {
    /// Of those that have as many fields as the first one.
    const EVEN_MIN: f64 = 0.9;
    if is_list(text) {
        return Some(b' ');
    }
    for delimiter in *b"\t;|," {
        let readings = [Quotes::Doubled, Quotes::None]
            .into_iter()
            .filter_map(|quotes| Reading::of(Dialect::new(delimiter, quotes, false), text));
        let is_table = |it: &Reading| {
            let shapes = &it.dialect.shapes;
            ROWS_MIN <= it.records.len()
                && EVEN_MIN <= it.even
                && shapes.iter().any(|it| matches!(it, Shape::Recurring(of) if 1 < of.len()))
                && shapes.contains(&Shape::Free)
        };
        if readings.into_iter().any(|it| is_table(&it)) {
            return Some(delimiter);
        }
    }
    None
}

/// Whether each line is a name of a file and what is known of it, with blanks between, as in lists
/// of ImageNet.
fn is_list(text: &str) -> bool {
    let is_file = |it: &str| {
        let (stem, extension) = it.rsplit_once('.').unwrap_or((it, ""));
        (2..=4).contains(&extension.len())
            && extension.bytes().all(|it| it.is_ascii_alphanumeric())
            && !stem.is_empty()
            && !extension.bytes().all(|it| it.is_ascii_digit())
    };
    let lines = || text.lines().filter(|it| !it.trim().is_empty()).take(SAMPLE_ROWS);
    let fields = |it: &str| it.trim_end().split(' ').count();
    let n = lines().next().map_or(0, fields);
    2 <= n
        && ROWS_MIN <= lines().count()
        && lines().all(|it| fields(it) == n && it.split(' ').next().is_some_and(is_file))
}

/// The delimiter that Excel writes into a line before all others.
fn sep_line(text: &str) -> Option<u8> {
    let line = text.lines().next()?.trim_matches(['"', '\r', '\u{feff}']);
    let (word, delimiter) = line.split_at_checked(4)?;
    match delimiter.as_bytes() {
        [it] if word.eq_ignore_ascii_case("sep=") => Some(*it),
        _ => None,
    }
}

/// A sample, as one dialect has it.
struct Reading {
    dialect: Dialect,
    records: Vec<StringRecord>,
    /// Part of the records with as many fields as a row should have.
    even: f64,
    /// Quotes that are not as the dialect has them.
    odd_quotes: usize,
}

impl Reading {
    fn of(mut dialect: Dialect, text: &str) -> Option<Reading> {
        let delimiter = dialect.delimiter as char;
        let occurs = match dialect.quotes {
            Quotes::Doubled | Quotes::None => true,
            Quotes::Escaped => text.contains("\\\""),
            Quotes::AfterBlanks => text.contains(&format!("{delimiter} \"")),
            Quotes::Single => single_quoted(text, delimiter),
        };
        if !occurs {
            return None;
        }
        let records = dialect.reader(text.as_bytes()).into_records();
        let skipped = dialect.skipped();
        let mut records: Vec<_> =
            records.skip(skipped).take(SAMPLE_ROWS).map_while(Result::ok).collect();
        if 0 < records.iter_mut().map(formulas::unfold).filter(|it| *it).count() {
            dialect.notes.push(formulas::NOTE.into());
        }
        dialect.above = above(&records);
        records.drain(..dialect.above);
        dialect.fields = fields(&records);
        let even = records.iter().filter(|it| it.len() == dialect.fields).count();
        // One column can't tell a delimiter; it wins only where nothing else does.
        let even = if dialect.fields < 2 { 0.0 } else { even as f64 / records.len() as f64 };
        dialect.shapes = shapes(&records, dialect.fields);
        let odd_quotes = match dialect.quotes {
            Quotes::None => cut_quotes(&records),
            Quotes::Single => 0,
            _ => {
                let taken = records
                    .iter()
                    .filter_map(|it| swallowed::lines(it, dialect.delimiter, &dialect.shapes));
                odd_quotes(text, &dialect) + taken.sum::<u64>() as usize
            }
        };
        Some(Reading { dialect, records, even, odd_quotes })
    }

    /// Of two even readings the one that takes the single quotes away that nearly every line has is
    /// right, else the one that fewer quotes contradict, of two such the one that cuts no sentences
    /// behind their commas, then the one with more rows.
    fn beats(&self, other: &Reading) -> bool {
        let rows = |it: &Reading| it.records.len();
        let by_rows = rows(self).cmp(&rows(other));
        let by_quotes = other.odd_quotes.cmp(&self.odd_quotes);
        let single = |it: &Reading| it.dialect.quotes == Quotes::Single;
        let by_single = single(self).cmp(&single(other));
        let by_evenness = self.even.total_cmp(&other.even);
        let by_cut = are_cut(&other.records).cmp(&are_cut(&self.records));
        by_evenness.then(by_single).then(by_quotes).then(by_cut).then(by_rows).is_gt()
    }

    fn finish(self, named: &[&str]) -> (Dialect, Sample) {
        let Reading { mut dialect, mut records, .. } = self;
        let header = has_header(&records, named);
        let mut names: Vec<String> = match records.first() {
            Some(first) if header => first.iter().map(|it| it.trim().to_string()).collect(),
            _ => (1..=dialect.fields).map(names::of_place).collect(),
        };
        if header && !records.is_empty() {
            dialect.header = Some(names.clone());
            records.remove(0);
        }
        records.retain(|it| it.len() == dialect.fields && dialect.header_again(it).is_none());
        let row_names = aligned(&mut names, &records, dialect.fields);
        dialect.shapes = shapes(&records, dialect.fields);
        let (columns, notes) = columns(&mut names, &records, row_names);
        dialect.columns = columns;
        dialect.notes.extend(notes);
        dialect.notes.extend(above_note(dialect.above));
        dialect.notes.extend(dialect.quotes.note().map(String::from));
        let cell = |row: &StringRecord, at: usize| Cell::Text(row.get(at).unwrap_or("").into());
        let of_row = |row: &StringRecord| dialect.columns.iter().map(|at| cell(row, *at)).collect();
        let rows = records.iter().map(of_row).collect();
        let columns = dialect.columns.iter().map(|it| names[*it].clone()).collect();
        (dialect, Sample { columns, rows, headerless: !header })
    }
}

/// Whether nearly every line below the header has a field in single quotes.
fn single_quoted(text: &str, delimiter: char) -> bool {
    let encloses = |line: &str| {
        let begins = if line.starts_with('\'') {
            Some(1)
        } else {
            line.find(&format!("{delimiter}'")).map(|at| at + 2)
        };
        let rest = begins.map_or("", |at| &line[at..]);
        rest.ends_with('\'') || rest.contains(&format!("'{delimiter}"))
    };
    let lines = text.lines().skip(1).map(str::trim_end).filter(|it| !it.is_empty());
    nearly_all(lines.take(SAMPLE_ROWS).map(encloses))
}

/// Records above the header: they hold one thing each or nothing, and the first one that has
/// several has as many as the rows, and names in all of its fields.
fn above(records: &[StringRecord]) -> usize {
    let filled = |it: &StringRecord| it.iter().filter(|it| !it.trim().is_empty()).count();
    let above = records.iter().take_while(|it| filled(it) < 2).count();
    let below = &records[above..];
    let Some((header, rows)) = below.split_first() else { return 0 };
    let alike = rows.iter().filter(|it| it.len() == header.len()).count();
    let is_title = |it: &StringRecord| !it.iter().map(str::trim).any(names::is_usual);
    let fits = (1..=ABOVE_MAX).contains(&above)
        && filled(header) == header.len()
        && rows.len() <= alike + alike / 9
        && records[..above].iter().all(is_title)
        && has_header(below, &[]);
    if fits { above } else { 0 }
}

/// Of a row: as many as the first record has, unless nearly all others have one more, or one less
/// than a header with an empty end.
fn fields(records: &[StringRecord]) -> usize {
    let Some((first, rest)) = records.split_first() else { return 0 };
    let of_most = |n: usize| {
        let hits = rest.iter().filter(|it| it.len() == n).count();
        0 < hits && rest.len() <= hits + hits / 9
    };
    let n = first.len();
    let ends_empty = first.iter().next_back().is_some_and(|it| it.trim().is_empty());
    match n {
        // Names of rows are never alone, and what follows them does not begin with a blank, as the
        // second half of a text with a comma does.
        2.. if of_most(n + 1) && !are_cut(rest) => n + 1,
        3.. if ends_empty && of_most(n - 1) => n - 1,
        _ => n,
    }
}

/// Whether most records look as if their first field had been cut behind a comma.
fn are_cut(records: &[StringRecord]) -> bool {
    let cut = |it: &&StringRecord| it.get(1).is_some_and(|it| it.starts_with(' '));
    records.len() < 2 * records.iter().filter(cut).count()
}

/// Gives each field a name where the header has one more or less; whether the first field holds
/// names of rows, as R writes them.
fn aligned(names: &mut Vec<String>, records: &[StringRecord], fields: usize) -> bool {
    names.truncate(fields);
    if names.len() == fields {
        return false;
    }
    let last = |it: &StringRecord| it.get(fields - 1).is_some_and(|it| !it.trim().is_empty());
    if records.iter().any(last) {
        names.insert(0, String::new());
        return true;
    }
    names.push(String::new());
    false
}

/// The columns that are any, and what is to be said of the others. Those that have no name get one.
fn columns(
    names: &mut [String],
    records: &[StringRecord],
    row_names: bool,
) -> (Vec<usize>, Vec<String>) {
    let (mut columns, mut notes, mut strays) = (Vec::new(), Vec::new(), 0);
    for (at, name) in names.iter_mut().enumerate() {
        let unnamed = name.is_empty();
        if unnamed {
            *name = names::of_place(at + 1);
        }
        let values = || records.iter().filter_map(|it| it.get(at)).map(str::trim);
        let filled = values().filter(|it| !it.is_empty()).count();
        if unnamed && (filled as f64) <= STRAY_SHARE_MAX * records.len() as f64 {
            strays += usize::from(0 < filled);
        } else if unnamed && at == 0 && (row_names || counts(values())) {
            let why = if row_names { "the header is one name short" } else { "it has no name" };
            notes.push(format!("the first column was taken for the names of rows, as {why}"));
        } else {
            columns.push(at);
        }
    }
    if 0 < strays {
        notes.push(format!(
            "columns without a name that hold something in a few rows only were ignored: {strays}"
        ));
    }
    (columns, notes)
}

/// 0, 1, 2, ...
fn counts<'a>(values: impl Iterator<Item = &'a str>) -> bool {
    let numbers: Option<Vec<u64>> = values.map(|it| it.parse().ok()).collect();
    numbers.is_some_and(|it| it.windows(2).all(|it| it[0] < it[1]))
}

/// A first row is data when it looks like no names, or when one of its values comes again in a
/// column of few values.
pub(crate) fn has_header(records: &[StringRecord], named: &[&str]) -> bool {
    /// Nobody calls a column by more than this.
    const NAME_CHARS_MAX: usize = 64;
    let Some((first, rest)) = records.split_first() else { return true };
    // A header that stands again says nothing of the values.
    let names: Vec<&str> = first.iter().map(str::trim).collect();
    let rest: Vec<&StringRecord> = rest.iter().filter(|it| !repeats(it, &names)).collect();
    let comes_again = |(column, name): (usize, &&str)| {
        let values: Vec<&str> =
            rest.iter().filter_map(|it| it.get(column)).map(str::trim).collect();
        let distinct: HashSet<&str> = values.iter().copied().collect();
        !name.is_empty() && distinct.contains(name) && 2 * distinct.len() <= values.len() + 1
    };
    let is_name = |(column, name): (usize, &&str)| {
        names::is_usual(name) && !comes_again((column, name))
            || named.iter().any(|it| it.eq_ignore_ascii_case(name))
    };
    if names.iter().enumerate().any(is_name) {
        return true;
    }
    // A column that is called by its place has no name.
    let at = |nth: usize| nth.checked_sub(1).and_then(|it| names.get(it));
    if named
        .iter()
        .filter_map(|it| names::place(it))
        .any(|it| at(it).is_some_and(|it| !it.is_empty()))
    {
        return false;
    }
    // A column without a name holds nothing, or it is the first one and holds names of rows.
    let unnamed = |(at, name): (usize, &&str)| {
        let values = || rest.iter().filter_map(|it| it.get(at)).map(str::trim);
        let filled = values().filter(|it| !it.is_empty()).count();
        let nothing = filled as f64 <= STRAY_SHARE_MAX * rest.len() as f64;
        name.is_empty() && !nothing && !(at == 0 && counts(values()))
    };
    let no_name = |it: &&str| it.parse::<f64>().is_ok() || NAME_CHARS_MAX < it.chars().count();
    if names.iter().all(|it| it.is_empty())
        || names.iter().any(no_name)
        || names.iter().enumerate().any(unnamed)
    {
        return false;
    }
    !names.iter().enumerate().any(comes_again)
}

fn shapes(records: &[StringRecord], fields: usize) -> Vec<Shape> {
    let even = || records.iter().filter(|it| it.len() == fields);
    (0..fields).map(|at| Shape::of(even().filter_map(|it| it.get(at)))).collect()
}

/// Where quotes are characters as all others: fields with one at either end, and pairs of fields of
/// which the first begins with one and the second ends with one, as a quoted field that is cut.
fn cut_quotes(records: &[StringRecord]) -> usize {
    let (mut cut, mut open) = (0, false);
    for field in records.iter().flatten().map(str::trim) {
        match (field.starts_with('"'), field.ends_with('"')) {
            (true, true) if 1 < field.len() => cut += 1,
            (true, _) => open = true,
            (false, true) if std::mem::take(&mut open) => cut += 1,
            _ => {}
        }
    }
    cut
}

/// Quotes behind which a field goes on, though they close it.
fn odd_quotes(text: &str, dialect: &Dialect) -> usize {
    let (mut odd, mut quoted, mut fresh) = (0, false, true);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if quoted && dialect.quotes == Quotes::Escaped => {
                bytes.next();
            }
            b'"' if quoted && bytes.peek() == Some(&b'"') => {
                bytes.next();
            }
            b'"' if quoted => {
                quoted = false;
                let ends = |it: u8| it == dialect.delimiter || it == b'\r' || it == b'\n';
                let next = bytes.clone().find(|it| *it != b' ' || dialect.delimiter == b' ');
                odd += usize::from(!next.is_none_or(ends));
            }
            b'"' if fresh => quoted = true,
            b' ' if fresh && dialect.quotes == Quotes::AfterBlanks => continue,
            _ => {}
        }
        fresh = !quoted && (byte == dialect.delimiter || byte == b'\n' || byte == b'\r');
    }
    odd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, delimiter: char, quotes: Quotes, columns: &[&str], first: &[&str]) {
        let (dialect, sample) = sniff(text, false, &[]);
        assert_eq!((dialect.delimiter as char, dialect.quotes), (delimiter, quotes));
        assert_eq!(sample.columns, columns);
        let cells: Vec<Cell> = first.iter().map(|it| Cell::Text((*it).into())).collect();
        assert_eq!(sample.rows[0], cells);
    }

    #[test]
    fn quotes_are_read_as_they_are_meant() {
        use Quotes::{AfterBlanks, Doubled, Escaped, None, Single};
        let two = &["text", "label"];
        check("text,label\n\"a, \"\"b\"\"\",x\nc,y\n", ',', Doubled, two, &["a, \"b\"", "x"]);
        check(
            "text,label\n\"a \\\"b, c\\\" d\",x\ne,y\n",
            ',',
            Escaped,
            two,
            &["a \"b, c\" d", "x"],
        );
        check("text,label\n\"a \\\"b\\\" d\",x\ne,y\n", ',', Escaped, two, &["a \"b\" d", "x"]);
        check("text,label\n\"in C:\\\",x\n\"e, f\",y\n", ',', Doubled, two, &["in C:\\", "x"]);
        check(
            "label,text\nx, \"a, b\"\ny, \"c\"\n",
            ',',
            AfterBlanks,
            &["label", "text"],
            &["x", "a, b"],
        );
        let sql = "text,label\n'it''s, well, good','pos'\n'so 5\" off',neg\n'a\\'b',pos\n";
        check(sql, ',', Single, two, &["it's, well, good", "pos"]);
        check("text,label\n'a',x\n'b',y\n", ',', Single, two, &["a", "x"]);
        check(
            "text,label\n'tis so,x\nthe 'b', c,y\n'tis d,x\n",
            ',',
            Doubled,
            two,
            &["'tis so", "x"],
        );
        let twice = "text;label\n\"a; b:\nc\";x\n\"d; e:\nf\";y\n";
        check(twice, ';', Doubled, two, &["a; b:\nc", "x"]);
        check("text\tlabel\n\"a\" b\tx\nc\ty\n", '\t', None, two, &["\"a\" b", "x"]);
    }

    #[test]
    fn lines_that_are_rows_are_a_table_whatever_the_file_is_called() {
        let rows = |row: &dyn Fn(usize) -> String| (0..9).map(row).collect::<String>();
        let label = |it: usize| ["ham", "spam"][it % 2];
        let of = |row: &dyn Fn(usize) -> String| delimiter_of(&rows(row));
        assert_eq!(of(&|it| format!("{}\tGo, \"now {it}\n", label(it))), Some(b'\t'));
        assert_eq!(of(&|it| format!("i feel {it};{}\n", label(it))), Some(b';'));
        // A verse, a list of names, a column of numbers.
        assert_eq!(of(&|it| format!("line {it}, and so it goes\n")), None);
        assert_eq!(of(&|it| format!("Ada {it};Lovelace {it}\n")), None);
        assert_eq!(of(&|it| format!("{it}\n")), None);
        assert_eq!(delimiter_of("a;x\nb;y\nc;x\n"), None, "too few to tell");
    }

    #[test]
    fn headers_that_do_not_fit_their_rows() {
        use Quotes::Doubled;
        let two = &["text", "label"];
        check("text,label\n1,a,x\n2,b,y\n", ',', Doubled, two, &["a", "x"]);
        let r = "\"text\" \"label\"\n\"1\" \"a b\" \"x\"\n\"2\" \"c d\" \"y\"\n";
        check(r, ' ', Doubled, two, &["a b", "x"]);
        check("text,label\na,x,\nb,y,\n", ',', Doubled, two, &["a", "x"]);
        check("text,label,\na,x\nb,y\n", ',', Doubled, two, &["a", "x"]);
        check("v1,v2,,,\nham,a,,,\nspam,b,,,\n", ',', Doubled, &["v1", "v2"], &["ham", "a"]);
        check(",u,k\n0,a,x\n1,b,y\n", ',', Doubled, &["u", "k"], &["a", "x"]);
        check("sep=|\ntext|label\na,b|x\nc,d|y\n", '|', Doubled, two, &["a,b", "x"]);
    }
}
