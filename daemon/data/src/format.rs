//! Formats of tables, by the names of files.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Tsv,
    JsonLines,
    Json,
    Parquet,
    /// Excel's, old and new, and OpenDocument's.
    Workbook,
    /// The IPC format, as files and streams.
    Arrow,
    /// A text a line, after its labels: `__label__x`.
    FastText,
}

impl Format {
    /// By the last extension, in lower case.
    pub(crate) fn of_extension(extension: &str) -> Option<Format> {
        match extension {
            "csv" => Some(Format::Csv),
            "tsv" | "tab" => Some(Format::Tsv),
            "jsonl" | "ndjson" | "jsonlines" => Some(Format::JsonLines),
            "json" => Some(Format::Json),
            "parquet" | "pq" => Some(Format::Parquet),
            "xlsx" | "xlsm" | "xlsb" | "xls" | "ods" => Some(Format::Workbook),
            "arrow" | "feather" | "ipc" => Some(Format::Arrow),
            _ => None,
        }
    }

    /// Whether its end or its middle is needed first: as a stream it can't be read.
    pub(crate) fn is_random_access(self) -> bool {
        matches!(self, Format::Parquet | Format::Workbook)
    }

    /// As `data.json` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::JsonLines => "json_lines",
            Format::Json => "json",
            Format::Parquet => "parquet",
            Format::Workbook => "workbook",
            Format::Arrow => "arrow",
            Format::FastText => "fasttext",
        }
    }

    /// In sentences.
    pub(crate) fn spoken(self) -> &'static str {
        match self {
            Format::Csv => "CSV",
            Format::Tsv => "TSV",
            Format::JsonLines => "JSON Lines",
            Format::Json => "JSON",
            Format::Parquet => "Parquet",
            Format::Workbook => "an Excel workbook",
            Format::Arrow => "Arrow",
            Format::FastText => "fastText",
        }
    }
}
