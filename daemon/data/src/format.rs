//! Formats of tables, by the names of files.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Tsv,
    JsonLines,
    Json,
    Parquet,
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
            _ => None,
        }
    }

    /// As `data.json` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::JsonLines => "json_lines",
            Format::Json => "json",
            Format::Parquet => "parquet",
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
        }
    }
}
