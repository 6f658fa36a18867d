//! Documents hold: each task has a page, recipes that stand in them are understood, links lead to
//! files. Whether what they say is so, readers decide.

use crate::source::{none, root};
use finetuned_job::recipe::Recipe;
use finetuned_job::task::TASKS;
use std::fs;
use std::path::{Path, PathBuf};

/// All Markdown of ours: at the root, and below docs.
fn documents() -> Vec<(PathBuf, String)> {
    let docs = root().join("docs");
    let mut found = Vec::new();
    for folder in [root(), &docs, &docs.join("tasks"), &docs.join("decisions")] {
        let files = fs::read_dir(folder).expect("a folder").map(|it| it.expect("an entry").path());
        let documents = files.filter(|it| it.extension().is_some_and(|it| it == "md"));
        found.extend(documents.map(|it| (it.clone(), fs::read_to_string(it).expect("UTF-8"))));
    }
    found
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("a document")
}

/// What stands in blocks of this language.
fn blocks<'a>(text: &'a str, language: &'a str) -> impl Iterator<Item = &'a str> {
    let begun = text.split("\n```").skip(1).step_by(2);
    begun.filter_map(move |it| it.strip_prefix(language)?.strip_prefix('\n'))
}

#[test]
fn every_task_has_a_page_with_a_recipe_that_is_understood() {
    let tasks = read("docs/tasks.md");
    let pages = root().join("docs/tasks");
    for task in TASKS {
        let begin = format!("| [`{}`](tasks/", task.name);
        let row = tasks.lines().find_map(|it| it.strip_prefix(&begin));
        let page = row.and_then(|it| it.split(')').next()).expect(task.name);
        let page = fs::read_to_string(pages.join(page)).expect(task.name);
        assert!(page.contains(&format!("`{}`", task.name)), "{}: its page is another's", task.name);
    }
    let mut recipes = 0;
    for (path, text) in documents().iter().filter(|it| it.0.starts_with(&pages)) {
        for recipe in blocks(text, "toml") {
            let parsed = Recipe::parse(recipe).unwrap_or_else(|err| panic!("{path:?}: {err}"));
            assert!(parsed.task.is_some(), "{path:?}: its recipe names no task");
            recipes += 1;
        }
        assert!(blocks(text, "console").any(|it| it.contains("finetuned run")), "{path:?}");
    }
    assert!(9 <= recipes, "{recipes}");
}

/// One by one, for some of them exclude each other.
#[test]
fn every_key_of_the_page_about_recipes_is_known() {
    let page = read("docs/recipe.md");
    let (mut table, mut keys) = (String::new(), 0);
    for line in blocks(&page, "toml").flat_map(str::lines) {
        if line.starts_with('[') {
            table = line.split('#').next().unwrap_or_default().trim().into();
        } else if line.starts_with(|it: char| it.is_ascii_lowercase()) {
            keys += 1;
            let parsed = Recipe::parse(&format!("{table}\n{line}"));
            let spoken = parsed.err().map_or(String::new(), |it| it.to_string());
            assert!(!spoken.contains("unknown") && !spoken.contains("invalid"), "{line}: {spoken}");
        }
    }
    assert!(60 < keys, "{keys}");
}

#[test]
fn links_lead_to_files() {
    let mut broken = Vec::new();
    for (path, text) in documents() {
        let links = text.split("](").skip(1).filter_map(|it| it.split(')').next());
        let files = links.filter(|it| !it.contains("://") && !it.starts_with('#'));
        let is_there = |it: &str| {
            let file = it.split('#').next().unwrap_or_default();
            path.parent().unwrap_or(Path::new("")).join(file).exists()
        };
        let gone = files.filter(|it| !is_there(it));
        broken.extend(gone.map(|it| format!("{}: {it}", path.display())));
    }
    none("links to nothing", broken);
}
