//! Every form in which words are tagged, and what is said of forms that don't fit.

use crate::support::{Drop, reported};
use expect_test::expect;
use finetuned_data::Dataset;
use finetuned_job::task::Modality;
use std::collections::BTreeMap;
use std::fmt::Write;

type Sentence = (&'static str, &'static str);

const SENTENCES: [Sentence; 4] = [
    ("Zoë Müller saw Ulm today", "B-PER I-PER O B-LOC O"),
    ("New York is cold", "B-LOC I-LOC O O"),
    ("we love Bob", "O O B-PER"),
    ("nothing to see here", "O O O O"),
];

/// `n` sentences that differ in their first word.
fn words(n: usize) -> Vec<(Vec<String>, Vec<&'static str>)> {
    let of = |it: usize| {
        let (words, tags) = SENTENCES[it % 4];
        let words = [format!("n{it}")].into_iter().chain(words.split(' ').map(str::to_owned));
        (words.collect(), ["O"].into_iter().chain(tags.split(' ')).collect())
    };
    (0..n).map(of).collect()
}

fn conll(n: usize, line: impl Fn(&str, &str) -> String) -> String {
    let sentence = |(words, tags): &(Vec<String>, Vec<&str>)| -> String {
        words.iter().zip(tags).map(|(word, tag)| line(word, tag) + "\n").collect()
    };
    words(n).iter().map(sentence).collect::<Vec<_>>().join("\n")
}

fn lines(n: usize, line: impl Fn(&[String], &[&str]) -> String) -> String {
    words(n).iter().map(|(words, tags)| line(words, tags) + "\n").collect()
}

/// Text, and (start, end, label) in characters.
fn spans(words: &[String], tags: &[&str]) -> (String, Vec<(usize, usize, String)>) {
    let (mut text, mut spans) = (String::new(), Vec::<(usize, usize, String)>::new());
    for (word, tag) in words.iter().zip(tags) {
        if !text.is_empty() {
            text.push(' ');
        }
        let start = text.chars().count();
        text.push_str(word);
        let end = text.chars().count();
        match (tag.split_once('-'), spans.last_mut()) {
            (Some(("I", _)), Some(last)) => last.1 = end,
            (Some((_, kind)), _) => spans.push((start, end, kind.to_owned())),
            (None, _) => {}
        }
    }
    (text, spans)
}

fn with_spans(n: usize, line: impl Fn(&str, Vec<String>) -> String, span: &str) -> String {
    lines(n, |words, tags| {
        let (text, spans) = spans(words, tags);
        let one = |(start, end, label): &(usize, usize, String)| {
            let it = span.replace("START", &start.to_string()).replace("END", &end.to_string());
            it.replace("LABEL", label)
        };
        line(&text, spans.iter().map(one).collect())
    })
}

/// Text -> its words with their tags.
fn tagged(dataset: &Dataset) -> BTreeMap<String, String> {
    let all = [&dataset.train, &dataset.validation, &dataset.test].into_iter().flatten();
    let shown = |it: &finetuned_data::Example| {
        let text = &it.record.texts[0];
        let words = it.record.words.iter().map(|at| &text[at.0 as usize..at.1 as usize]);
        let tags = it.target.classes().iter().map(|tag| &dataset.outputs[*tag as usize]);
        let pairs: Vec<String> = words.zip(tags).map(|(a, b)| format!("{a}/{b}")).collect();
        (text.to_string(), pairs.join(" "))
    };
    all.map(shown).collect()
}

#[test]
fn all_forms_of_tagged_words_are_one() {
    let drop = Drop::file("a.conll", conll(40, |word, tag| format!("{word} {tag}")).as_bytes());
    drop.check(expect![[r#"
        a.conll: conll utf-8 40 rows
        token-classification: `tags` has a tag for each word: tags are learnt
        `tokens` -> `tags`
        LOC: 18 2 0
        PER: 18 2 0
        train 36 (stratified by label, seed 0)
        validation 4 (stratified by label, seed 0)
    "#]]);
    let wanted = drop.load().unwrap();
    assert_eq!(wanted.outputs, ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]);
    let wanted = tagged(&wanted);
    assert_eq!(
        wanted["n4 Zoë Müller saw Ulm today"],
        "n4/O Zoë/B-PER Müller/I-PER saw/O Ulm/B-LOC today/O"
    );
    let io = |tag: &str| tag.replace("B-", "I-");
    let list = |list: &[String]| format!("[{}]", list.join(", "));
    let jsonl = |words: &str, tags: &str| {
        lines(40, |w, t| format!("{{\"{words}\": {w:?}, \"{tags}\": {t:?}, \"id\": 7}}"))
    };
    let array = |lines: String| format!("[{}]", lines.trim_end().replace('\n', ", "));
    let object = r#"{"start": START, "end": END, "label": "LABEL"}"#;
    let drops = [
        ("a.txt", conll(40, |word, tag| format!("{word}\t{tag}"))),
        ("a.txt", conll(40, |word, tag| format!("{word}\t{tag}")).replace("\n\n", "\n\t\n")),
        ("a.tsv", conll(40, |word, tag| format!("{word}\t{tag}\r")).replace("\n\n", "\n\r\n")),
        ("a.iob", conll(40, |word, tag| format!("{word} NN {}", io(tag)))),
        (
            "a.conll",
            format!("-DOCSTART- -X- O O\n\n{}", conll(40, |w, tag| format!("{w} NN I-NP {tag}"))),
        ),
        (
            "a.conll",
            conll(40, |word, tag| format!("{word} {}", tag.trim_start_matches(['B', 'I', '-']))),
        ),
        ("a.jsonl", jsonl("tokens", "ner_tags")),
        ("a.json", array(jsonl("words", "labels"))),
        (
            "a.jsonl",
            with_spans(
                40,
                |text, it| format!("{{\"text\": {text:?}, \"label\": {}}}", list(&it)),
                r#"[START, END, "LABEL"]"#,
            ),
        ),
        (
            "a.jsonl",
            with_spans(
                40,
                |text, it| format!("{{\"text\": {text:?}, \"entities\": {}}}", list(&it)),
                r#"{"start_offset": START, "end_offset": END, "label": "LABEL"}"#,
            ),
        ),
        (
            "a.jsonl",
            with_spans(
                40,
                |text, it| {
                    format!(
                        "{{\"text\": {text:?}, \"answer\": \"accept\", \"spans\": {}}}",
                        list(&it)
                    )
                },
                object,
            ),
        ),
        (
            "a.json",
            array(with_spans(
                40,
                |text, it| format!("[{text:?}, {{\"entities\": {}}}]", list(&it)),
                r#"[START, END, "LABEL"]"#,
            )),
        ),
        (
            "a.json",
            array(with_spans(
                40,
                |text, it| format!("{{\"text\": {text:?}, \"label\": {}}}", list(&it)),
                r#"{"start": START, "end": END, "labels": ["LABEL"]}"#,
            )),
        ),
        (
            "a.json",
            array(with_spans(
                40,
                |text, it| {
                    format!(
                        "{{\"data\": {{\"text\": {text:?}}}, \"annotations\": [{{\"was_cancelled\": false, \"result\": {}}}]}}",
                        list(&it)
                    )
                },
                r#"{"type": "labels", "value": {"start": START, "end": END, "labels": ["LABEL"]}}"#,
            )),
        ),
    ];
    let drops: Vec<(&str, String)> =
        Vec::from(drops).into_iter().chain(tables_of_words()).collect();
    for (nth, (name, text)) in drops.iter().enumerate() {
        let loaded = Drop::folder(&[(name, text.as_bytes())]).load();
        assert!(loaded.is_ok(), "{nth}: {}", reported(loaded));
        let dataset = loaded.unwrap();
        assert_eq!(tagged(&dataset), wanted, "{nth}");
        assert_eq!(dataset.task.name, "token-classification", "{nth}");
    }
    // A file alone is a drop too, whatever it is called.
    assert_eq!(tagged(&Drop::file("eng.train", drops[0].1.as_bytes()).load().unwrap()), wanted);
    for between in ["\t", " "] {
        let text = conll(40, |word, tag| format!("{word}{between}{tag}"));
        for name in ["ner.tsv", "ner.txt", "ner.csv"] {
            let alone = Drop::file(name, text.as_bytes()).load();
            assert!(alone.is_ok(), "{name}: {}", reported(alone));
            assert_eq!(tagged(&alone.unwrap()), wanted, "{name}");
            let in_folder = Drop::folder(&[(name, text.as_bytes())]).load().unwrap();
            assert_eq!(tagged(&in_folder), wanted, "{name}");
        }
    }
}

/// A word a row, and lists as Python and NumPy write them into a cell.
fn tables_of_words() -> Vec<(&'static str, String)> {
    let rows = |row: &dyn Fn(usize, usize, &str, &str) -> String| -> String {
        let sentence = |(nth, (words, tags)): (usize, (Vec<String>, Vec<&str>))| -> String {
            let pairs = words.iter().zip(tags).enumerate();
            pairs.map(|(at, (word, tag))| row(nth, at, word, tag) + "\n").collect()
        };
        words(40).into_iter().enumerate().map(sentence).collect()
    };
    let kaggle = |nth: usize, at: usize, word: &str, tag: &str| {
        let id = if at == 0 { format!("Sentence: {}", nth + 1) } else { String::new() };
        format!("{id},{word},NN,{tag}")
    };
    let object = |nth: usize, _: usize, word: &str, tag: &str| {
        format!("{{\"sentence_id\": {nth}, \"words\": {word:?}, \"labels\": {tag:?}}}")
    };
    let quoted = |it: &[&str], between: &str| {
        let items: Vec<String> = it.iter().map(|it| format!("'{it}'")).collect();
        format!("[{}]", items.join(between))
    };
    let lists = lines(40, |words, tags| {
        let words: Vec<&str> = words.iter().map(|it| &**it).collect();
        format!("\"{}\",\"{}\"", quoted(&words, ", "), quoted(tags, ", "))
    });
    let arrays = lines(40, |words, tags| format!("{},{}", words.join(" "), quoted(tags, " ")));
    vec![
        ("ner.csv", format!("Sentence #,Word,POS,Tag\n{}", rows(&kaggle))),
        (
            "ner.csv",
            format!("id,sentence_id,token,label\n{}", {
                rows(&|nth, at, word, tag| format!("{at},{nth},{word},{tag}"))
            }),
        ),
        ("ner.jsonl", rows(&object)),
        ("ner.csv", format!("tokens,ner_tags\n{lists}")),
        ("ner.csv", format!("sentence,tag\n{arrays}")),
    ]
}

#[test]
fn a_word_a_row_needs_to_know_its_sentence() {
    let words = conll(20, |word, tag| format!("{word},{tag}")).replace("\n\n", "\n");
    Drop::file("a.csv", format!("Word,Tag\n{words}").as_bytes()).check(expect![[r#"
        Data: a.csv holds a word a row, and nothing says where a sentence ends (add a column `sentence_id` with a number for each sentence, or write the file as CoNLL, with an empty line after each)
    "#]]);
    // Single words of classes are texts.
    let names = "name,label\n".to_string() + &"Ann,f\nBob,m\nEve,f\nTom,m\n".repeat(9);
    assert_eq!(Drop::file("a.csv", names.as_bytes()).modality(), Modality::Text);
}

#[test]
fn splits_are_files_and_the_last_column_is_the_tag() {
    let four = |from: &str, n| conll(n, |word, tag| format!("{from}{word} NN I-NP {tag}"));
    let [train, testa, testb] = [("a", 20), ("b", 8), ("c", 8)].map(|it| four(it.0, it.1));
    let files = |names: [&str; 3]| {
        let texts = [train.as_bytes(), testa.as_bytes(), testb.as_bytes()];
        Drop::folder(&names.into_iter().zip(texts).collect::<Vec<_>>())
    };
    files(["eng.train", "eng.testa", "eng.testb"]).check(expect![[r#"
        eng.train: conll utf-8 20 rows train
        eng.testa: conll utf-8 8 rows validation
        eng.testb: conll utf-8 8 rows test
        token-classification: `ner` has a tag for each word: tags are learnt
        `tokens` -> `ner`
        LOC: 10 4 4
        PER: 10 4 4
        train 20 (file)
        validation 8 (file)
        test 8 (file)
        warning: columns not used: pos, chunk
    "#]]);
    let named = files(["train.txt", "valid.txt", "test.txt"]);
    named.check_as(
        "data.label = 'pos'",
        expect![[r#"
        Data: every word has the tag `NN` (tags of two kinds at least can be learnt)
    "#]],
    );
    assert_eq!(named.load().unwrap().test.len(), 8);
}

#[test]
fn conllu_has_universal_tags_and_knows_where_no_space_is() {
    let sentence = |it: usize| {
        let row = |id: &str, form: &str, upos: &str, misc: &str| {
            format!("{id}\t{form}\t_\t{upos}\tX{upos}\t_\t0\t_\t_\t{misc}\n")
        };
        [
            format!("# text = n{it} so.\n"),
            row("1", &format!("n{it}"), "NUM", "_"),
            row("2-3", "x", "_", "_"),
            row("2", "so", "ADV", "SpaceAfter=No"),
            row("2.1", "e", "VERB", "_"),
            row("3", ".", "PUNCT", "_"),
        ]
        .concat()
    };
    let text = (0..20).map(sentence).collect::<Vec<_>>().join("\n");
    let drop = Drop::file("a.conllu", text.as_bytes());
    drop.check(expect![[r#"
        a.conllu: conll utf-8 20 rows
        token-classification: `upos` has a tag for each word: tags are learnt
        `form`, `misc` -> `upos`
        ADV: 18 2 0
        NUM: 18 2 0
        PUNCT: 18 2 0
        train 18 (stratified by label, seed 0)
        validation 2 (stratified by label, seed 0)
        warning: columns not used: id, lemma, xpos, feats, head, deprel, deps
    "#]]);
    assert_eq!(tagged(&drop.load().unwrap())["n3 so."], "n3/NUM so/ADV ./PUNCT");
    let other = drop.load_as("data.label = 'xpos'", 0).unwrap();
    assert_eq!(other.outputs, ["XADV", "XNUM", "XPUNCT"]);
}

#[test]
fn names_of_numbers_come_from_parquet() {
    let sequence: &[u8] = include_bytes!("../data/tokens.parquet");
    let drop = Drop::file("a.parquet", sequence);
    drop.check(expect![[r#"
        a.parquet: parquet - 20 rows
        token-classification: `ner_tags` has a tag for each word: tags are learnt
        `tokens` -> `ner_tags`
        LOC: 17 2 0
        PER: 1 0 0
        train 18 (stratified by label, seed 0)
        validation 2 (stratified by label, seed 0)
        warning: validation has no examples of PER: their scores say nothing
    "#]]);
    let old: &[u8] = include_bytes!("../data/tokens_old.parquet");
    assert_eq!(
        tagged(&Drop::file("a.parquet", old).load().unwrap()),
        tagged(&drop.load().unwrap())
    );
    let numbers = lines(20, |words, tags| {
        let numbers: Vec<usize> = tags.iter().map(|it| it.len()).collect();
        format!("{{\"tokens\": {words:?}, \"ner_tags\": {numbers:?}}}")
    });
    Drop::file("a.jsonl", numbers.as_bytes()).check(expect![[r#"
        Data: a.jsonl: `ner_tags` has numbers without names: write the names of the tags (B-PER, NOUN) in their place, or keep them in Parquet, whose ClassLabel names are read (name other columns in the recipe)
    "#]]);
}

#[test]
fn what_can_t_be_tagged_is_quarantined_with_its_reason() {
    let mut text =
        lines(40, |words, tags| format!("{{\"tokens\": {words:?}, \"tags\": {tags:?}}}"));
    for bad in [
        r#"{"tokens": ["a", "b"], "tags": ["O"]}"#,
        r#"{"tokens": ["a", " "], "tags": ["O", "O"]}"#,
        r#"{"tokens": ["a", "b"], "tags": ["O", null]}"#,
        r#"{"tokens": ["a", "b"], "tags": ["O", 7]}"#,
    ] {
        writeln!(text, "{bad}").unwrap();
    }
    Drop::file("a.jsonl", text.as_bytes()).check(expect![[r#"
        a.jsonl: json_lines utf-8 40 rows
        token-classification: `tags` has a tag for each word: tags are learnt
        `tokens` -> `tags`
        LOC: 18 2 0
        PER: 18 2 0
        train 36 (stratified by label, seed 0)
        validation 4 (stratified by label, seed 0)
        quarantined a.jsonl Some(41): 2 words and 1 tags
        quarantined a.jsonl Some(42): word 2 is empty
        quarantined a.jsonl Some(43): empty label
        quarantined a.jsonl Some(44): the label is the number 7, which has no name
    "#]]);

    let object = r#"{"start": START, "end": END, "label": "LABEL"}"#;
    let line = |text: &str, spans: Vec<String>| {
        format!("{{\"text\": {text:?}, \"spans\": [{}], \"answer\": \"accept\"}}", spans.join(", "))
    };
    let mut text = with_spans(40, line, object);
    for (bad, answer) in [
        (r#"{"start": 8, "end": 11, "label": "LOC"}"#, "accept"),
        (r#"{"start": 0, "end": 99, "label": "LOC"}"#, "accept"),
        (
            r#"{"start": 0, "end": 7, "label": "LOC"}, {"start": 3, "end": 13, "label": "LOC"}"#,
            "accept",
        ),
        (r#"{"start": 0, "end": 2}"#, "accept"),
    ]
    .into_iter()
    .chain([("", "reject"); 9])
    .chain([("", "ignore")])
    {
        writeln!(text, r#"{{"text": "we love Paris ", "spans": [{bad}], "answer": "{answer}"}}"#)
            .unwrap();
    }
    Drop::file("a.jsonl", text.as_bytes()).check(expect![[r#"
        a.jsonl: json_lines utf-8 41 rows
        token-classification: `spans` has a tag for each word: tags are learnt
        `text` -> `spans`
        LOC: 19 2 0
        PER: 18 2 0
        train 37 (stratified by label, seed 0)
        validation 4 (stratified by label, seed 0)
        quarantined a.jsonl Some(42): the span 0 to 99 leaves a text of 14 characters
        quarantined a.jsonl Some(43): the span 3 to 13 overlaps another one
        quarantined a.jsonl Some(44): a span without start, end or label
        warning: a.jsonl was read as an export of Prodigy
        warning: spans that began or ended within a word were widened to whole words: 1
        warning: a.jsonl: rows left out as they are ignored by the annotator: 1
        warning: a.jsonl: rows left out as they are rejected by the annotator: 9
    "#]]);

    let broken = conll(40, |word, tag| format!("{word} {tag}")) + "\nlonely\nword O\n\nfine O\n";
    Drop::file("a.conll", broken.as_bytes()).check(expect![[r#"
        a.conll: conll utf-8 41 rows
        token-classification: `tags` has a tag for each word: tags are learnt
        `tokens` -> `tags`
        LOC: 18 2 0
        PER: 18 2 0
        train 37 (stratified by label, seed 0)
        validation 4 (stratified by label, seed 0)
        quarantined a.conll Some(241): line 241 has 1 column, where others have 2
    "#]]);
}

#[test]
fn what_teaches_nothing_or_mixes_schemes_is_refused() {
    let only = conll(20, |word, _| format!("{word} O"));
    Drop::file("a.conll", only.as_bytes()).check(expect![[r#"
        Data: every word has the tag `O` (tags of two kinds at least can be learnt)
    "#]]);
    let mixed = conll(20, |word, tag| format!("{word} {}", tag.replace("B-PER", "PER")));
    Drop::file("a.conll", mixed.as_bytes()).check(expect![[r#"
        Data: `tags`: tag "PER" is of another scheme than "B-LOC": write all tags beside "O" as BIO (B-X, I-X), BIOES, BILOU or IO (I-X), or all without a prefix
    "#]]);
    let texts = "a text\na longer text\n\nthe last text\n";
    let drop = Drop::folder(&[("train.txt", texts.as_bytes())]);
    drop.check(expect![[r#"
        Data: the drop's .txt files lie in no class folders (for classes put the texts of each into a folder named after it; texts without classes want task = "causal-language-modeling" or "masked-language-modeling" in a job.toml; conversations, and questions with answers, are written as JSON Lines; a table needs the extension .csv or .tsv)
    "#]]);
    drop.check_as("task = 'token-classification'", expect![[r#"
        Data: the drop's .txt files lie in no class folders (for classes put the texts of each into a folder named after it; texts without classes want task = "causal-language-modeling" or "masked-language-modeling" in a job.toml; conversations, and questions with answers, are written as JSON Lines; a table needs the extension .csv or .tsv)
    "#]]);
    let table = "text,label\nfirst,a\nsecond,b\n";
    Drop::file("a.csv", table.as_bytes()).check_as("task = 'token-classification'", expect![[r#"
        Data: a.csv has no words with a tag for each, and no texts with spans; its columns are text, label (it takes CoNLL files, tables of `tokens` and `tags` that are lists, or of `text` and `spans` with start, end and label in characters; other columns are named in a job.toml: data.text and data.label)
    "#]]);
}

#[test]
fn texts_to_predict_are_cut_into_words() {
    let found = finetuned_data::inputs(Modality::Words, &["Zoë, come!".into()], &[]).unwrap();
    assert_eq!(*found[0].record.words, [(0, 4), (4, 5), (6, 10), (10, 11)]);
}
