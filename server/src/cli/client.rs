//! How a command reaches its server, and what it says when it does not.
//!
//! Where the server runs on this machine, its run file says where it listens and where the token
//! lies; elsewhere `--server` and `--token`, or `GARTH_URL` and `GARTH_TOKEN`, do.

mod logins;
mod run_file;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
pub use reqwest::Body;
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::access::secret::is_mistyped;
use crate::api::problem::Problem;
use crate::config::{Config, EnvSnapshot, LoadOptions};

pub use logins::Logins;
pub use run_file::RunFile;

const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(30);
/// What is large is sent, and worked on, for longer.
const UPLOAD: Duration = Duration::from_hours(1);
/// Answers of the API are pages; more than this is not one of garth.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Options of every command that talks to a server.
#[allow(clippy::doc_markdown, reason = "shown as it stands in the help text")]
#[derive(Args, Clone, Debug, Default)]
pub struct ServerArgs {
    /// The server's URL [default: the one on this machine] [env: GARTH_URL]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// A token of it [default: the one of the server on this machine] [env: GARTH_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// The data directory of the server on this machine [default: ./garth-data] [env: GARTH_DATA]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Why a command could not do its work; each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no server was found: {why}\nStart one here with `garth serve`, or say which one: \
         --server URL --token TOKEN (or GARTH_URL and GARTH_TOKEN)"
    )]
    NotFound { why: String },
    #[error("there is no token for {url}: give one with --token or GARTH_TOKEN{hint}")]
    NoToken { url: Url, hint: String },
    #[error("{text:?} is no URL of a server: write it as http://127.0.0.1:8642 ({why})")]
    BadUrl { text: String, why: String },
    #[error(
        "the token is mistyped or cut off: no garth ever made one that ends so. Copy it again, or \
         have a new one made by `garth token rotate`"
    )]
    Mistyped,
    #[error("the token file {} cannot be read: {source}{}", path.display(), token_hint(source))]
    TokenFile { path: PathBuf, source: std::io::Error },
    #[error("{url} does not answer: {cause}\nIs the server running? `garth serve` starts it")]
    Unreachable { url: Url, cause: String },
    #[error("{} can not be read: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: String },
    /// Before anything was changed.
    #[error("{0}")]
    Unasked(String),
    #[error("{0}")]
    Refused(Box<Problem>),
    #[error("{url} answered {status}, and not as garth does: is it a garth server?")]
    Foreign { url: Url, status: StatusCode },
}

fn token_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "\nIt belongs to the user that runs the server: run the command as that user, or give --token"
        }
        _ => "",
    }
}

/// A server that a command talks to.
pub struct Client {
    base: Url,
    /// Absent: whoever asks says nothing of themselves.
    token: Option<String>,
    http: reqwest::Client,
}

impl Client {
    /// Finds the server and the token. Blocking: runs before anything else.
    pub fn find(args: &ServerArgs, env: &EnvSnapshot) -> Result<Self, ClientError> {
        let given =
            args.server.as_deref().or_else(|| env.get("GARTH_URL")).map(parse_url).transpose()?;
        let token = args.token.as_deref().or_else(|| env.get("GARTH_TOKEN"));
        if token.is_some_and(|token| is_mistyped(token.trim())) {
            return Err(ClientError::Mistyped);
        }
        let data = || data_directory(args.data.as_deref(), env);
        if token.is_none()
            && let Some((base, token)) = by_login(given.as_ref(), &data, env)?
        {
            return Self::new(base, Some(token));
        }
        let (base, token) = match (given, token) {
            (Some(url), Some(token)) => (url, token.trim().to_owned()),
            (given, token) => from_this_machine(given, token, &data())?,
        };
        Self::new(base, Some(token))
    }

    /// Where clients find a registry of this server, by the name that it is called by here.
    pub fn address_of(&self, registry: &str) -> String {
        format!("{}/{registry}/", self.base.as_str().trim_end_matches('/'))
    }

    pub fn base(&self) -> &Url {
        &self.base
    }

    pub fn with_token(self, token: String) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Finds the server, and sends no token even where one is there.
    pub fn without_token(args: &ServerArgs, env: &EnvSnapshot) -> Result<Self, ClientError> {
        let given = args.server.as_deref().or_else(|| env.get("GARTH_URL"));
        let base = if let Some(url) = given.map(parse_url).transpose()? {
            url
        } else {
            let run = RunFile::read(&data_directory(args.data.as_deref(), env));
            run.map_err(|why| ClientError::NotFound { why })?.url
        };
        Self::new(base, None)
    }

    fn new(base: Url, token: Option<String>) -> Result<Self, ClientError> {
        let http = connections(&base).build().map_err(|error| ClientError::Unreachable {
            url: base.clone(),
            cause: error.to_string(),
        })?;
        Ok(Self { base, token, http })
    }

    pub async fn get<A: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<A, ClientError> {
        let (_, body) = self.send(Method::GET, path, query, None::<&()>).await?;
        self.read(&body)
    }

    /// Every page of a listing; `take` says what one has, and behind what the next one is.
    pub async fn list<P: DeserializeOwned, T>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        take: impl Fn(P) -> (Vec<T>, Option<String>),
    ) -> Result<Vec<T>, ClientError> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut query = query.to_vec();
            query.extend(after.as_deref().map(|after| ("after", after)));
            let (some, next) = take(self.get(path, &query).await?);
            all.extend(some);
            match next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// What the server made, and whether it made it now (201).
    pub async fn post<B: Serialize, A: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &B,
    ) -> Result<(A, bool), ClientError> {
        let (status, body) = self.send(Method::POST, path, &[], Some(body)).await?;
        Ok((self.read(&body)?, status == StatusCode::CREATED))
    }

    /// Asks something that is worked on for a while.
    pub async fn ask<B: Serialize, A: DeserializeOwned>(
        &self,
        path: &[&str],
        question: &B,
    ) -> Result<A, ClientError> {
        self.ask_to_make(path, question).await.map(|(answer, _)| answer)
    }

    /// As [`Self::post`], of what is worked on for a while.
    pub async fn ask_to_make<B: Serialize, A: DeserializeOwned>(
        &self,
        path: &[&str],
        question: &B,
    ) -> Result<(A, bool), ClientError> {
        let json = serde_json::to_vec(question).unwrap_or_default();
        let request = self.http.request(Method::POST, self.url(path, &[])).timeout(UPLOAD);
        let request = request.header("content-type", "application/json").body(json);
        let (status, body) = self.answer_to(request).await?;
        Ok((self.read(&body)?, status == StatusCode::CREATED))
    }

    /// Sends bytes of that type as they come, for as long as it takes.
    pub async fn upload<A: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        kind: &str,
        body: Body,
    ) -> Result<A, ClientError> {
        let request = self
            .http
            .request(Method::POST, self.url(path, query))
            .timeout(UPLOAD)
            .header("content-type", kind)
            .body(body);
        let (_, body) = self.answer_to(request).await?;
        self.read(&body)
    }

    /// What is in the place of what was there.
    pub async fn put<B: Serialize, A: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &B,
    ) -> Result<A, ClientError> {
        let (_, body) = self.send(Method::PUT, path, &[], Some(body)).await?;
        self.read(&body)
    }

    /// Where there is nothing to say of what is there now.
    pub async fn put_only<B: Serialize>(&self, path: &[&str], body: &B) -> Result<(), ClientError> {
        self.send(Method::PUT, path, &[], Some(body)).await.map(|_| ())
    }

    pub async fn patch<B: Serialize, A: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &B,
    ) -> Result<A, ClientError> {
        let (_, body) = self.send(Method::PATCH, path, &[], Some(body)).await?;
        self.read(&body)
    }

    pub async fn delete(&self, path: &[&str]) -> Result<(), ClientError> {
        self.delete_with(path, &[]).await
    }

    /// What is answered to it.
    pub async fn delete_for<A: DeserializeOwned>(&self, path: &[&str]) -> Result<A, ClientError> {
        let (_, body) = self.send(Method::DELETE, path, &[], None::<&()>).await?;
        self.read(&body)
    }

    pub async fn delete_with(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<(), ClientError> {
        self.send(Method::DELETE, path, query, None::<&()>).await.map(|_| ())
    }

    fn read<A: DeserializeOwned>(&self, body: &[u8]) -> Result<A, ClientError> {
        serde_json::from_slice(body)
            .map_err(|_| ClientError::Foreign { url: self.base.clone(), status: StatusCode::OK })
    }

    async fn send<B: Serialize>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&B>,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let mut request = self.http.request(method, self.url(path, query));
        if let Some(body) = body {
            let json = serde_json::to_vec(body).unwrap_or_default();
            request = request.header("content-type", "application/json").body(json);
        }
        self.answer_to(request).await
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn answer_to(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let unreachable = |error: reqwest::Error| ClientError::Unreachable {
            url: self.base.clone(),
            cause: root_cause(&error),
        };
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = read_bounded(response).await.map_err(unreachable)?;
        if status.is_success() {
            return Ok((status, body));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => Err(ClientError::Foreign { url: self.base.clone(), status }),
        }
    }
}

async fn read_bounded(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > MAX_ANSWER {
            break;
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// A sentence on why no registry of garth answers.
pub enum Silent {
    /// A server is there, and has no such registry.
    NoRegistry(String),
    Unclear(String),
}

/// What a registry wants of whoever asks it something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    Token,
}

/// Whether a registry of garth answers at `registry`: it has `known` below it. No token is sent.
pub async fn answers(registry: &Url, known: &str) -> Result<Needs, Silent> {
    let failed = |error: &reqwest::Error| {
        let cause = root_cause(error);
        Silent::Unclear(format!("{registry} does not answer: {cause}. Is the server running?"))
    };
    let http = connections(registry).build().map_err(|error| failed(&error))?;
    let ping = registry.join(known).unwrap_or_else(|_| registry.clone());
    match http.get(ping).send().await.map_err(|error| failed(&error))?.status() {
        status if status.is_success() => Ok(Needs::Nothing),
        // It is there, and wants to know who asks.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(Needs::Token),
        StatusCode::NOT_FOUND => Err(Silent::NoRegistry(format!(
            "there is no registry at {registry}: is this the name that it has in garth.toml?"
        ))),
        status => {
            Err(Silent::Unclear(format!("{registry} answered {status}, and not as garth does")))
        }
    }
}

fn connections(to: &Url) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("garth/", env!("CARGO_PKG_VERSION")));
    if is_loopback(to) { builder.no_proxy() } else { builder }
}

/// The innermost reason: "connection refused", and not that a request could not be sent.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("it took longer than {} seconds", TOTAL.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

pub(super) fn parse_url(text: &str) -> Result<Url, ClientError> {
    let bad = |why: &str| ClientError::BadUrl { text: text.to_owned(), why: why.to_owned() };
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
        return Err(bad("it begins with neither http:// nor https://"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The server that is meant and the login that this machine's user has there, if they have one.
fn by_login(
    given: Option<&Url>,
    data: &impl Fn() -> PathBuf,
    env: &EnvSnapshot,
) -> Result<Option<(Url, String)>, ClientError> {
    if Logins::is_nowhere(env) {
        return Ok(None);
    }
    let base = match given {
        Some(url) => url.clone(),
        None => match RunFile::read(&data()) {
            Ok(run) => run.url,
            Err(_) => return Ok(None),
        },
    };
    let logins = Logins::of(env).map_err(ClientError::Unasked)?;
    Ok(logins.find(&base).map(|token| (base, token)))
}

/// What was not given comes from the run file. Its token goes to its own server only.
fn from_this_machine(
    given: Option<Url>,
    token: Option<&str>,
    data: &Path,
) -> Result<(Url, String), ClientError> {
    let run = RunFile::read(data);
    match (given, run) {
        (None, Err(why)) => Err(ClientError::NotFound { why }),
        (None, Ok(run)) => match token {
            Some(token) => Ok((run.url, token.trim().to_owned())),
            None => run.token().map(|token| (run.url.clone(), token)),
        },
        (Some(url), Ok(run)) if run.url.origin() == url.origin() => {
            run.token().map(|token| (url, token))
        }
        (Some(url), run) => {
            let hint = run.map_or_else(
                |_| String::new(),
                |run| format!("; the one on this machine is for {}", run.url),
            );
            Err(ClientError::NoToken { url, hint })
        }
    }
}

/// The data directory of the server on this machine.
pub(super) fn data_directory(given: Option<&Path>, env: &EnvSnapshot) -> PathBuf {
    // A broken configuration is for `garth serve` to tell; here only its data directory matters.
    match usual_config(given.map(Path::to_path_buf), env) {
        Some(config) => config.data,
        None => given
            .map(Path::to_path_buf)
            .or_else(|| env.get_os("GARTH_DATA").map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("garth-data")),
    }
}

/// What `garth serve` would be told here; `None` where it would not start.
pub(super) fn usual_config(data: Option<PathBuf>, env: &EnvSnapshot) -> Option<Config> {
    let options = LoadOptions {
        file: LoadOptions::usual_file(env),
        data,
        env: env.clone(),
        ..LoadOptions::default()
    };
    Config::load(&options).ok()
}
