//! Base models from a hub, as a person asks for them: fetched once, then there without a network.

use crate::attempt::{sentences, tiny_bert};
use crate::sandbox::{Sandbox, ok};
use finetuned_tests::hub_server::{COMMIT, Server};
use serde_json::Value;
use std::fs;
use std::process::Command;

/// `finetuned` with a cache of its own, whose hub is on this machine.
fn finetuned(sandbox: &Sandbox, server: &Server, args: &[&str]) -> Command {
    let mut command = sandbox.command();
    for name in [
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "HF_TOKEN",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
    ] {
        command.env_remove(name);
    }
    command
        .env("HF_HOME", sandbox.home().join("hf"))
        .env("HF_ENDPOINT", &server.endpoint)
        .env("NO_PROXY", "127.0.0.1")
        .args(args);
    command
}

#[test]
fn a_pulled_model_is_listed_inspected_and_trained_without_a_network() {
    let files: Vec<(String, Vec<u8>)> = fs::read_dir(tiny_bert())
        .unwrap()
        .map(|it| it.unwrap())
        .map(|it| (it.file_name().into_string().unwrap(), fs::read(it.path()).unwrap()))
        .collect();
    let server =
        Server::with(&files.iter().map(|it| (it.0.as_str(), it.1.as_slice())).collect::<Vec<_>>());
    let sandbox = Sandbox::new("");
    let online = |args: &[&str]| ok(&mut finetuned(&sandbox, &server, args));
    assert!(online(&["model", "list"]).contains("no base model is in the cache"));
    let printed = online(&["model", "pull", "hf:ada/tiny"]);
    assert!(
        printed.starts_with("ada/tiny is in ") && printed.trim_end().ends_with(COMMIT),
        "{printed}"
    );
    let pulled: Value =
        serde_json::from_str(&online(&["model", "pull", "hf:ada/tiny", "--json"])).unwrap();
    assert_eq!(pulled["revision"], COMMIT);
    assert!(!server.asked().is_empty(), "a pull asks for what is new");

    let offline = |args: &[&str]| ok(finetuned(&sandbox, &server, args).env("HF_HUB_OFFLINE", "1"));
    let listed: Value = serde_json::from_str(&offline(&["model", "list", "--json"])).unwrap();
    assert_eq!(
        (&listed[0]["name"], &listed[0]["revision"]),
        (&"ada/tiny".into(), &COMMIT.into()),
        "{listed}"
    );
    assert!(offline(&["model", "list"]).starts_with("hf:ada/tiny  0123456789ab  "));
    let facts: Value =
        serde_json::from_str(&offline(&["model", "inspect", "hf:ada/tiny", "--json"])).unwrap();
    assert_eq!(facts["architecture"], "bert");
    assert_eq!(
        facts["missing"],
        serde_json::json!(["classifier.weight", "classifier.bias"]),
        "only the head that is new"
    );
    assert!(offline(&["model", "inspect", "hf:ada/tiny"]).contains("architecture"));

    let (drop, recipe) = (sandbox.home().join("a.csv"), sandbox.home().join("r.toml"));
    fs::write(&drop, sentences(60, 1)).unwrap();
    fs::write(&recipe, "model.base = 'hf:ada/tiny'\n[train]\nepochs = 1\n").unwrap();
    let run =
        offline(&["run", drop.to_str().unwrap(), "--recipe", recipe.to_str().unwrap(), "--json"]);
    let done: Value = serde_json::from_str(run.lines().last().unwrap()).unwrap();
    assert_eq!(done["base"], "hf:ada/tiny");
    assert_eq!(server.asked(), [], "nothing was asked of the network");

    let refused = finetuned(&sandbox, &server, &["model", "inspect", "hf:ada/other"])
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    let printed = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(1)
            && printed.contains("hf:ada/other")
            && printed.contains("HF_HUB_OFFLINE"),
        "{printed}"
    );
}

#[test]
fn data_are_read_before_a_base_is_fetched() {
    let server = Server::with(&[]);
    let sandbox = Sandbox::new("");
    let drop = sandbox.home().join("one.csv");
    fs::write(&drop, "text,label\na,x\nb,x\nc,x\n").unwrap();
    let output = finetuned(&sandbox, &server, &["check", drop.to_str().unwrap()]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("all 3 examples have the label `x`"), "{printed}");
    assert!(server.asked().is_empty(), "{:?}", server.asked());
}

/// The token is the server's, not that of whoever drops data.
#[test]
fn a_drops_recipe_asks_the_hub_without_the_servers_token() {
    let files: Vec<(String, Vec<u8>)> = fs::read_dir(tiny_bert())
        .unwrap()
        .map(|it| it.unwrap())
        .map(|it| (it.file_name().into_string().unwrap(), fs::read(it.path()).unwrap()))
        .collect();
    let files: Vec<_> = files.iter().map(|it| (it.0.as_str(), it.1.as_slice())).collect();
    let check = |owner: &str, flags: &[&str]| {
        let (server, sandbox) = (Server::with(&files), Sandbox::new(""));
        let drop = sandbox.home().join("drop");
        fs::create_dir(&drop).unwrap();
        fs::write(drop.join("a.csv"), sentences(60, 1)).unwrap();
        let recipe = sandbox.home().join(owner).join("job.toml");
        fs::create_dir_all(recipe.parent().unwrap()).unwrap();
        fs::write(&recipe, "model.base = \"hf:ada/tiny\"\n").unwrap();
        let mut args = vec!["check", drop.to_str().unwrap()];
        args.extend(flags);
        if !flags.is_empty() {
            args.push(recipe.to_str().unwrap());
        }
        ok(finetuned(&sandbox, &server, &args).env("HF_TOKEN", "hf_secret"));
        let asked = server.asked();
        assert!(!asked.is_empty());
        asked.iter().filter(|it| it.token.is_some()).count()
    };
    assert_eq!(check("drop", &[]), 0);
    assert!(0 < check("owner", &["--recipe"]), "an operator's recipe has the operator's token");
}
