//! `finetuned plugin new NAME --kind KIND`: writes a crate that builds as it is. What stands in it
//! is the SDK's (`templates/` in its folder, so that both are of one version); this decides names
//! and places.

use crate::cli::{Exit, PluginKind};
use crate::report::Report;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest name of a plugin in its descriptor.
const NAME_BYTES_MAX: usize = 59;

pub(super) fn new(
    name: &str,
    kind: PluginKind,
    sdk: Option<&Path>,
    path: Option<&Path>,
    report: &mut Report,
) -> Result<Exit> {
    let good = name.starts_with(|it: char| it.is_ascii_lowercase())
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    if !good {
        bail!(
            "`{name}` can't name a plugin: up to {NAME_BYTES_MAX} small letters, digits, - and _, a letter first"
        );
    }
    let sdk = find_sdk(sdk)?;
    let (manifest, source) = template(kind);
    let sdk_text = sdk
        .to_str()
        .with_context(|| format!("{} is no UTF-8, which a Cargo.toml must be", sdk.display()))?;
    // A string of TOML is quoted as one of JSON is.
    let dependency = format!("path = {}", serde_json::to_string(sdk_text)?);
    let filled = |template: &str| -> Result<String> {
        let file = sdk.join("templates").join(template);
        let text = fs::read_to_string(&file)
            .with_context(|| format!("reading the template {}", file.display()))?;
        Ok(text
            .replace("{{name}}", name)
            .replace("{{Type}}", &type_name(name))
            .replace("{{sdk}}", &dependency))
    };
    let files = [
        ("Cargo.toml", filled(manifest)?),
        ("src/lib.rs", filled(source)?),
        (".gitignore", "/target\n".into()),
    ];
    let folder = path.unwrap_or(Path::new(".")).join(name);
    for made in [folder.clone(), folder.join("src")] {
        fs::create_dir(&made).with_context(|| format!("making the folder {}", made.display()))?;
    }
    for (file, text) in files {
        let file = folder.join(file);
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    report.line(&format!(
        "{folder} is ready:\n  cd {folder} && cargo build --release\n  finetuned plugin check target/release/lib{lib}.so",
        folder = folder.display(),
        lib = name.replace('-', "_")
    ))?;
    Ok(Exit::Done)
}

/// Manifest and source, among the SDK's templates.
fn template(kind: PluginKind) -> (&'static str, &'static str) {
    const PLAIN: &str = "plain.Cargo.toml";
    const TENSOR: &str = "tensor.Cargo.toml";
    match kind {
        PluginKind::Head => (TENSOR, "head.rs"),
        PluginKind::Loss => (TENSOR, "loss.rs"),
        PluginKind::Metric => (PLAIN, "metric.rs"),
        PluginKind::Reader => (PLAIN, "reader.rs"),
        PluginKind::Hook => (PLAIN, "hook.rs"),
        PluginKind::Augmentation => (PLAIN, "augmentation.rs"),
        PluginKind::Reward => (PLAIN, "reward.rs"),
    }
}

/// `cosine-margin` is implemented by `CosineMargin`.
fn type_name(name: &str) -> String {
    let part = |it: &str| it[..1].to_ascii_uppercase() + &it[1..];
    name.split(['-', '_']).filter(|it| !it.is_empty()).map(part).collect()
}

/// As given; else where a package puts it; else in the source tree that this binary was built from.
fn find_sdk(given: Option<&Path>) -> Result<PathBuf> {
    const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk");
    let is_sdk = |it: &Path| {
        fs::read_to_string(it.join("Cargo.toml"))
            .is_ok_and(|it| it.contains("name = \"finetuned-sdk\""))
    };
    let packaged =
        || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("share/finetuned/sdk"));
    let found = match given {
        Some(given) if !is_sdk(given) => {
            bail!("{} is not the SDK: it has no Cargo.toml of finetuned-sdk", given.display())
        }
        Some(given) => given.to_path_buf(),
        None => match packaged().into_iter().chain([PathBuf::from(SOURCE)]).find(|it| is_sdk(it)) {
            Some(found) => found,
            None => bail!(
                "the SDK is not on this machine: give --sdk DIR, the folder `sdk` in finetuned's source"
            ),
        },
    };
    fs::canonicalize(&found).with_context(|| format!("finding {}", found.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn types_are_named_as_rust_names_them() {
        assert_eq!(
            ["focal", "cosine-margin", "top_3"].map(super::type_name),
            ["Focal", "CosineMargin", "Top3"]
        );
    }
}
