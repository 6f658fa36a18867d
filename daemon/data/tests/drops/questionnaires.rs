//! What questionnaires, spreadsheets and statistics programs add to the rows that were meant.

use crate::support::Drop;

fn text(it: usize) -> String {
    format!("what was told the {it}th time in words")
}

/// The sentence of a refusal, or the warnings.
fn sentence(header: &str, row: impl Fn(usize) -> String) -> String {
    let rows: String = (0..60).map(|it| row(it) + "\n").collect();
    match Drop::file("a.csv", format!("{header}\n{rows}").as_bytes()).load() {
        Ok(dataset) => dataset.report.warnings.join("\n"),
        Err(failure) => failure.to_string(),
    }
}

#[test]
fn headers_below_the_header() {
    let row = |it: usize| format!("R_{it},{},{}", text(it), ["good", "bad"][it % 2]);
    let sentence_of = |header: &str| sentence(header, row);
    let qualtrics = sentence_of(
        "ResponseId,Q1,Q2\nResponse ID,Please describe it,Overall\n\"{\"\"ImportId\"\":\"\"_recordId\"\"}\",\"{\"\"ImportId\"\":\"\"QID1\"\"}\",\"{\"\"ImportId\"\":\"\"QID2\"\"}\"",
    );
    assert!(qualtrics.contains("an export of Qualtrics") && qualtrics.contains("lines 2 to 3"));
    let monkey =
        sentence_of("Respondent ID,What happened?,How was it?\n,Open-Ended Response,Response");
    assert!(monkey.contains("an export of SurveyMonkey") && monkey.contains("remove line 2"));
    assert!(!sentence_of("id,text,label").contains("export"));
}

#[test]
fn a_table_of_weka() {
    let rows: String = (0..40).map(|it| format!("'{}',{}\n", text(it), it % 2)).collect();
    let arff =
        format!("@relation a\n@attribute text string\n@attribute class {{0,1}}\n@data\n{rows}");
    for drop in
        [Drop::file("a.arff", arff.as_bytes()), Drop::folder(&[("a.arff", arff.as_bytes())])]
    {
        let sentence = drop.load().unwrap_err().to_string();
        assert!(sentence.contains("a table of Weka"), "{sentence}");
    }
}

#[test]
fn codes_of_what_is_not_known() {
    let of = |labels: [&'static str; 3]| {
        sentence("text,label", move |it| format!("{},{}", text(it), labels[it % 3]))
    };
    for labels in [["1", "2", "99"], ["0", "1", "-9"], ["1 = ja", "2 = nein", "-99 = keine Angabe"]]
    {
        assert!(of(labels).contains("looks like no label"), "{labels:?}: {}", of(labels));
    }
    for labels in [["1", "2", "3"], ["-1", "0", "1"], ["7", "8", "9"], ["10", "99", "500"]] {
        assert!(!of(labels).contains("looks like no label"), "{labels:?}");
    }
}

#[test]
fn labels_that_a_spreadsheet_took_for_dates() {
    let sentence = sentence("text,label", |it| format!("{},{}-Mar", text(it), 1 + it % 3));
    assert!(sentence.contains("a column of dates"), "{sentence}");
}

#[test]
fn a_total_below_the_numbers() {
    let last = |it: usize| match it {
        59 => "Grand Total,97.5".into(),
        it => format!("{},{}.5", text(it), it % 4),
    };
    let sentence = sentence("text,score", last);
    assert!(sentence.contains("a total of other rows: 1"), "{sentence}");
}
