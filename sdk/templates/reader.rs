//! A reader: files of lines `label<TAB>text`, with the ending `.lines`. Change it to what you need;
//! `cargo test` says whether it holds.

#![forbid(unsafe_code)]

use finetuned_sdk::{Content, DropFolder, Error, Example, Found, NoSettings, Reader, Result, Split};
use std::io::{BufRead, BufReader};

pub struct {{Type}};

impl Reader for {{Type}} {
    const NAME: &'static str = "{{name}}";
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<{{Type}}> {
        Ok({{Type}})
    }

    fn recognise(&mut self, drop: &DropFolder) -> Result<bool> {
        Ok(drop.files().any(|(_, name)| name.ends_with(".lines")))
    }

    fn read(&mut self, drop: &DropFolder, found: &mut Found) -> Result<()> {
        for (file, name) in drop.files().filter(|it| it.1.ends_with(".lines")) {
            let open = std::fs::File::open(drop.path(name));
            let open = open.map_err(|err| Error::from(err).context(name))?;
            for (line, number) in BufReader::new(open).lines().zip(1..) {
                let line = line.map_err(|err| Error::from(err).context(format!("{name}:{number}")))?;
                match line.split_once('\t') {
                    Some((label, text)) if !label.is_empty() && !text.trim().is_empty() => {
                        let content = Content::Text(text.trim());
                        let split = Split::Open;
                        found.example(&Example { content, label, split, file, line: number })?;
                    }
                    _ => found.bad(file, number, "not a label, a tab and a text")?,
                }
            }
        }
        Ok(())
    }
}

finetuned_sdk::export! { readers: [{{Type}}] }

#[cfg(test)]
mod tests {
    use super::{{Type}};
    use finetuned_sdk::testing;

    #[test]
    fn lists_examples_and_bad_ones() {
        let folder = std::env::temp_dir().join(format!("{{name}}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("a.lines"), "spam\tbuy now\nno tab\nham\tsee you\n").expect("written");
        let found = testing::read::<{{Type}}>("{}", &folder).expect("read").expect("recognised");
        std::fs::remove_dir_all(&folder).expect("removed");
        let examples = found.examples.iter().map(|it| (it.label.as_str(), it.content.as_str()));
        let examples: Vec<(&str, &str)> = examples.collect();
        assert_eq!(examples, [("spam", "buy now"), ("ham", "see you")]);
        assert_eq!(found.bad, [("a.lines".to_string(), 2, "not a label, a tab and a text".to_string())]);
    }
}
