//! A provider at which people log in: an issuer that asks nobody for a password, gives codes that count
//! once and only with their proof, and lies where a test wants it. And the browser that goes there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use crate::edge::Answer as Got;
use crate::http::Asked;
use crate::issuer::{Issuer, Key, now};
use crate::server::TestServer;
use crate::upstream::{Answer, Body, Recorded};

/// Where tests say that garth is: its own TLS is at somebody else's, in front of it.
pub const GARTH: &str = "https://garth.example.com";
pub const CLIENT: &str = "garth";
/// With characters that are written otherwise in a form.
pub const SECRET: &str = "hush hush:&100%";

/// What comes of a code.
type Sign = dyn Fn(&Key, Value) -> String + Send + Sync;

pub struct Provider {
    pub issuer: Issuer,
    inner: Arc<Inner>,
}

struct Inner {
    url: String,
    key: Key,
    /// Of whoever logs in now.
    person: Mutex<Value>,
    codes: Mutex<HashMap<String, BTreeMap<String, String>>>,
    sign: Mutex<Arc<Sign>>,
    /// What goes back with a code beside it and the state.
    beside: Mutex<Vec<(String, String)>>,
    count: Mutex<u64>,
}

impl Provider {
    pub async fn start() -> Self {
        let key = Key::rsa("one");
        let issuer = Issuer::start(&[&key]).await;
        issuer.discover(&json!({ "authorization_response_iss_parameter_supported": true }));
        let inner = Arc::new(Inner {
            url: issuer.url.clone(),
            key,
            person: Mutex::new(
                json!({ "sub": "17", "preferred_username": "ann", "groups": ["garth-users"] }),
            ),
            codes: Mutex::default(),
            sign: Mutex::new(Arc::new(|key, claims| key.sign(&claims))),
            beside: Mutex::new(vec![("iss".to_owned(), issuer.url.clone())]),
            count: Mutex::new(0),
        });
        let asked = Arc::clone(&inner);
        issuer.up.handle("/authorize", move |request| asked.authorize(request));
        let asked = Arc::clone(&inner);
        issuer.up.handle("/token", move |request| asked.token(request));
        Self { issuer, inner }
    }

    /// The part of garth.toml that names it, with more lines of it.
    pub fn settings(&self, more: &str) -> String {
        format!(
            "[login.provider.acme]\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\n\
             client_secret = {{ env = \"ACME_SECRET\" }}\nclaims = {{ groups = \"garth-*\" }}\n{more}\n",
            self.issuer.url
        )
    }

    /// Whoever logs in from now on.
    pub fn person(&self, claims: Value) {
        *self.inner.person.lock() = claims;
    }

    /// From now on ID tokens are made so.
    pub fn sign(&self, sign: impl Fn(&Key, Value) -> String + Send + Sync + 'static) {
        *self.inner.sign.lock() = Arc::new(sign);
    }

    /// From now on ID tokens say this, too, or instead.
    pub fn claim(&self, name: &str, value: Value) {
        let name = name.to_owned();
        self.sign(move |key, mut claims| {
            claims[&name] = value.clone();
            key.sign(&claims)
        });
    }

    pub fn honest(&self) {
        self.sign(|key, claims| key.sign(&claims));
        self.answer_with(&[("iss", &self.issuer.url)]);
    }

    /// From now on this goes back with a code.
    pub fn answer_with(&self, beside: &[(&str, &str)]) {
        let owned = beside.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        *self.inner.beside.lock() = owned.collect();
    }

    /// How often a code was brought.
    pub fn exchanges(&self) -> usize {
        self.issuer.up.requests("/token")
    }
}

impl Inner {
    fn authorize(&self, request: &Recorded) -> Answer {
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        let asked: BTreeMap<String, String> =
            form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let callback = format!("{GARTH}/api/v1/login/providers/acme/callback");
        let is = |name: &str, value: &str| asked.get(name).is_some_and(|said| said == value);
        if !is("client_id", CLIENT)
            || !is("response_type", "code")
            || !is("redirect_uri", &callback)
            || !is("code_challenge_method", "S256")
            || !asked.get("scope").is_some_and(|scope| scope.split(' ').any(|one| one == "openid"))
        {
            return Answer::status(400);
        }
        let mut count = self.count.lock();
        *count += 1;
        let code = format!("code-{count}-of/acme+");
        self.codes.lock().insert(code.clone(), asked.clone());
        let mut back = Url::parse(&callback).unwrap();
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &asked["state"]);
        for (name, value) in self.beside.lock().iter() {
            back.query_pairs_mut().append_pair(name, value);
        }
        Answer::empty(302).header("Location", back.as_str())
    }

    fn token(&self, request: &Recorded) -> Answer {
        let refused = |status: u16, error: &str| {
            let body = json!({ "error": error }).to_string();
            Answer { status, ..Answer::ok("application/json", Body::Bytes(body.into())) }
        };
        let written =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = STANDARD.encode(format!("{}:{}", written(CLIENT), written(SECRET)));
        if request.method != "POST"
            || request.header("authorization") != Some(&format!("Basic {basic}"))
        {
            return refused(401, "invalid_client");
        }
        let form: BTreeMap<String, String> =
            form_urlencoded::parse(&request.body).into_owned().collect();
        let says = |name: &str| form.get(name).cloned().unwrap_or_default();
        // Once, whatever comes of it.
        let Some(asked) = self.codes.lock().remove(&says("code")) else {
            return refused(400, "invalid_grant");
        };
        let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(says("code_verifier")));
        if says("grant_type") != "authorization_code"
            || says("redirect_uri") != asked["redirect_uri"]
            || asked.get("code_challenge") != Some(&proof)
        {
            return refused(400, "invalid_grant");
        }
        let mut claims = json!({
            "iss": self.url, "aud": CLIENT, "iat": now(), "exp": now() + 300, "nonce": asked.get("nonce"),
        });
        for (name, value) in self.person.lock().as_object().unwrap() {
            claims[name] = value.clone();
        }
        let sign = Arc::clone(&*self.sign.lock());
        let token = sign(&self.key, claims);
        let body = json!({ "id_token": token, "access_token": "opaque", "token_type": "Bearer" });
        Answer::ok("application/json", Body::Bytes(body.to_string().into()))
    }
}

/// A browser: keeps cookies for garth's host, follows what it is told, and says where a page comes from.
pub struct Browser<'a> {
    garth: &'a TestServer,
    cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    pub fn new(garth: &'a TestServer) -> Self {
        Self { garth, cookies: BTreeMap::new() }
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// The address that is left when nothing leads further, and what is there.
    pub async fn open(&mut self, address: &str) -> (String, Got) {
        let mut address = address.to_owned();
        for _ in 0..10 {
            let answer = self.step(&address).await;
            match answer.header("location") {
                Some(next) if (300..400).contains(&answer.status) => next.clone_into(&mut address),
                _ => return (address, answer),
            }
        }
        panic!("led on and on, at last to {address}");
    }

    /// One page.
    pub async fn step(&mut self, address: &str) -> Got {
        let asked = |path: &str| Asked::get(path).header("Accept", "text/html,*/*");
        if let Some(path) = address.strip_prefix(GARTH) {
            return self.ask(asked(path)).await;
        }
        let url = Url::parse(address).unwrap();
        let authority = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        asked(&url[url::Position::BeforePath..url::Position::AfterQuery]).of(&authority).await
    }

    /// Something of garth, with the cookies that it gave.
    pub async fn ask(&mut self, asked: Asked) -> Got {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut asked = asked.header("Host", "garth.example.com");
        if !cookies.is_empty() {
            asked = asked.header("Cookie", &cookies.join("; "));
        }
        let answer = self.garth.ask(&asked).await;
        let set = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        for (_, cookie) in set {
            let mut parts = cookie.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let attributes: Vec<&str> = parts.collect();
            for wanted in ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"] {
                assert!(attributes.contains(&wanted), "{cookie} has no {wanted}");
            }
            assert!(name.starts_with("__Host-"), "{cookie}");
            if attributes.contains(&"Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Logs in as whoever the provider knows; the page where it ends.
    pub async fn log_in(&mut self) -> (String, Got) {
        self.open(&format!("{GARTH}/api/v1/login/providers/acme")).await
    }
}
