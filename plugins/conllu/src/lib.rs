//! Reads CoNLL-U, the format of Universal Dependencies
//! (<https://universaldependencies.org/format.html>): a sentence is an example, its class stands in
//! a comment.
//!
//! ```text
//! # newdoc id = GUM_academic_art
//! # meta::genre = academic
//! # sent_id = GUM_academic_art-1
//! # text = Aesthetic Appreciation
//! 1   Aesthetic   aesthetic   ADJ   ...
//! ```
//!
//! With `label = "meta::genre"` the sentence above is of class `academic`, and so are those after
//! it until the next `# newdoc`: comments from the start of a document hold for all of it, unless a
//! sentence says otherwise. The text is that of `# text`, else it is put together from the FORM
//! column and `SpaceAfter=No`. Splits are told by file names as Universal Dependencies has them:
//! `en_gum-ud-train.conllu`, `-dev`, `-test`.

use finetuned_sdk::{Content, DropFolder, Error, Example, Found, Reader, Result, Split};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader};

/// Columns of a word.
const COLUMNS: usize = 10;

pub struct Conllu {
    label: String,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Key of the comment that names the class.
    label: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { label: "label".into() }
    }
}

impl Reader for Conllu {
    const NAME: &'static str = "conllu";
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Conllu> {
        if settings.label.trim() != settings.label || settings.label.is_empty() {
            return Err(Error::invalid("label is the key of a comment, such as \"meta::genre\""));
        }
        Ok(Conllu { label: settings.label })
    }

    fn recognise(&mut self, drop: &DropFolder) -> Result<bool> {
        Ok(drop.files().any(|(_, name)| is_conllu(name)))
    }

    fn read(&mut self, drop: &DropFolder, found: &mut Found) -> Result<()> {
        for (file, name) in drop.files().filter(|it| is_conllu(it.1)) {
            let lines = BufReader::new(
                File::open(drop.path(name)).map_err(|err| Error::from(err).context(name))?,
            )
            .split(b'\n');
            let mut open = Sentence { split: split(name), file, ..Sentence::default() };
            let mut document = None;
            let mut n_lines = 0;
            for line in lines {
                let line = line.map_err(|err| Error::from(err).context(name))?;
                n_lines += 1;
                match std::str::from_utf8(&line).map(|it| it.trim_end_matches('\r')) {
                    Ok("") => open.end(&document, found)?,
                    Ok(text) => open.line(text, n_lines, &self.label, &mut document),
                    Err(_) => open.wrong(n_lines, "not UTF-8"),
                }
            }
            open.end(&document, found)?;
        }
        Ok(())
    }
}

fn is_conllu(name: &str) -> bool {
    name.ends_with(".conllu")
}

fn split(name: &str) -> Split {
    let stem = name.trim_end_matches(".conllu");
    let ends = |it: &str| {
        stem == it || stem.ends_with(&format!("-{it}")) || stem.ends_with(&format!("/{it}"))
    };
    if ends("train") {
        Split::Train
    } else if ends("dev") {
        Split::Validation
    } else if ends("test") {
        Split::Test
    } else {
        Split::Open
    }
}

/// A sentence while it is read. Its comments come before its words.
struct Sentence {
    file: usize,
    split: Split,
    /// Of its first line, from 1; 0: nothing was read yet.
    line: u64,
    text: Option<String>,
    label: Option<String>,
    words: String,
    /// Whether a space comes before the next word.
    space: bool,
    /// Number of the last word inside a multiword token, whose own line has the form.
    covered_to: u32,
    /// Its comments hold for the document.
    opens_document: bool,
    wrong: Option<(u64, &'static str)>,
}

impl Default for Sentence {
    fn default() -> Sentence {
        let (words, split) = (String::new(), Split::Open);
        Sentence {
            file: 0,
            split,
            line: 0,
            text: None,
            label: None,
            words,
            space: false,
            covered_to: 0,
            opens_document: false,
            wrong: None,
        }
    }
}

impl Sentence {
    fn line(&mut self, text: &str, line: u64, label: &str, document: &mut Option<String>) {
        if self.line == 0 {
            self.line = line;
        }
        let Some(comment) = text.strip_prefix('#') else { return self.word(text, line) };
        let (key, value) = comment
            .split_once('=')
            .map_or((comment.trim(), ""), |(key, value)| (key.trim(), value.trim()));
        if key == "newdoc" || key.starts_with("newdoc ") {
            *document = None;
            self.opens_document = true;
        } else if key == label && !value.is_empty() {
            self.label = Some(value.into());
            if self.opens_document {
                *document = Some(value.into());
            }
        } else if key == "text" && !value.is_empty() {
            self.text = Some(value.into());
        }
    }

    fn word(&mut self, text: &str, line: u64) {
        let columns: Vec<&str> = text.split('\t').collect();
        let [id, form, _, _, _, _, _, _, _, misc] = columns[..] else {
            return self.wrong(
                line,
                if columns.len() < COLUMNS {
                    "a word with fewer than 10 columns"
                } else {
                    "a word with more than 10 columns"
                },
            );
        };
        // 3: a word. 3-4: a token of several, whose form is the written one. 3.1: an empty node,
        // which nobody wrote.
        if id.contains('.') {
            return;
        }
        let (first, last) = id.split_once('-').map_or((id, id), |it| it);
        let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else {
            return self.wrong(line, "a word without a number");
        };
        if first <= self.covered_to {
            return;
        }
        if first < last {
            self.covered_to = last;
        }
        if self.space {
            self.words.push(' ');
        }
        self.words.push_str(form);
        self.space = !misc.split('|').any(|it| it == "SpaceAfter=No");
    }

    fn wrong(&mut self, line: u64, reason: &'static str) {
        self.line = if self.line == 0 { line } else { self.line };
        self.wrong.get_or_insert((line, reason));
    }

    /// An empty line ends a sentence, unless none had begun.
    fn end(&mut self, document: &Option<String>, found: &mut Found) -> Result<()> {
        let it = std::mem::replace(
            self,
            Sentence { file: self.file, split: self.split, ..Sentence::default() },
        );
        if it.line == 0 {
            return Ok(());
        }
        if let Some((line, reason)) = it.wrong {
            return found.bad(it.file, line, reason);
        }
        let text = it.text.unwrap_or(it.words);
        let label = it.label.as_ref().or(document.as_ref());
        match label {
            _ if text.is_empty() => found.bad(it.file, it.line, "a sentence without words"),
            None => found.bad(it.file, it.line, "a sentence without a label"),
            Some(label) => found.example(&Example {
                content: Content::Text(&text),
                label,
                split: it.split,
                file: it.file,
                line: it.line,
            }),
        }
    }
}

finetuned_sdk::export! { readers: [Conllu] }

#[cfg(test)]
mod tests {
    use super::*;
    use finetuned_sdk::testing::{self, Findings};

    fn read(files: &[(&str, &str)], settings: &str) -> Findings {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        testing::read::<Conllu>(settings, folder.path()).expect("read").expect("recognised")
    }

    #[test]
    fn as_the_conllu_package_has_it() {
        // gum-train.conllu is ours, in the ways of UD_English-GUM; expected.json was made by
        // fixtures/make.py.
        let text = include_str!("../../fixtures/gum-train.conllu");
        let expected: Vec<(String, String)> =
            serde_json::from_str(include_str!("../../fixtures/conllu.json")).expect("pairs");
        let found = read(&[("gum-train.conllu", text)], r#"{"label": "meta::genre"}"#);
        assert_eq!(found.bad, []);
        let pairs: Vec<(String, String)> =
            found.examples.iter().map(|it| (it.content.clone(), it.label.clone())).collect();
        assert_eq!(pairs, expected);
        assert!(found.examples.iter().all(|it| it.split == Split::Train));
        assert_eq!(found.examples[1].line, 12);
    }

    #[test]
    fn without_a_text_comment_the_words_are_put_together() {
        let without: String = include_str!("../../fixtures/gum-train.conllu")
            .lines()
            .filter(|it| !it.starts_with("# text"))
            .map(|it| format!("{it}\n"))
            .collect();
        let with = read(
            &[("a.conllu", include_str!("../../fixtures/gum-train.conllu"))],
            r#"{"label": "meta::genre"}"#,
        );
        let without = read(&[("a.conllu", &without)], r#"{"label": "meta::genre"}"#);
        let texts =
            |it: &Findings| it.examples.iter().map(|it| it.content.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&without), texts(&with));
    }

    #[test]
    fn bad_sentences_are_named() {
        let word = "1\tYes\tyes\tINTJ\t_\t_\t0\troot\t_\t_\n";
        let text = format!(
            "# label = a\n{word}\n{word}\n# label = b\n\n# label = c\n1\tNo\n\n\r\n# label = d\r\n{}",
            word.replace('\n', "\r\n")
        );
        let found = read(&[("x.conllu", &text)], "{}");
        let usable: Vec<(&str, u64)> =
            found.examples.iter().map(|it| (it.label.as_str(), it.line)).collect();
        assert_eq!(usable, [("a", 1), ("d", 12)]);
        let bad: Vec<(u64, &str)> = found.bad.iter().map(|it| (it.1, it.2.as_str())).collect();
        assert_eq!(
            bad,
            [
                (4, "a sentence without a label"),
                (6, "a sentence without words"),
                (9, "a word with fewer than 10 columns")
            ]
        );
    }

    #[test]
    fn other_files_are_not_recognised() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("table.csv"), "text,label\n").expect("written");
        assert_eq!(testing::read::<Conllu>("{}", folder.path()).expect("looked"), None);
    }
}
