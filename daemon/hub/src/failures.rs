//! Decides in which words trouble with a base model reaches a person: what, which repository, which
//! file, and what to do about it.

use crate::base::HubName;
use crate::environment::Environment;
use crate::wanted::Lack;
use finetuned_job::outcome::{Failure, FailureKind};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What went wrong on the way, before it is known what it means for the model.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// No connection, or it broke or fell silent.
    Network(String),
    /// The content ended early.
    Cut {
        here: u64,
        bytes: u64,
    },
    /// An answer other than yes. `error` is the hub's own word for it.
    Status {
        code: u16,
        error: Option<String>,
        wait: Option<Duration>,
    },
    Hash {
        wanted: String,
        found: String,
    },
    /// An answer that no hub gives.
    Strange(String),
    Disk {
        path: PathBuf,
        source: io::Error,
    },
    Full {
        path: PathBuf,
        wanted: u64,
        free: u64,
    },
}

impl Trouble {
    pub(crate) fn disk(path: &Path, source: io::Error) -> Trouble {
        Trouble::Disk { path: path.into(), source }
    }

    pub(crate) fn network(err: ureq::Error) -> Trouble {
        match err {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::BodyExceedsLimit(_) => {
                Trouble::Strange(err.to_string())
            }
            err => Trouble::Network(err.to_string()),
        }
    }

    /// Whether the same question may get a better answer a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            // A certificate that isn't trusted now isn't trusted in a second either.
            Trouble::Network(why) => !why.contains("certificate"),
            Trouble::Cut { .. } => true,
            Trouble::Status { code, .. } => matches!(code, 408 | 429 | 500..),
            _ => false,
        }
    }

    /// How long the server asked to be left alone.
    pub(crate) fn wait_asked(&self) -> Option<Duration> {
        match self {
            Trouble::Status { wait, .. } => *wait,
            _ => None,
        }
    }

    /// Trouble with the model as a whole.
    pub(crate) fn of_repository(
        self,
        env: &Environment,
        name: &HubName,
        revision: &str,
    ) -> Failure {
        match &self {
            Trouble::Status { code: 404, error: Some(error), .. }
                if error == "RevisionNotFound" =>
            {
                model(
                    format!("hf:{} has no revision `{revision}`", name.id),
                    "name a branch, a tag or a commit that it has, or leave out `@…` for the newest",
                )
            }
            _ => self.of(env, name, &format!("{name}")),
        }
    }

    /// Trouble with one file of the model.
    pub(crate) fn of_file(self, env: &Environment, name: &HubName, file: &str) -> Failure {
        self.of(env, name, &format!("{file} of {name}"))
    }

    fn of(self, env: &Environment, name: &HubName, what: &str) -> Failure {
        let endpoint = &env.endpoint;
        match self {
            Trouble::Network(why) if why.contains("certificate") => model(
                format!("{endpoint} isn't trusted while fetching {what}: {why}"),
                "install the system's ca-certificates, or set SSL_CERT_FILE to your own authority's certificate",
            ),
            Trouble::Network(why) => model(
                format!("{endpoint} can't be reached to fetch {what}: {why}"),
                without_network(name),
            ),
            Trouble::Cut { here, bytes } => model(
                format!(
                    "the connection broke again and again while fetching {what}: {here} of {bytes} bytes are here"
                ),
                "try again: it continues where it stopped",
            ),
            Trouble::Status { code, error, .. } => refused(env, name, what, code, error.as_deref()),
            Trouble::Hash { wanted, found } => model(
                format!(
                    "{what} arrived damaged and was thrown away: its hash is {found}, but {endpoint} announced {wanted}"
                ),
                format!(
                    "try again; if it stays so, something on the way changes files: a proxy, or the mirror in HF_ENDPOINT, or {}",
                    copied(name)
                ),
            ),
            Trouble::Strange(why) => model(
                format!("{endpoint} gives no sensible answer about {what}: {why}"),
                "check HF_ENDPOINT and the proxy settings",
            ),
            Trouble::Disk { path, source } => {
                let cure = match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        "make room there, or set HF_HOME to a folder on a larger disk"
                    }
                    _ => "make it writable, or set HF_HOME to a folder that is",
                };
                Failure::new(
                    FailureKind::Disk,
                    format!("{what} can't be kept in {}: {source}", path.display()),
                )
                .with_cure(cure)
            }
            Trouble::Full { path, wanted, free } => Failure::new(
                FailureKind::Disk,
                format!(
                    "{what} needs {} MB more, but only {} MB are free for {}",
                    wanted.div_ceil(1_000_000),
                    free / 1_000_000,
                    path.display()
                ),
            )
            .with_cure("make room there, or set HF_HOME to a folder on a larger disk"),
        }
    }
}

fn refused(
    env: &Environment,
    name: &HubName,
    what: &str,
    code: u16,
    error: Option<&str>,
) -> Failure {
    let (endpoint, id) = (&env.endpoint, &name.id);
    let token = match env.token {
        Some(_) => {
            "the token in HF_TOKEN (or of `hf auth login`) doesn't open it: check that it is valid and may read this model"
        }
        None => "if it is private, set HF_TOKEN to a token that may read it",
    };
    match (code, error) {
        (_, Some("GatedRepo")) => model(
            format!(
                "{what} is gated: {endpoint} gives it only to accounts that accepted its conditions"
            ),
            format!("accept them at {endpoint}/{id} and set HF_TOKEN to that account's token"),
        ),
        (404, Some("EntryNotFound")) => model(
            format!("{endpoint} has no {what}"),
            "try again: the repository may have changed meanwhile",
        ),
        // The hub says 401 for what doesn't exist, so that names of private models can't be probed.
        (_, Some("RepoNotFound")) | (404, _) => model(
            format!("{endpoint} knows no model {what}"),
            format!("check the spelling of OWNER/NAME; {token}"),
        ),
        (401 | 403, _) => model(format!("{endpoint} refuses {what} (status {code})"), token),
        (429, _) => model(
            format!("{endpoint} says that it was asked too often for {what}"),
            "wait a few minutes; with HF_TOKEN set it allows more",
        ),
        _ => model(
            format!("{endpoint} failed to give {what} (status {code})"),
            format!("try again later, or {}", copied(name)),
        ),
    }
}

/// Nothing may be asked, and the cache doesn't hold it.
pub(crate) fn offline(name: &HubName) -> Failure {
    model(
        format!("{name} isn't in the cache, and HF_HUB_OFFLINE forbids to fetch it"),
        format!("unset HF_HUB_OFFLINE once, or {}", copied(name)),
    )
}

pub(crate) fn no_folder(base: &str, folder: &Path) -> Failure {
    let looks_like_hub = base.split('/').count() == 2 && !base.starts_with(['.', '/', '~']);
    let cure = if looks_like_hub {
        format!("if it is a model of the Hugging Face hub, write hf:{base}")
    } else {
        "a base model is a folder (in a recipe, relative to its own) or hf:OWNER/NAME".into()
    };
    model(format!("there is no folder {} for the base model `{base}`", folder.display()), cure)
}

pub(crate) fn folder_lacks(folder: &Path, lack: &Lack) -> Failure {
    let shown = folder.display();
    match lack {
        Lack::Config => model(
            format!("{shown} has no config.json, so it is no model's folder"),
            "name the folder that holds config.json and model.safetensors",
        ),
        Lack::Weights => model(
            format!("{shown} has no model.safetensors"),
            "name the folder that holds config.json and model.safetensors",
        ),
        Lack::OnlyPickle => model(
            format!(
                "{shown} has its weights only as pytorch_model.bin, which can run code when it is read"
            ),
            format!("convert it once with Python: {}", conversion(&shown.to_string())),
        ),
        Lack::AdapterWeights => model(
            format!("{shown} has an adapter_config.json, but no adapter_model.safetensors"),
            "copy the adapter's folder again, whole",
        ),
        Lack::OnlyAdapterPickle => model(
            format!(
                "{shown} has its adapter only as adapter_model.bin, which can run code when it is read"
            ),
            ADAPTER_CONVERSION,
        ),
        Lack::Shard(file) => model(
            format!("{shown} lacks {file}, which its index names"),
            "copy the folder again, whole",
        ),
        Lack::Index(why) => bad_index(&folder.join(crate::wanted::INDEX), why),
    }
}

pub(crate) fn repository_lacks(name: &HubName, lack: &Lack) -> Failure {
    match lack {
        Lack::OnlyPickle => model(
            format!(
                "{name} has its weights only as pytorch_model.bin, which can run code when it is read"
            ),
            format!(
                "name a revision that has model.safetensors (hf:{}@refs/pr/N, see the repository's pull requests), or convert it once with Python and name the folder: {}",
                name.id,
                conversion(&name.id)
            ),
        ),
        Lack::OnlyAdapterPickle => model(
            format!(
                "{name} has its adapter only as adapter_model.bin, which can run code when it is read"
            ),
            ADAPTER_CONVERSION,
        ),
        Lack::AdapterWeights => model(
            format!("{name} has an adapter_config.json, but no adapter_model.safetensors"),
            "choose another repository, or another revision of it",
        ),
        Lack::Config => model(
            format!("{name} has no config.json, so no library can say what it is"),
            "choose a repository in the transformers format",
        ),
        _ => model(
            format!("{name} has no model.safetensors"),
            "choose a repository in the transformers format with safetensors weights",
        ),
    }
}

const ADAPTER_CONVERSION: &str =
    "load it once with peft where you trust it, save it with save_pretrained, and name that folder";

pub(crate) fn no_beneath(folder: &Path, why: &str) -> Failure {
    model(
        format!("{} is an adapter, but {why}", folder.display()),
        "set base_model_name_or_path there to the folder of the model that it was trained beside, or to its OWNER/NAME on the hub",
    )
}

pub(crate) fn bad_index(path: &Path, why: &str) -> Failure {
    model(format!("{} is unusable: {why}", path.display()), "fetch or copy the model again")
}

fn conversion(source: &str) -> String {
    format!(
        "python3 -c \"from transformers import AutoModel, AutoTokenizer; s, d = '{source}', 'converted'; \
         AutoModel.from_pretrained(s).save_pretrained(d); AutoTokenizer.from_pretrained(s).save_pretrained(d)\""
    )
}

fn without_network(name: &HubName) -> String {
    format!("check the network, HTTPS_PROXY and HF_ENDPOINT, or {}", copied(name))
}

fn copied(name: &HubName) -> String {
    format!("copy the folder from a machine that has {} and name it by path", name.id)
}

fn model(message: impl Into<String>, cure: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Model, message).with_cure(cure)
}
