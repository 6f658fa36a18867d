//! Rasa's training data in YAML: intents with their examples, as a table of texts and labels. What
//! else such a file holds (synonyms, lookups, regular expressions, stories) is none of it, and of
//! an example with entities marked in it only the words stay.

use crate::quarantine::Reason;
use crate::row::{Held, Row, Sample};
use finetuned_answers::Cell;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

/// Lists in lists; Rasa's have four.
const DEPTH_MAX: usize = 32;

/// By the start of a file.
pub(crate) fn is_it(head: &str) -> bool {
    let mut lines = head.lines();
    let is_intent = |it: &str| it.trim_start_matches(['-', ' ']).starts_with("intent:");
    lines.any(|it| it.starts_with("nlu:")) && lines.any(is_intent)
}

/// # Errors
/// What is wrong, to stand behind the file's name.
pub(crate) fn table(text: &str) -> Result<(Sample, Held), String> {
    let mut rows = Vec::new();
    for document in documents(text)? {
        for item in document.under("nlu").iter().flat_map(|it| it.items()) {
            let Some(Node::Text { text: intent, .. }) = item.under("intent") else { continue };
            let label = match intent.trim() {
                "" => Cell::Missing,
                it => Cell::Text(it.into()),
            };
            for (line, text) in item.under("examples").map_or(Ok(Vec::new()), examples)? {
                let cells = text.map(|it| vec![Cell::Text(unmarked(&it)), label.clone()]);
                rows.push(Row { line, cells });
            }
        }
    }
    if rows.is_empty() {
        return Err("holds no examples of intents".into());
    }
    Ok(Held::new(vec!["text".into(), "label".into()], rows, false))
}

/// Its number, and the text in it.
type Line = (u64, Result<String, Reason>);

/// Each line of a block, or each item of a list, with its own line.
fn examples(of: &Node) -> Result<Vec<Line>, String> {
    let (text, first) = match of {
        Node::Text { line, style: ScalarStyle::Folded, .. } => {
            return Err(format!("line {line}: `examples: >` joins all examples to one: write |"));
        }
        Node::Text { text, line, .. } => (text, *line),
        Node::List(items) => {
            let text = |it: &Node| match it {
                Node::Text { text, line, .. } => Some((*line, Ok(text.trim().into()))),
                _ => None,
            };
            let all = items.iter().filter_map(|it| text(it.under("text").unwrap_or(it)));
            return Ok(all.collect());
        }
        Node::Map(_) => return Ok(Vec::new()),
    };
    let rows = (first..).zip(text.lines()).filter(|it| !it.1.trim().is_empty());
    let example = |(line, row): (u64, &str)| {
        let odd = || Reason::Own("a line that begins with no `-`", "begins with no `-`".into());
        (line, row.trim().strip_prefix('-').map(|it| it.trim().into()).ok_or_else(odd))
    };
    Ok(rows.map(example).collect())
}

/// `to [Berlin](city)`, `[here]{"entity": "city"}` -> the words without what is said of them.
fn unmarked(example: &str) -> String {
    const MARKS: [(&str, &str); 3] = [("(", ")"), ("{", "}"), ("[{", "}]")];
    let mut plain = String::new();
    let mut rest = example;
    while let Some(begin) = rest.find('[') {
        let (before, marked) = rest.split_at(begin);
        let parts =
            marked[1..].split_once(']').filter(|it| !it.0.is_empty() && !it.0.contains('['));
        let found = parts.and_then(|(words, after)| {
            let end = |(open, close): &(&str, &str)| after.strip_prefix(open)?.split_once(close);
            Some((words, MARKS.iter().find_map(end)?.1))
        });
        plain.push_str(before);
        rest = match found {
            Some((words, after)) => {
                plain.push_str(words);
                after
            }
            None => {
                plain.push('[');
                &marked[1..]
            }
        };
    }
    plain + rest
}

/// Of YAML, as much as is asked for.
enum Node {
    /// With the line that it begins in; of a block the first one below its mark.
    Text {
        text: String,
        line: u64,
        style: ScalarStyle,
    },
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    fn under(&self, key: &str) -> Option<&Node> {
        let Node::Map(map) = self else { return None };
        map.iter().find(|it| it.0 == key).map(|it| &it.1)
    }

    fn items(&self) -> &[Node] {
        if let Node::List(it) = self { it } else { &[] }
    }
}

fn documents(text: &str) -> Result<Vec<Node>, String> {
    let mut reader = Reader(Parser::new_from_str(text));
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd, _) => {}
            (event, span) => documents.push(reader.node(event, span, 0)?),
        }
    }
}

struct Reader<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), String> {
        match self.0.next_event() {
            Some(Ok(it)) => Ok(it),
            Some(Err(err)) => {
                Err(format!("line {}: invalid YAML: {}", err.marker().line(), err.info()))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, String> {
        let line = span.start.line() as u64;
        if DEPTH_MAX < depth {
            return Err(format!("line {line}: lists in lists, deeper than {DEPTH_MAX}"));
        }
        match event {
            Event::Scalar(text, style, ..) => Ok(Node::Text { text: text.into(), line, style }),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => return Ok(Node::List(items)),
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut map = Vec::new();
                loop {
                    let (event, span) = match self.next()? {
                        (Event::MappingEnd, _) => return Ok(Node::Map(map)),
                        it => it,
                    };
                    let key = self.node(event, span, depth + 1)?;
                    let (event, span) = self.next()?;
                    let value = self.node(event, span, depth + 1)?;
                    if let Node::Text { text, .. } = key {
                        map.push((text, value));
                    }
                }
            }
            // What they stand for may be of any size.
            Event::Alias(_) => Err(format!(
                "line {line}: an alias (`*name`), which is not read: write out what it stands for"
            )),
            _ => Err(format!("line {line}: invalid YAML: it ends in the middle")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_stand_under_their_intents() {
        let text = "version: \"3.1\"
nlu:
- intent: greet
  examples: |
    - hey

    - good [morning](time)
    moin
- synonym: credit
  examples: |
    - credit card
- intent: faq/hours
  examples:
  - text: |
      when are you [open]{\"entity\": \"state\", \"role\": \"now\"}?
    metadata: x
  - \"[0] is no entity\"
stories:
- story: a
";
        assert!(is_it(text));
        let (sample, held) = table(text).unwrap();
        assert_eq!(sample.columns, ["text", "label"]);
        let shown = |it: &Row| match &it.cells {
            Ok(cells) => format!("{} {} {}", it.line, cells[0].shown(), cells[1].shown()),
            Err(why) => format!("{} {why}", it.line),
        };
        assert_eq!(
            held.rows.iter().map(shown).collect::<Vec<_>>(),
            [
                "5 `hey` `greet`",
                "7 `good morning` `greet`",
                "8 begins with no `-`",
                "15 `when are you open?` `faq/hours`",
                "17 `[0] is no entity` `faq/hours`",
            ]
        );
    }

    #[test]
    fn what_can_not_be_read_is_named() {
        let check = |text: &str, why: &str| {
            let found = table(text).err().unwrap_or_default();
            assert!(found.contains(why), "{found}");
        };
        check(
            "nlu:\n- intent: a\n  examples: >\n    - b\n    - c\n",
            "line 4: `examples: >` joins",
        );
        check("nlu:\n- intent: &a b\n- intent: *a\n", "line 3: an alias");
        check("nlu:\n- intent: [a\n", "invalid YAML");
        check("nlu:\n- lookup: a\n", "no examples of intents");
        check(&format!("nlu: {}", "[".repeat(100_000)), "line 1: ");
        check(&"- ".repeat(100_000), "line 1: ");
        assert!(!is_it("train: images/train\nnames: [a, b]\n"));
    }

    #[test]
    fn marks_of_entities_are_no_words() {
        let check = |example: &str, plain: &str| assert_eq!(unmarked(example), plain);
        check(
            "from [Berlin](city:berlin) to [San Francisco]{\"entity\": \"city\"}",
            "from Berlin to San Francisco",
        );
        check("[LA][{\"entity\": \"city\"}, {\"entity\": \"state\"}] now", "LA now");
        check("a[0] = [b] (c) [", "a[0] = [b] (c) [");
        check("[[x](y)", "[x");
    }
}
