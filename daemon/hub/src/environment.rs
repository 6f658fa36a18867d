//! Decides what the process's environment says about the hub. The only place that reads it; names
//! and defaults are those of Python's huggingface_hub (`constants.py`).

use finetuned_job::outcome::{Failure, FailureKind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

const ENDPOINT_DEFAULT: &str = "https://huggingface.co";

#[derive(Clone)]
pub struct Environment {
    /// What `~` stands for.
    pub home: Option<PathBuf>,
    /// `HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`; absent where there is
    /// no home.
    pub cache: Option<PathBuf>,
    /// `HF_ENDPOINT`, without a slash at the end.
    pub endpoint: String,
    /// `HF_TOKEN`, else what stands in the token file that `hf auth login` writes.
    pub token: Option<String>,
    /// `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`.
    pub offline: bool,
    /// `HTTPS_PROXY`, `ALL_PROXY`, `HTTP_PROXY`, less `NO_PROXY`.
    pub proxy: Option<ureq::Proxy>,
    pub patience: Patience,
}

/// How long a slow or broken connection is borne.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Tries of one request or transfer without a gain worth the name, in all.
    pub tries: u32,
    /// Before the second try; doubles with each one after.
    pub first_wait: Duration,
    /// Longest time to a connection, to an answer, and without a byte of it.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { tries: 4, first_wait: Duration::from_secs(1), silence: Duration::from_secs(20) }
    }
}

impl Environment {
    /// Read when it is first asked for: a process may later be kept from the token's file.
    pub fn of_process() -> Environment {
        static READ: OnceLock<Environment> = OnceLock::new();
        let read = || {
            let var = |name: &str| std::env::var(name).ok();
            Environment {
                proxy: ureq::Proxy::try_from_env(),
                ..Environment::from_vars(std::env::home_dir(), &var)
            }
        };
        READ.get_or_init(read).clone()
    }

    /// Files and folders with certificates of those that vouch for the hub, wherever a system
    /// keeps them: OpenSSL's places, and what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    pub fn certificates() -> Vec<PathBuf> {
        const USUAL: [&str; 10] = [
            "/etc/ssl/certs",
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/ssl/ca-bundle.pem",
            "/etc/ssl/cert.pem",
            "/etc/pki/tls/certs",
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/pki/tls/cacert.pem",
            "/etc/pki/ca-trust/extracted",
            "/usr/share/ca-certificates",
            "/usr/local/share/ca-certificates",
        ];
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(std::env::var_os);
        let named: Vec<PathBuf> =
            named.flat_map(|it| std::env::split_paths(&it).collect::<Vec<_>>()).collect();
        USUAL.iter().map(PathBuf::from).chain(named).collect()
    }

    fn from_vars(home: Option<PathBuf>, var: &dyn Fn(&str) -> Option<String>) -> Environment {
        let var = |name: &str| var(name).map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
        let path = |name: &str| var(name).map(|it| expanded(&it, home.as_deref()));
        let cache_home =
            path("XDG_CACHE_HOME").or_else(|| home.as_ref().map(|it| it.join(".cache")));
        let hf_home = path("HF_HOME").or_else(|| cache_home.map(|it| it.join("huggingface")));
        let hub_cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let token_file =
            path("HF_TOKEN_PATH").or_else(|| hf_home.as_ref().map(|it| it.join("token")));
        let token_on_disk = || {
            token_file
                .and_then(|it| std::fs::read_to_string(it).ok())
                .map(|it| it.trim().to_owned())
                .filter(|it| !it.is_empty())
        };
        let truthy = |name: &str| {
            var(name)
                .is_some_and(|it| ["1", "ON", "YES", "TRUE"].contains(&it.to_uppercase().as_str()))
        };
        Environment {
            cache: hub_cache.or_else(|| hf_home.map(|it| it.join("hub"))),
            endpoint: var("HF_ENDPOINT")
                .unwrap_or_else(|| ENDPOINT_DEFAULT.into())
                .trim_end_matches('/')
                .to_owned(),
            token: var("HF_TOKEN").or_else(|| var("HUGGING_FACE_HUB_TOKEN")).or_else(token_on_disk),
            offline: truthy("HF_HUB_OFFLINE") || truthy("TRANSFORMERS_OFFLINE"),
            proxy: None,
            patience: Patience::default(),
            home,
        }
    }

    pub(crate) fn cache(&self) -> Result<&Path, Failure> {
        let cure = "set HF_HOME to a folder for the models that are fetched";
        self.cache.as_deref().ok_or_else(|| {
            Failure::new(FailureKind::Model, "there is no home folder to keep models in")
                .with_cure(cure)
        })
    }
}

fn expanded(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &[(&str, &str)], home: Option<&Path>) -> Environment {
        let var = |name: &str| vars.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
        Environment::from_vars(home.map(Into::into), &var)
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let home = Some(Path::new("/home/ada"));
        for (vars, cache) in [
            (&[][..], "/home/ada/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HF_HOME", "~/hf"), ("XDG_CACHE_HOME", "/x")], "/home/ada/hf/hub"),
            (&[("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
            (&[("HF_HUB_CACHE", "/new"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/new"),
        ] {
            assert_eq!(with(vars, home).cache.unwrap(), Path::new(cache), "{vars:?}");
        }
        assert!(with(&[], None).cache().unwrap_err().cure.unwrap().contains("HF_HOME"));
    }

    #[test]
    fn a_token_comes_from_the_variable_or_the_file() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "hf_file\n").unwrap();
        let hf_home = home.path().to_str().unwrap();
        assert_eq!(with(&[("HF_HOME", hf_home)], None).token.as_deref(), Some("hf_file"));
        assert_eq!(
            with(&[("HF_HOME", hf_home), ("HF_TOKEN", " hf_var\n")], None).token.as_deref(),
            Some("hf_var")
        );
        assert_eq!(with(&[("HF_HOME", "/nowhere")], None).token, None);
    }

    #[test]
    fn offline_and_endpoint_are_understood_as_python_does() {
        assert!(
            with(&[("HF_HUB_OFFLINE", "yes")], None).offline
                && with(&[("TRANSFORMERS_OFFLINE", "1")], None).offline
        );
        assert!(!with(&[("HF_HUB_OFFLINE", "0")], None).offline);
        assert_eq!(
            with(&[("HF_ENDPOINT", "http://mirror:8080/hf/")], None).endpoint,
            "http://mirror:8080/hf"
        );
        assert_eq!(with(&[("HF_ENDPOINT", "")], None).endpoint, ENDPOINT_DEFAULT);
    }
}
