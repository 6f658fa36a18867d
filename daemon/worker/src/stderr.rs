//! Lines on stderr, which is the job's log. A full disk behind it is no reason to panic: what is
//! said there is said elsewhere too.

use finetuned_job::printable::printable_lines;
use std::io::Write;

pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable_lines(text));
}
