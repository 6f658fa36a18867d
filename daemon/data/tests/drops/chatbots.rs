//! Intents of chatbots, as Rasa's projects have them.

use crate::support::Drop;
use expect_test::expect;

/// `n` examples of an intent, of which each third has an entity.
fn intent(name: &str, n: usize) -> String {
    let example = |it: usize| match it % 3 {
        0 => format!("    - the {name} of [number {it}](count)\n"),
        _ => format!("    - the {name} of number {it}\n"),
    };
    format!("- intent: {name}\n  examples: |\n{}", (0..n).map(example).collect::<String>())
}

#[test]
fn a_project_of_rasa() {
    let nlu = format!("version: \"3.1\"\n\nnlu:\n{}{}", intent("greeting", 12), intent("part", 12));
    let more = "nlu:\n- synonym: one\n  examples: |\n    - 1\n- intent: part\n  examples: |\n    - a last\n    word\n";
    let files: &[(&str, &[u8])] = &[
        ("config.yml", b"language: en\npipeline:\n- name: WhitespaceTokenizer\n"),
        ("data/nlu.yml", nlu.as_bytes()),
        ("data/more.yaml", more.as_bytes()),
        (
            "data/stories.yml",
            b"version: \"3.1\"\nstories:\n- story: a\n  steps:\n  - intent: part\n",
        ),
    ];
    let drop = Drop::folder(files);
    drop.check(expect![[r#"
        data/more.yaml: rasa utf-8 1 rows
        data/nlu.yml: rasa utf-8 24 rows
        text-classification: `label` has 2 values that recur: classes are learnt
        `text` -> `label`
        greeting: 11 1 0
        part: 12 1 0
        train 23 (stratified, seed 0)
        validation 2 (stratified, seed 0)
        quarantined data/more.yaml Some(8): begins with no `-`
        warning: config.yml is no data that finetuned reads and was ignored
        warning: data/stories.yml is no data that finetuned reads and was ignored
    "#]]);
    let dataset = drop.load().unwrap();
    assert!(crate::support::texts(&dataset).contains(&"the part of number 3"));
    let alone = Drop::file("nlu.yml", nlu.as_bytes()).load().unwrap();
    assert_eq!(alone.outputs, ["greeting", "part"]);
}

#[test]
fn what_is_wrong_with_yaml_is_named_with_its_line() {
    let drop = Drop::file("nlu.yml", b"nlu:\n- intent: a\n  examples: >\n    - b\n    - c\n");
    drop.check(expect![[r#"
        Data: nlu.yml line 4: `examples: >` joins all examples to one: write |
    "#]]);
    let drop = Drop::file("nlu.yml", b"nlu:\n- intent: a\n  examples: [b\n- intent: c\n");
    drop.check(expect![[r#"
        Data: nlu.yml line 4: invalid YAML: illegal placement of ':' indicator
    "#]]);
}
