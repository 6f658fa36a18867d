//! Decides how the JSON that an earlier version wrote becomes what this one reads: a run stays
//! readable for as long as its folder lies there. Each step goes from one version to the next.
//! What the fields mean is left to the files that have the types.

use crate::plan::PLAN_VERSION;
use serde_json::{Value, json};

/// `plan.json` of any version so far -> of this one.
pub(crate) fn plan(plan: &mut Value) -> Result<(), String> {
    match plan["version"].as_u64() {
        Some(1) => {
            plan_from_1(plan)?;
            plan_from_2(plan);
        }
        Some(2) => plan_from_2(plan),
        Some(version) if version == u64::from(PLAN_VERSION) => {}
        Some(version) => {
            return Err(format!(
                "version is {version}, but this finetuned reads plans up to version {PLAN_VERSION}: use a newer one"
            ));
        }
        None => return Err("version is missing: this is no plan.json".into()),
    }
    plan["version"] = PLAN_VERSION.into();
    Ok(())
}

/// 0.1.0 knew one column of texts, its heads learnt as fast as all else, and it wrote the uses of a
/// plugin as pairs: `head cosine`, and the settings as text.
fn plan_from_1(plan: &mut Value) -> Result<(), String> {
    plan["train"]["head_lr"] = plan["train"]["lr"].clone();
    for plugin in plan["plugins"].as_array_mut().into_iter().flatten() {
        for it in plugin["uses"].as_array_mut().into_iter().flatten() {
            *it = plugin_use(it)
                .ok_or_else(|| format!("plugins.uses: {it} is no use of a plugin"))?;
        }
    }
    let text = plan["data"]["text_column"].take();
    plan["data"]["text_columns"] = if text.is_null() { json!([]) } else { json!([text]) };
    Ok(())
}

/// 0.1.0 knew one method, one precision and one threshold.
fn plan_from_2(plan: &mut Value) {
    plan["train"]["method"] = json!("full");
    plan["train"]["precision"] = json!("fp32");
    plan["eval"]["tune_thresholds"] = json!(false);
    plan["model"]["pooling"] = Value::Null;
}

fn plugin_use(pair: &Value) -> Option<Value> {
    let (kind, name) = pair[0].as_str()?.split_once(' ')?;
    let settings: Value = serde_json::from_str(pair[1].as_str()?).ok()?;
    let settings = if settings.is_object() { settings } else { json!({}) };
    Some(json!({ "kind": kind, "name": name, "settings": settings }))
}

#[cfg(test)]
mod tests {
    use crate::data::DataReport;
    use crate::outcome::{Done, Trained};
    use crate::plan::{PLAN_VERSION, Plan};
    use crate::run_folder;
    use crate::task::Task;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};
    use std::path::Path;

    /// A file of a run that 0.1.0 left.
    fn stored<T: DeserializeOwned>(run: &str, name: &str) -> T {
        let runs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/runs-0.1.0");
        let text = std::fs::read(Path::new(runs).join(run).join(name)).unwrap();
        serde_json::from_slice(&text).unwrap_or_else(|err| panic!("{run}/{name}: {err}"))
    }

    #[test]
    fn runs_of_the_first_version_open() {
        let tasks = [("texts", "text-classification"), ("images", "image-classification")];
        for (run, task) in tasks {
            let plan: Plan = stored(run, run_folder::PLAN);
            assert_eq!((plan.version, plan.task), (PLAN_VERSION, Task::named(task).unwrap()));
            assert_eq!(plan.data.problem, plan.task.answer);
            assert_eq!(
                (plan.model.preprocess.is_some(), plan.augment.is_some()),
                match run {
                    "images" => (true, true),
                    _ => (false, false),
                }
            );
            let data: DataReport = stored(run, run_folder::DATA);
            assert_eq!(data.content_hash, plan.data.content_hash);
            let trained: Trained = stored(run, run_folder::TRAINED);
            let done: Done = stored(run, run_folder::DONE);
            assert_eq!(done.scores.examples, plan.data.test);
            assert_eq!(done.proof.model_hash, trained.model_hash);
            // What is written again is of this version, and means the same.
            let again = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<Plan>(&again).unwrap(), plan);
        }
    }

    #[test]
    fn what_the_first_version_took_from_plugins_is_taken_still() {
        let mut plan: Value = stored("texts", run_folder::PLAN);
        plan["plugins"] = json!([{ "name": "margins", "version": "0.2.1", "hash": "77aa", "uses":
            [["head cosine", "{\"scale\":16}"], ["hook stop at", "{}"], ["reader dicom", "null"]] }]);
        let read: Plan = serde_json::from_value(plan.clone()).unwrap();
        let uses = serde_json::to_value(&read.plugins[0].uses).unwrap();
        assert_eq!(
            uses,
            json!([
                { "kind": "head", "name": "cosine", "settings": { "scale": 16 } },
                { "kind": "hook", "name": "stop at", "settings": {} },
                { "kind": "reader", "name": "dicom", "settings": {} },
            ])
        );
        plan["plugins"][0]["uses"] = json!([["head", "{}"]]);
        let err = serde_json::from_value::<Plan>(plan).unwrap_err().to_string();
        assert_eq!(err, r#"plugins.uses: ["head","{}"] is no use of a plugin"#);
    }

    #[test]
    fn a_plan_of_a_later_version_is_refused() {
        let mut plan: Value = stored("texts", run_folder::PLAN);
        plan["version"] = json!(PLAN_VERSION + 1);
        let err = serde_json::from_value::<Plan>(plan).unwrap_err().to_string();
        assert!(err.starts_with("version is 4, but this finetuned reads plans up to"), "{err}");
        let err = serde_json::from_str::<Plan>("[1]").unwrap_err().to_string();
        assert_eq!(err, "version is missing: this is no plan.json");
    }
}
