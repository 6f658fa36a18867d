//! Decides how the hub is asked: which addresses, which headers, where the token may go, what an
//! answer means, and how often a question is repeated.
//!
//! The protocol is the one of Python's huggingface_hub (`file_download.py`), so mirrors that serve
//! Python serve this. What comes in is written down elsewhere (`transfer`).

use crate::base::{HubName, is_plain};
use crate::environment::{Environment, Patience};
use crate::failures::Trouble;
use serde::Deserialize;
use std::time::Duration;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// The hub itself needs two: to its file cache, and from there to the CDN.
const REDIRECTS_MAX: usize = 5;
/// A listing of a repository with tens of thousands of files stays below.
const LISTING_BYTES_MAX: u64 = 16 << 20;
/// A server that asks for more patience than this is not waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// A try that brought less than this counts as one that brought nothing.
const GAIN_BYTES_MIN: u64 = 1 << 20;

pub(crate) struct Hub<'a> {
    env: &'a Environment,
    agent: Agent,
    id: &'a str,
}

/// What a revision is, and which files it has.
pub(crate) struct Listing {
    pub(crate) commit: String,
    pub(crate) files: Vec<String>,
}

/// A file as the hub describes it.
pub(crate) struct RemoteFile {
    pub(crate) file: String,
    /// sha256 of the content (large files) or git's hash of it (small ones); safe as a file name.
    pub(crate) etag: String,
    pub(crate) bytes: Option<u64>,
    url: String,
}

impl<'a> Hub<'a> {
    pub(crate) fn new(env: &'a Environment, name: &'a HubName) -> Hub<'a> {
        let silence = Some(env.patience.silence);
        let config = Agent::config_builder()
            .timeout_resolve(silence)
            .timeout_connect(silence)
            .timeout_recv_response(silence)
            .timeout_per_read(silence)
            .timeout_per_write(silence)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(env.proxy.clone())
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .user_agent(concat!("finetuned/", env!("CARGO_PKG_VERSION")));
        Hub { env, agent: config.build().into(), id: &name.id }
    }

    pub(crate) fn listing(&self, revision: &str) -> Result<Listing, Trouble> {
        #[derive(Deserialize)]
        struct Answer {
            sha: String,
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let url = format!(
            "{}/api/models/{}/revision/{}",
            self.env.endpoint,
            self.id,
            revision.replace('/', "%2F")
        );
        let text = patiently(self.env.patience, || {
            let (_, mut answer) = self.ask("GET", &url, None, |_| true)?;
            expect(&answer, &[StatusCode::OK])?;
            answer
                .body_mut()
                .with_config()
                .limit(LISTING_BYTES_MAX)
                .read_to_string()
                .map_err(Trouble::network)
        })?;
        let answer: Answer = serde_json::from_str(&text)
            .map_err(|err| Trouble::Strange(format!("its listing is unreadable: {err}")))?;
        if !is_plain(&answer.sha) {
            return Err(Trouble::Strange(format!("it names the commit `{}`", answer.sha)));
        }
        Ok(Listing {
            commit: answer.sha,
            files: answer.siblings.into_iter().map(|it| it.rfilename).collect(),
        })
    }

    pub(crate) fn describe(&self, commit: &str, file: &str) -> Result<RemoteFile, Trouble> {
        let url = format!("{}/{}/resolve/{commit}/{file}", self.env.endpoint, self.id);
        let answer = patiently(self.env.patience, || {
            // A redirect with this header is the hub's description of a file that lies elsewhere.
            let (_, answer) =
                self.ask("HEAD", &url, None, |it| text(it, "x-linked-etag").is_none())?;
            if !answer.status().is_redirection() {
                expect(&answer, &[StatusCode::OK])?;
            }
            Ok(answer)
        })?;
        let etag =
            text(&answer, "x-linked-etag").or_else(|| text(&answer, "etag")).unwrap_or_default();
        let etag = etag.trim_start_matches("W/").trim_matches('"');
        if !is_plain(etag) {
            return Err(Trouble::Strange(format!("it gives `{etag}` as the hash")));
        }
        let own_length = || {
            if answer.status().is_redirection() { None } else { text(&answer, "content-length") }
        };
        let bytes =
            text(&answer, "x-linked-size").or_else(own_length).and_then(|it| it.parse().ok());
        Ok(RemoteFile { file: file.into(), etag: etag.into(), bytes, url })
    }

    /// Opens the content at byte `from`. The second value says where the answer really starts: a
    /// server that knows no ranges starts at 0.
    pub(crate) fn open(&self, remote: &RemoteFile, from: u64) -> Result<(Body, u64), Trouble> {
        let range = (0 < from).then(|| format!("bytes={from}-"));
        let (_, answer) = self.ask("GET", &remote.url, range.as_deref(), |_| true)?;
        expect(&answer, &[StatusCode::OK, StatusCode::PARTIAL_CONTENT])?;
        let start = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let first = text(&answer, "content-range")
                    .and_then(|it| it.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
                first.filter(|it| *it == from).ok_or_else(|| {
                    Trouble::Strange("it answers with another part of the file than asked".into())
                })?
            }
            _ => 0,
        };
        Ok((answer.into_body(), start))
    }

    /// Asks, and follows redirects while `follow` wants it. The token goes to the endpoint only,
    /// never to another host, port or scheme that it redirects to.
    fn ask(
        &self,
        method: &str,
        url: &str,
        range: Option<&str>,
        follow: impl Fn(&Response<Body>) -> bool,
    ) -> Result<(String, Response<Body>), Trouble> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS_MAX {
            let mut request =
                if method == "HEAD" { self.agent.head(&url) } else { self.agent.get(&url) };
            request = request.header(header::ACCEPT_ENCODING, "identity");
            if let Some(range) = range {
                request = request.header(header::RANGE, range);
            }
            if let (Some(token), true) =
                (&self.env.token, origin(&url) == origin(&self.env.endpoint))
            {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let answer = request.call().map_err(Trouble::network)?;
            let next = text(&answer, "location").map(|it| joined(&url, it));
            match next {
                Some(next) if answer.status().is_redirection() && follow(&answer) => url = next?,
                _ => return Ok((url, answer)),
            }
        }
        Err(Trouble::Strange(format!("it redirects more than {REDIRECTS_MAX} times")))
    }
}

/// Counts the tries of one thing.
pub(crate) struct Tries {
    patience: Patience,
    spent: u32,
}

impl Tries {
    pub(crate) fn new(patience: Patience) -> Tries {
        Tries { patience, spent: 0 }
    }

    /// Returns after a pause when another try makes sense, else with the reason. A try that gained
    /// something worth the name before it failed starts the count anew.
    pub(crate) fn again(&mut self, why: Trouble, gained: u64) -> Result<(), Trouble> {
        self.spent = if GAIN_BYTES_MIN <= gained { 1 } else { self.spent + 1 };
        if !why.is_passing() || self.patience.tries <= self.spent {
            return Err(why);
        }
        let pause = self.patience.first_wait * 2u32.saturating_pow(self.spent - 1);
        match why.wait_asked() {
            Some(wait) if RETRY_AFTER_MAX < wait => return Err(why),
            wait => std::thread::sleep(pause.max(wait.unwrap_or_default())),
        }
        Ok(())
    }
}

fn patiently<T>(
    patience: Patience,
    mut attempt: impl FnMut() -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let mut tries = Tries::new(patience);
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(why) => tries.again(why, 0)?,
        }
    }
}

fn expect(answer: &Response<Body>, wanted: &[StatusCode]) -> Result<(), Trouble> {
    if wanted.contains(&answer.status()) {
        return Ok(());
    }
    let wait = text(answer, "retry-after").and_then(|it| it.parse().ok()).map(Duration::from_secs);
    Err(Trouble::Status {
        code: answer.status().as_u16(),
        error: text(answer, "x-error-code").map(Into::into),
        wait,
    })
}

fn text<'a>(answer: &'a Response<Body>, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

/// Scheme, host and port.
fn origin(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |it| it + 3);
    let end = url[after_scheme..].find(['/', '?', '#']).map_or(url.len(), |it| after_scheme + it);
    &url[..end]
}

/// The address that a redirect from `url` leads to.
fn joined(url: &str, location: &str) -> Result<String, Trouble> {
    let scheme = url.split("://").next().unwrap_or_default();
    match location {
        it if it.starts_with("https://") || (it.starts_with("http://") && scheme == "http") => {
            Ok(it.into())
        }
        it if it.starts_with("//") => Ok(format!("{scheme}:{it}")),
        it if it.starts_with('/') => Ok(format!("{}{it}", origin(url))),
        it => Err(Trouble::Strange(format!("it redirects to `{it}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_followed_and_never_into_the_open() {
        let url = "https://hub.example:8443/a/resolve/x";
        assert_eq!(joined(url, "/api/y?z").unwrap(), "https://hub.example:8443/api/y?z");
        assert_eq!(joined(url, "//cdn.example/y").unwrap(), "https://cdn.example/y");
        assert_eq!(joined(url, "https://cdn.example/y").unwrap(), "https://cdn.example/y");
        assert!(
            joined(url, "http://cdn.example/y").is_err()
                && joined(url, "file:///etc/passwd").is_err()
        );
        assert_eq!(joined("http://mirror/x", "http://other/y").unwrap(), "http://other/y");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("https://hub.example:8443/a?b"), "https://hub.example:8443");
        assert_eq!(origin("https://hub.example?b"), "https://hub.example");
        assert_ne!(origin("https://hub.example.evil.example/"), origin("https://hub.example"));
        assert_ne!(origin("http://hub.example/"), origin("https://hub.example"));
    }

    #[test]
    fn tries_have_a_number_that_only_gain_renews() {
        let passing = || Trouble::Network("reset".into());
        let mut tries =
            Tries::new(Patience { tries: 3, first_wait: Duration::ZERO, silence: Duration::ZERO });
        assert!(
            tries.again(passing(), 0).is_ok() && tries.again(passing(), GAIN_BYTES_MIN).is_ok()
        );
        assert!(tries.again(passing(), 10).is_ok() && tries.again(passing(), 10).is_err());
    }
}
