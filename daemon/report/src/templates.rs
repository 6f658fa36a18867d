//! The template engine with the filters that report and card share. What a file name's ending says
//! decides the escaping: everything in an `.html` template is escaped unless it was made here; in
//! Markdown, each value from a user goes through `md` or `quoted`.

use anyhow::{Context, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};

const TEMPLATES: &[(&str, &str)] = &[
    ("report.html", include_str!("templates/report.html")),
    ("report/images.html", include_str!("templates/images.html")),
    ("report/plan.html", include_str!("templates/plan.html")),
    ("report/data.html", include_str!("templates/data.html")),
    ("report/scores.html", include_str!("templates/scores.html")),
    ("report/samples.html", include_str!("templates/samples.html")),
    ("report/training.html", include_str!("templates/training.html")),
    ("card.md", include_str!("templates/card.md")),
    ("usage.py", include_str!("templates/usage.py")),
    ("recipe.toml", include_str!("templates/recipe.toml")),
];

/// Renders a template of [`TEMPLATES`]. A name that the context lacks is an error.
pub(crate) fn render(template: &str, context: Value) -> Result<String> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    // Lines that hold only a tag leave no line behind.
    engine.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()?,
    );
    for (name, source) in TEMPLATES {
        engine.add_template(name, source).with_context(|| format!("template {name}"))?;
    }
    engine.add_filter("count", finetuned_job::outcome::thousands);
    engine.add_filter("score", score);
    engine.add_filter("percent", percent);
    engine.add_filter("duration", duration);
    engine.add_filter("bytes", bytes);
    engine.add_filter("small", small);
    engine.add_filter("setting", setting);
    engine.add_filter("number", |value: f64| finetuned_answers::short(value));
    engine.add_filter("quoted", quoted);
    engine.add_filter("json", json);
    engine.add_filter("md", markdown);
    engine.add_filter("metric", |name: &str| finetuned_job::outcome::spoken(name));
    engine
        .get_template(template)
        .and_then(|it| it.render(context))
        .with_context(|| format!("template {template}"))
}

/// Three decimals, or as many digits where those would say nothing: errors have a unit.
fn score(value: f64) -> String {
    if value == 0.0 || (1e-3..1e3).contains(&value.abs()) {
        format!("{value:.3}")
    } else {
        finetuned_answers::short(value)
    }
}

fn json(value: &Value) -> Result<String, minijinja::Error> {
    serde_json::to_string(value).map_err(|err| {
        minijinja::Error::new(minijinja::ErrorKind::BadSerialization, err.to_string())
    })
}

/// A part from 0 to 1 as `12.5 %`; a no-break space keeps them together.
fn percent(part: f64) -> String {
    format!("{:.1}\u{a0}%", part * 100.0)
}

fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1}\u{a0}s"),
        10..60 => format!("{whole}\u{a0}s"),
        60..3600 => format!("{}\u{a0}min {}\u{a0}s", whole / 60, whole % 60),
        _ => format!("{}\u{a0}h {}\u{a0}min", whole / 3600, whole % 3600 / 60),
    }
}

fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while 1024.0 <= value && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n}\u{a0}B") } else { format!("{value:.1}\u{a0}{}", UNITS[unit]) }
}

/// A setting such as 0.00005 as `5e-5`, others as they are.
fn small(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-2 { format!("{value:e}") } else { value.to_string() }
}

/// A number that TOML reads as a float and that gives the same f64 again.
fn setting(value: f64) -> String {
    format!("{value:?}")
}

/// A string in double quotes that YAML 1.1 and 1.2 and TOML read alike.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // Control, format and private characters, which YAML 1.1 refuses raw, and its line
            // separators.
            '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Text that Markdown shows as it is, on one line, in a table cell too.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' | '$' | '>' => {
                out.extend(['\\', c])
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [0.04, 59.7, 61.0, 7_265.0].map(duration),
            ["0.0\u{a0}s", "1\u{a0}min 0\u{a0}s", "1\u{a0}min 1\u{a0}s", "2\u{a0}h 1\u{a0}min"]
        );
        assert_eq!(
            [512, 2_048, 5_000_000].map(bytes),
            ["512\u{a0}B", "2.0\u{a0}KiB", "4.8\u{a0}MiB"]
        );
        assert_eq!(
            [0.0, 0.88251, -0.4, 0.000_123_46, 5_127.25].map(score),
            ["0.000", "0.883", "-0.400", "0.0001235", "5127"]
        );
        assert_eq!([0.00005, 0.9, 0.0].map(small), ["5e-5", "0.9", "0"]);
    }

    #[test]
    fn strings_cannot_leave_their_quotes_or_their_line() {
        assert_eq!(quoted("a\"b\\c\n\u{1}\u{85}é😀"), r#""a\"b\\c\n\u0001\u0085é😀""#);
        assert_eq!(markdown("<script>|`x`\n# _y_"), r"&lt;script\>\|\`x\` \# \_y\_");
    }
}
