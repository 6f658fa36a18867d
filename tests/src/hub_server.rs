//! A hub and its CDN on two local ports, as the real ones answer, with the faults that a test asks
//! for.
//!
//! Large files (.safetensors) are described by a redirect to the CDN, small ones by a relative
//! redirect, as seen at the real hub. Every request is kept for the tests to look at.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub of_cdn: bool,
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub token: Option<String>,
}

/// What is served, and the faults.
#[derive(Default)]
pub struct State {
    pub id: String,
    pub commit: String,
    pub files: BTreeMap<String, Vec<u8>>,
    /// The CDN closes the connection after so many bytes, this many times.
    pub cut_after: Option<usize>,
    pub cuts: u32,
    /// The CDN sends so many bytes, then nothing for ever.
    pub silent_after: Option<usize>,
    /// The CDN's copy is not what the hub announces.
    pub damaged: bool,
    pub knows_no_ranges: bool,
    /// The hub answers 503 this many times.
    pub busy: u32,
    /// Only this token opens the model; the word that the hub gives to others.
    pub gate: Option<(&'static str, &'static str)>,
    /// What the hub says instead of a hash, and instead of a length.
    pub etag: Option<&'static str>,
    pub announced: Option<u64>,
    pub redirects_for_ever: bool,
    pub asked: Vec<Asked>,
}

/// Serves one model, `ada/tiny` unless it is called otherwise, until the test's process ends.
pub struct Server {
    pub endpoint: String,
    pub state: Arc<Mutex<State>>,
}

impl Server {
    pub fn with(files: &[(&str, &[u8])]) -> Server {
        let files = files.iter().map(|it| (it.0.to_owned(), it.1.to_vec())).collect();
        let state = Arc::new(Mutex::new(State {
            id: "ada/tiny".into(),
            commit: COMMIT.into(),
            files,
            ..State::default()
        }));
        let cdn = listen(Arc::clone(&state), None);
        let endpoint = listen(Arc::clone(&state), Some(cdn));
        Server { endpoint, state }
    }

    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// What was asked so far; forgotten afterwards.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// Byte ranges that the CDN was asked for, `None` for the whole.
    pub fn ranges(&self) -> Vec<Option<String>> {
        self.asked().into_iter().filter(|it| it.of_cdn).map(|it| it.range).collect()
    }
}

/// Serves until the test's process ends; says where.
fn listen(state: Arc<Mutex<State>>, cdn: Option<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (state, cdn) = (Arc::clone(&state), cdn.clone());
            std::thread::spawn(move || answer(stream, &state, cdn.as_deref()));
        }
    });
    address
}

struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn reply(status: u16, headers: Vec<(&'static str, String)>, body: &[u8]) -> Reply {
    Reply { status, headers, body: body.to_vec() }
}

/// `cdn` is known to the hub only: without it, this is the CDN.
fn answer(mut stream: TcpStream, state: &Mutex<State>, cdn: Option<&str>) -> Option<()> {
    let asked = read_request(&stream, cdn.is_none())?;
    let (reply, cut, silent) = {
        let mut state = state.lock().unwrap();
        state.asked.push(asked.clone());
        let reply = match cdn {
            Some(cdn) => hub(&mut state, cdn, &asked),
            None => content(&state, asked.path.trim_start_matches("/cdn/"), asked.range.as_deref()),
        };
        let cut = state.cut_after.filter(|_| cdn.is_none() && 0 < state.cuts);
        state.cuts -= u32::from(cut.is_some());
        (reply, cut, state.silent_after.filter(|_| cdn.is_none()))
    };
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    if !reply.headers.iter().any(|it| it.0 == "Content-Length") {
        head += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    reply.headers.iter().for_each(|it| head += &format!("{}: {}\r\n", it.0, it.1));
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    if asked.method == "GET" {
        let end = cut.or(silent).unwrap_or(usize::MAX).min(reply.body.len());
        stream.write_all(&reply.body[..end]).ok()?;
        if silent.is_some() {
            std::thread::sleep(Duration::from_secs(30));
        }
    }
    Some(())
}

fn read_request(stream: &TcpStream, of_cdn: bool) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let mut asked = Asked {
        of_cdn,
        method: words.next()?.into(),
        path: words.next()?.into(),
        range: None,
        token: None,
    };
    for line in lines.take_while(|it| !it.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        match name.to_lowercase().as_str() {
            "range" => asked.range = Some(value.into()),
            "authorization" => asked.token = value.strip_prefix("Bearer ").map(Into::into),
            _ => (),
        }
    }
    Some(asked)
}

fn hub(state: &mut State, cdn: &str, asked: &Asked) -> Reply {
    let error = |status, word: &str| reply(status, vec![("X-Error-Code", word.into())], b"{}");
    if 0 < state.busy {
        state.busy -= 1;
        return reply(503, vec![], b"busy");
    }
    if let Some((_, word)) = state.gate.filter(|it| asked.token.as_deref() != Some(it.0)) {
        return if word.is_empty() {
            reply(401, vec![], b"{}")
        } else {
            error(if word == "GatedRepo" { 403 } else { 401 }, word)
        };
    }
    if let Some(revision) = asked.path.strip_prefix(&format!("/api/models/{}/revision/", state.id))
    {
        if ![state.commit.as_str(), COMMIT, "main", "refs%2Fpr%2F1"].contains(&revision) {
            return error(404, "RevisionNotFound");
        }
        let siblings: Vec<_> =
            state.files.keys().map(|it| serde_json::json!({ "rfilename": it })).collect();
        return reply(
            200,
            vec![],
            serde_json::json!({ "sha": state.commit, "siblings": siblings }).to_string().as_bytes(),
        );
    }
    if let Some(file) = asked.path.strip_prefix("/api/resolve-cache/") {
        return content(state, file, asked.range.as_deref());
    }
    let Some(file) = asked.path.strip_prefix(&format!("/{}/resolve/{}/", state.id, state.commit))
    else {
        return error(404, "RepoNotFound");
    };
    let Some(bytes) = state.files.get(file) else { return error(404, "EntryNotFound") };
    let commit = ("X-Repo-Commit", state.commit.clone());
    if state.redirects_for_ever {
        return reply(307, vec![commit, ("Location", asked.path.clone())], b"");
    }
    if !file.ends_with(".safetensors") {
        return reply(
            307,
            vec![commit, ("Location", format!("/api/resolve-cache/{file}"))],
            b"Redirecting",
        );
    }
    let etag = state.etag.map_or_else(|| sha256(bytes), Into::into);
    let size = state.announced.unwrap_or(bytes.len() as u64);
    let linked = vec![
        ("X-Linked-Etag", format!("\"{etag}\"")),
        ("X-Linked-Size", size.to_string()),
        ("Location", format!("{cdn}/cdn/{file}")),
    ];
    reply(302, [vec![commit], linked].concat(), b"Found")
}

fn content(state: &State, file: &str, range: Option<&str>) -> Reply {
    let Some(bytes) = state.files.get(file) else { return reply(404, vec![], b"") };
    let mut bytes = bytes.clone();
    if state.damaged {
        *bytes.last_mut().unwrap() ^= 1;
    }
    let etag = ("ETag", format!("\"{}\"", git_hash(&bytes)));
    match range.filter(|_| !state.knows_no_ranges) {
        None => reply(200, vec![etag], &bytes),
        Some(range) => {
            let first: usize =
                range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
            if bytes.len() <= first {
                return reply(416, vec![], b"");
            }
            let part = format!("bytes {first}-{}/{}", bytes.len() - 1, bytes.len());
            reply(206, vec![etag, ("Content-Range", part)], &bytes[first..])
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// What `git hash-object` says.
fn git_hash(bytes: &[u8]) -> String {
    hex(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}
