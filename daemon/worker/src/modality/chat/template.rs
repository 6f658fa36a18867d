//! Chat templates: Jinja in the folder of a model, which says how messages become the text that it
//! reads. Rendered as transformers' `apply_chat_template` does, with what its templates may call.
//!
//! A template is a program of strangers: it reaches no file, and what it may compute is bounded.
//! The day is not told to it, since examples would depend on it.

use anyhow::{Context, Result};
use finetuned_data::LEARNT;
use finetuned_job::outcome::{Failure, FailureKind};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Serde, Value};
use minijinja::{Environment, Error, ErrorKind, context};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Beside `tokenizer_config.json`, in newer folders.
const FILE: &str = "chat_template.jinja";
const NAME: &str = "chat_template";
/// What one conversation may take: each instruction, and each 64 bytes that it makes on the way,
/// take one. Thousands of messages take less, and no text can grow beyond 256 MB. (minijinja 3.1
/// counts nothing for lists that are joined to lists: those end at the worker's memory limit.)
const FUEL: u64 = 4_000_000;
/// Longest text of a conversation: four of the longest rows of a table.
const TEXT_BYTES_MAX: usize = 64 << 20;
/// Tokens that templates write by these names.
const SPECIALS: [&str; 4] = ["bos_token", "eos_token", "pad_token", "unk_token"];
/// Alpaca's form, for bases that have none of their own.
const PLAIN: &str = "{%- for message in messages %}
{%- if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}
{%- elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + '\\n\\n' }}
{%- else %}{{ '### Instruction:\\n' + message['content'] + '\\n\\n### Response:\\n' }}
{%- endif %}
{%- endfor %}";

pub(super) struct Template {
    environment: Environment<'static>,
    /// By the names that templates have for them.
    specials: Value,
    /// Where it was written down.
    source: String,
    /// The base has none of its own.
    pub is_plain: bool,
}

/// Who says what; and functions that may be called.
#[derive(Debug, Clone, serde::Deserialize)]
pub(in crate::modality) struct Conversation {
    pub messages: Vec<Value>,
    #[serde(default)]
    pub tools: Option<Value>,
}

impl Conversation {
    pub(super) fn parse(text: &str) -> Result<Conversation> {
        Ok(serde_json::from_str(text)?)
    }

    pub(super) fn is_answer(message: &Value) -> bool {
        message.get_attr("role").is_ok_and(|it| it.as_str() == Some("assistant"))
    }

    /// Whether the data do not keep a message from being learnt.
    pub(super) fn is_learnt(message: &Value) -> bool {
        !message.get_attr(LEARNT).is_ok_and(|it| !it.is_undefined() && !it.is_true())
    }

    /// As a template sees it.
    pub(super) fn shown(message: &Value) -> Value {
        if message.get_attr(LEARNT).is_ok_and(|it| it.is_undefined()) {
            return message.clone();
        }
        let names = message.try_iter().into_iter().flatten();
        let fields = names.filter(|it| it.as_str() != Some(LEARNT));
        Value::from_pairs(fields.filter_map(|it| Some((it.clone(), message.get_item(&it).ok()?))))
    }
}

/// What a template may leave out of a message in silence, and the message with something else in
/// its place; none where all of it is the question or the answer.
pub(super) fn without(message: &Value) -> Option<(&'static str, Value)> {
    let field = |name: &str| message.get_attr(name).unwrap_or_default();
    let with = |name: &str, value: Value| {
        let names = message.try_iter().into_iter().flatten();
        let old = names.filter(|it| it.as_str() != Some(name)).filter_map(|it| {
            let value = message.get_item(&it).ok()?;
            Some((it, value))
        });
        let new = (!value.is_undefined()).then(|| (Value::from(name), value));
        Value::from_pairs(old.chain(new))
    };
    let content = field("content");
    let other = || with("content", format!("{content}.").into());
    let spoken = |what| (!content.to_string().is_empty()).then(|| (what, other()));
    match field("role").as_str() {
        Some("system") => spoken("what the system says"),
        Some("tool") => spoken("what a tool answers"),
        Some("assistant") if field("tool_calls").len().is_some_and(|it| 0 < it) => {
            Some(("what functions an assistant calls", with("tool_calls", Value::UNDEFINED)))
        }
        _ => None,
    }
}

fn refused(message: String, cure: &str) -> Failure {
    Failure::new(FailureKind::Model, message).with_cure(cure)
}

/// What a model's folder has.
pub(super) struct Stored {
    pub text: Option<String>,
    /// Where it stands, or would.
    source: PathBuf,
    /// `tokenizer_config.json`.
    config: serde_json::Value,
}

impl Stored {
    pub(super) fn read(folder: &Path) -> Result<Stored> {
        let path = folder.join("tokenizer_config.json");
        let config = read(&path)?.map_or(Ok(serde_json::Value::Null), |text| {
            serde_json::from_str(&text).map_err(|err| {
                refused(format!("{} is damaged: {err}", path.display()), "fetch the model again")
            })
        })?;
        let file = folder.join(FILE);
        let (text, source) = match read(&file)? {
            Some(text) => (Some(text), file),
            None => (in_config(&config), path),
        };
        Ok(Stored { text, source, config })
    }
}

impl Template {
    /// Of a model's folder; Alpaca's form where it has none.
    ///
    /// # Errors
    /// A template that is no Jinja, a damaged `tokenizer_config.json`.
    pub(super) fn open(folder: &Path) -> Result<Template> {
        let Stored { text, source, config } = Stored::read(folder)?;
        let is_plain = text.is_none();
        let text = text.unwrap_or_else(|| PLAIN.into());
        Template::new(&text, specials(&config), (source.display().to_string(), is_plain))
    }

    fn new(text: &str, specials: Value, (source, is_plain): (String, bool)) -> Result<Template> {
        let mut environment = Environment::new();
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_fuel(Some(FUEL));
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", |why: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, why))
        });
        environment.add_template_owned(NAME, without_generation(text)).map_err(|err| {
            refused(
                format!("the chat template in {source} can't be read: {err}"),
                "fetch the model again, or choose another",
            )
        })?;
        Ok(Template { environment, specials, source, is_plain })
    }

    /// `generation`: up to where an answer begins.
    ///
    /// # Errors
    /// What the template says against it.
    pub(super) fn render(
        &self,
        messages: &[Value],
        tools: Option<&Value>,
        generation: bool,
    ) -> Result<String, Failure> {
        let mut text = Bounded::default();
        let rendered = self.environment.get_template(NAME).and_then(|it| {
            let context = context! {
                messages => messages.to_vec(),
                tools => tools,
                documents => (),
                add_generation_prompt => generation,
                ..self.specials.clone()
            };
            it.render_captured_to(context, &mut text).map(drop)
        });
        rendered.map_err(|err| {
            let message = match err.kind() {
                ErrorKind::OutOfFuel => "runs or grows without end".into(),
                _ if text.is_full => {
                    format!("makes more than {} MiB of a conversation", TEXT_BYTES_MAX >> 20)
                }
                _ => format!("refuses a conversation: {err}"),
            };
            let cure = "change the conversations as it wants them, or choose another base model";
            refused(format!("the chat template in {} {message}", self.source), cure)
        })?;
        Ok(String::from_utf8_lossy(&text.bytes).into_owned())
    }

    /// Where a base has no template, what it learns must be written down beside it.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn export(&self, to: &Path) -> Result<()> {
        if self.is_plain {
            fs::write(to.join(FILE), PLAIN)?;
        }
        Ok(())
    }
}

/// What a template has written so far.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    /// More was to be written than there may be.
    is_full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if TEXT_BYTES_MAX < self.bytes.len() + part.len() {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing where there is no such file.
fn read(path: &Path) -> Result<Option<String>> {
    match finetuned_files::read(path) {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err).with_context(|| format!("reading {}", path.display())),
    }
}

/// One template, or the one of several that is for conversations.
fn in_config(config: &serde_json::Value) -> Option<String> {
    match &config["chat_template"] {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Array(all) => {
            let default = all.iter().find(|it| it["name"] == "default")?;
            Some(default["template"].as_str()?.into())
        }
        _ => None,
    }
}

/// A token is a text, or an object with its `content`.
fn specials(config: &serde_json::Value) -> Value {
    let text = |name: &'static str| {
        let token = &config[name];
        (name, token.as_str().or_else(|| token["content"].as_str()).unwrap_or_default())
    };
    Serde(SPECIALS.into_iter().map(text).collect::<BTreeMap<_, _>>()).into()
}

/// transformers marks what an assistant says by a tag of its own, which prints nothing.
fn without_generation(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        let Some(end) = tag.find("%}") else { break };
        let (tag, after) = tag.split_at(end + 2);
        out.push_str(before);
        let inner = tag[2..tag.len() - 2].trim_matches(['-', '+']).trim();
        out.push_str(&match inner {
            "generation" => tag.replacen("generation", "if true", 1),
            "endgeneration" => tag.replacen("endgeneration", "endif", 1),
            _ => tag.to_string(),
        });
        rest = after;
    }
    out + rest
}

/// As Python's `json.dumps` without escapes for what is no ASCII.
fn to_json(value: Value, rest: Rest<Value>, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let indent = indent.or_else(|| rest.first().and_then(|it| it.as_usize()));
    let _: Option<Value> = options.get("ensure_ascii")?;
    let _: Option<Value> = options.get("sort_keys")?;
    let _: Option<Value> = options.get("separators")?;
    let mut out = Vec::new();
    let written = match indent {
        Some(indent) => {
            let indent = " ".repeat(indent);
            let formatter = PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut out, formatter))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut out, Spaced)),
    };
    written.map_err(|err| Error::new(ErrorKind::BadSerialization, err.to_string()))?;
    Ok(Value::from_safe_string(String::from_utf8_lossy(&out).into_owned()))
}

/// With a blank behind commas and colons.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: std::io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: std::io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: std::io::Write + ?Sized>(
        &mut self,
        out: &mut W,
    ) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
    }

    fn template(text: &str, specials: &serde_json::Value) -> Template {
        Template::new(text, super::specials(specials), ("a test".into(), false)).unwrap()
    }

    #[test]
    fn well_known_templates_give_what_transformers_makes_of_them() {
        let text = fs::read_to_string(data().join("chats.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let cases = json["cases"].as_array().unwrap();
        assert!(100 < cases.len());
        for case in cases {
            let name = case["template"].as_str().unwrap();
            let source = fs::read_to_string(data().join(format!("chats/{name}.jinja"))).unwrap();
            let template = template(&source, &json["specials"]);
            let messages: Vec<Value> =
                case["messages"].as_array().unwrap().iter().map(|it| Serde(it).into()).collect();
            // Fields in the order of the file.
            let ordered: Value = serde_json::from_str(&text).unwrap();
            let tools = (case["tools"] == true).then(|| ordered.get_attr("tools").unwrap());
            let generation = case["generation"] == true;
            let ours = template.render(&messages, tools.as_ref(), generation);
            match case["text"].as_str() {
                Some(theirs) => assert_eq!(ours.unwrap(), theirs, "{case}"),
                None => assert!(ours.is_err(), "{case}: {ours:?}"),
            }
        }
    }

    #[test]
    fn what_a_template_says_against_a_conversation_is_passed_on() {
        let none = serde_json::json!({});
        let refuses = template("{{ raise_exception('no system role') }}", &none);
        let failure = refuses.render(&[], None, false).unwrap_err();
        assert!(
            failure.message.contains("a test refuses") && failure.message.contains("no system")
        );
        let endless = "{% macro f(x) %}{% for i in range(99999) %}{% for j in range(99999) %}{{ i }}{% endfor %}{% endfor %}{% endmacro %}{{ f(1)|length }}";
        let failure = template(endless, &none).render(&[], None, false).unwrap_err();
        assert!(failure.message.contains("without end"), "{failure}");
        let wrong = Template::new("{% for %}", Value::UNDEFINED, ("a test".into(), false));
        assert!(wrong.err().unwrap().to_string().contains("a test can't be read"));
    }

    /// Each would take gigabytes, and ends before.
    #[test]
    fn a_text_that_grows_without_end_is_stopped() {
        const DOUBLED: [&str; 5] = [
            "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x|length }}",
            "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x|length }}",
            "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x|replace('a', n.x) %}{% endfor %}{{ n.x|length }}",
            "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}{{ n.x|length }}",
            "{% macro f(n) %}{% if 0 < n %}{{ f(n - 1) }}{{ f(n - 1) }}{% else %}ab{% endif %}{% endmacro %}{{ f(60)|length }}",
        ];
        let none = serde_json::json!({});
        for text in DOUBLED {
            let failure = template(text, &none).render(&[], None, false).unwrap_err();
            assert!(failure.message.contains("without end"), "{failure}");
        }
        let written =
            "{% set x = 'abcdefgh' * 1000000 %}{% for i in range(99) %}{{ x }}{% endfor %}";
        let failure = template(written, &none).render(&[], None, false).unwrap_err();
        assert!(failure.message.contains("makes more than 64 MiB of a conversation"), "{failure}");
    }

    #[test]
    fn a_long_conversation_is_no_endless_one() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tiny-llama");
        let template = Template::open(&folder).unwrap();
        let message = |it: usize| {
            let role = ["user", "assistant"][it % 2];
            Value::from(Serde(serde_json::json!({ "role": role, "content": "a word ".repeat(60) })))
        };
        let messages: Vec<Value> = (0..20_000).map(message).collect();
        assert!(8_000_000 < template.render(&messages, None, false).unwrap().len());
    }

    #[test]
    fn marks_of_what_an_assistant_says_print_nothing() {
        let text = "{% for m in messages -%}\n{%- generation -%} {{ m }} {%- endgeneration %}\n{% endfor %}";
        assert!(!without_generation(text).contains("generation"));
        let marked = template(text, &serde_json::json!({}));
        assert_eq!(marked.render(&["a".into(), "b".into()], None, false).unwrap(), "ab");
    }
}
