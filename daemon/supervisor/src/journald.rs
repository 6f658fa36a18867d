//! The daemon's log as systemd's journal takes it: a datagram for each record, with the fields of
//! the spans around it (JOB, RUN, ATTEMPT, INBOX), so that `journalctl JOB=7` finds a job. What is
//! logged, and how a message reads, is decided in `logging`.

use finetuned_job::printable::printable;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Where the journal listens.
pub(crate) const SOCKET: &str = "/run/systemd/journal/socket";

pub(crate) struct Journal<F> {
    socket: UnixDatagram,
    path: PathBuf,
    /// An event -> its message.
    words: F,
}

/// Of a span, with the names that the journal knows.
struct Fields(BTreeMap<String, String>);

impl<F> Journal<F> {
    /// # Errors
    /// Nobody listens there.
    pub fn at(path: PathBuf, words: F) -> io::Result<Journal<F>> {
        // Each record names the place anew: the journal may restart.
        UnixDatagram::unbound()?.connect(&path)?;
        Ok(Journal { socket: UnixDatagram::unbound()?, path, words })
    }

    /// A journal that has restarted, and a record longer than a datagram: the journal reads our
    /// stderr as well, where it understands a level and a line.
    fn send(&self, record: &str, level: u8, message: &str) {
        if self.socket.send_to(record.as_bytes(), &self.path).is_err() {
            // Nobody is left who could be told.
            let _ = io::stderr().write_all(format!("<{level}>{message}\n").as_bytes());
        }
    }
}

/// Numbers of syslog(3).
fn level(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

impl<S, F> Layer<S> for Journal<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: for<'a> FormatFields<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes, id: &Id, context: Context<S>) {
        let mut fields = Fields(BTreeMap::new());
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record, context: Context<S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event, context: Context<S>) {
        let mut message = String::new();
        if self.words.format_fields(Writer::new(&mut message), event).is_err() {
            return;
        }
        let mut fields = BTreeMap::new();
        for span in context.event_scope(event).into_iter().flat_map(|it| it.from_root()) {
            let extensions = span.extensions();
            fields.extend(extensions.get::<Fields>().into_iter().flat_map(|it| it.0.clone()));
        }
        // Fields that are left out leave their separators.
        let message = message.trim_end();
        let level = level(*event.metadata().level());
        self.send(&record(level, message, &fields), level, message);
    }
}

/// A line for each field: no value has a line end of its own.
fn record(level: u8, message: &str, fields: &BTreeMap<String, String>) -> String {
    let message = printable(message);
    let mut record = format!("PRIORITY={level}\nSYSLOG_IDENTIFIER=finetuned\nMESSAGE={message}\n");
    for (name, value) in fields {
        // Writing into a string does not fail.
        let _ = writeln!(record, "{name}={}", printable(value));
    }
    record
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_uppercase(), value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging;
    use tracing_subscriber::prelude::*;

    #[test]
    fn a_record_carries_the_fields_of_the_spans_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        let heard = || {
            let mut bytes = [0; 4096];
            let n = listener.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..n].to_vec()).unwrap()
        };
        let journal = Journal::at(path, logging::words()).unwrap();
        let subscriber = tracing_subscriber::registry().with(journal);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(workers = 2, "serving {}", "/home");
            let run = "0007-a\nJOB=8\u{202e}";
            let job = tracing::error_span!(
                "job",
                job = 7u64,
                run,
                attempt = tracing::field::Empty,
                inbox = %"/drops"
            );
            let _entered = job.entered();
            tracing::warn!("its drop\nPRIORITY=0\u{9b} is gone");
            let _attempt = tracing::error_span!("attempt", attempt = 2u32, inbox = %"/b").entered();
            tracing::error!("it failed");
        });
        assert_eq!(
            heard(),
            "PRIORITY=6\nSYSLOG_IDENTIFIER=finetuned\nMESSAGE=serving /home workers=2\n"
        );
        assert_eq!(
            heard(),
            "PRIORITY=4\nSYSLOG_IDENTIFIER=finetuned\nMESSAGE=its drop\\nPRIORITY=0\\u{9b} is gone\nINBOX=/drops\nJOB=7\nRUN=0007-a\\nJOB=8\\u{202e}\n"
        );
        assert_eq!(
            heard(),
            "PRIORITY=3\nSYSLOG_IDENTIFIER=finetuned\nMESSAGE=it failed\nATTEMPT=2\nINBOX=/b\nJOB=7\nRUN=0007-a\\nJOB=8\\u{202e}\n"
        );
    }

    #[test]
    fn where_nobody_listens_there_is_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Journal::at(folder.path().join("socket"), logging::words()).is_err());
    }
}
