//! The bundle under test, and a client of its API.

use std::env;
use std::io::Write as _;
use std::time::{Duration, Instant};

use local::permissions::Permissions;
use local::{Bundle, Options};
use local_aws::iam::Permission;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use shared::aws::Aws;

use crate::engine::Engine;

/// How long something may take whose time is no promise: a debug build on a busy machine is slow.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) const REGISTER: &str = "/api/v1/auth/register";
pub(crate) const LOGIN: &str = "/api/v1/auth/login";
pub(crate) const ME: &str = "/api/v1/auth/me";
pub(crate) const REFRESH: &str = "/api/v1/auth/refresh";
pub(crate) const LOGOUT: &str = "/api/v1/auth/logout";
pub(crate) const LOGOUT_ALL: &str = "/api/v1/auth/logout-all";
pub(crate) const CHANGE_PASSWORD: &str = "/api/v1/auth/change-password";
pub(crate) const FORGOT_PASSWORD: &str = "/api/v1/auth/forgot-password";
pub(crate) const RESET_PASSWORD: &str = "/api/v1/auth/reset-password";
pub(crate) const VERIFY_EMAIL: &str = "/api/v1/auth/verify-email";
pub(crate) const RESEND: &str = "/api/v1/auth/resend-verification";
pub(crate) const SESSIONS: &str = "/api/v1/auth/sessions";
pub(crate) const USERS: &str = "/api/v1/users";
pub(crate) const AUDIT: &str = "/api/v1/audit";
pub(crate) const PRODUCTS: &str = "/api/v1/products";
pub(crate) const FILES: &str = "/api/v1/files";
pub(crate) const SEARCH: &str = "/api/v1/products/search";

/// Every endpoint that only a signed-in user may call, with a body that it takes; `{id}` is a user's, a
/// session's or a file's.
pub(crate) fn protected() -> Vec<(Method, &'static str, Option<Value>)> {
    let passwords = json!({"currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD});
    vec![
        (Method::GET, ME, None),
        (Method::PATCH, ME, Some(json!({"name": "Another Name"}))),
        (Method::DELETE, ME, Some(json!({"password": PASSWORD}))),
        (Method::POST, LOGOUT_ALL, None),
        (Method::POST, CHANGE_PASSWORD, Some(passwords)),
        (Method::POST, RESEND, None),
        (Method::GET, SESSIONS, None),
        (Method::DELETE, "/api/v1/auth/sessions/{id}", None),
        (Method::POST, FILES, Some(json!({"filename": "notes.pdf", "size": 9}))),
        (Method::GET, FILES, None),
        (Method::GET, "/api/v1/files/{id}", None),
        (Method::GET, "/api/v1/files/{id}/download", None),
        (Method::DELETE, "/api/v1/files/{id}", None),
    ]
}

/// Every endpoint that only an admin may call.
pub(crate) fn admins_only() -> Vec<(Method, &'static str, Option<Value>)> {
    vec![
        (Method::GET, USERS, None),
        (Method::GET, "/api/v1/users/{id}", None),
        (Method::GET, AUDIT, None),
        (Method::PUT, "/api/v1/users/{id}/roles", Some(json!({"roles": ["user", "admin"]}))),
        (Method::PUT, "/api/v1/users/{id}/status", Some(json!({"status": "SUSPENDED"}))),
        (Method::POST, PRODUCTS, Some(json!({"name": "Lamp", "price": 1}))),
        (Method::PUT, "/api/v1/products/{id}", Some(json!({"name": "Lamp"}))),
        (Method::PATCH, "/api/v1/products/{id}/stock", Some(json!({"quantityChange": 1}))),
        (Method::DELETE, "/api/v1/products/{id}", None),
    ]
}

pub(crate) const NAME: &str = "Ada Lovelace";
pub(crate) const PASSWORD: &str = "Analytical-Engine-1843";
pub(crate) const OTHER_PASSWORD: &str = "Difference-Engine-1822";

/// A bundle and a client of its API.
pub(crate) struct TestApp {
    url: String,
    client: Client,
    /// The test's own bundle; dropping it stops it.
    pub(crate) bundle: Option<Bundle>,
    engine: Option<Engine>,
}

/// An account that a test made.
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) email: String,
}

/// What a login answered.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Tokens {
    #[track_caller]
    pub(crate) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
        Self { access: text("accessToken"), refresh: text("refreshToken") }
    }
}

/// What the API answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    path: String,
}

/// An email address that nobody has: of SES's mailbox simulator, so that a deployed stack may mail it.
pub(crate) fn new_address() -> String {
    format!("success+{}@simulator.amazonses.com", uuid::Uuid::new_v4().simple())
}

/// A correlation id that nothing else has.
pub(crate) fn new_correlation_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Waits until `look` finds something; fails once `within` has passed.
pub(crate) async fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < within, "no {what} within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// As much as a promise says where `ARCANA_WHOLE` is set, a fifth of it otherwise: what shows in thousands shows in hundreds.
pub(crate) fn share(whole: u64) -> u64 {
    if env::var_os("ARCANA_WHOLE").is_some() { whole } else { whole / 5 }
}

/// A client of HTTP, and of HTTPS for a deployed stack.
pub(crate) fn client() -> ClientBuilder {
    // The first test of the process does it for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
}

/// Says why a test does nothing. Not with `eprintln!`, which is heard of failing tests only.
pub(crate) fn skipped(why: &str) {
    let thread = std::thread::current();
    let _ = writeln!(std::io::stderr(), "skipped {}: {why}", thread.name().unwrap_or_default());
}

/// Whether the environment names what this test has to have for itself; then it says that it is skipped.
fn is_elsewhere(variable: &str) -> bool {
    let elsewhere = env::var_os(variable).is_some();
    if elsewhere {
        skipped(&format!("it needs one of its own, and {variable} is set"));
    }
    elsewhere
}

/// Whether a test may have a cloud for itself, to do to it what it likes; it says so where it is skipped.
pub(crate) fn may_have_a_cloud() -> bool {
    !["ARCANA_API_URL", "AWS_ENDPOINT_URL"].into_iter().any(is_elsewhere)
}

/// `ARCANA_PERMISSIONS_LOG` names a file that is to tell which test used which right of a function, and `ARCANA_WITHHELD` a right
/// that is not given, as `cargo run -- permissions` prints it.
fn permissions() -> Permissions {
    let by = || std::thread::current().name().unwrap_or_default().to_owned();
    let withheld = env::var("ARCANA_WITHHELD").ok().map(|right| {
        let words: Vec<&str> = right.split_whitespace().collect();
        let [role, action, resource] = words.try_into().expect("a function, an action and a resource");
        Permission { role: role.to_owned(), action: action.to_owned(), resource: resource.to_owned() }
    });
    let log = env::var_os("ARCANA_PERMISSIONS_LOG").map(|path| (path.into(), by()));
    Permissions { log, withheld }
}

impl TestApp {
    /// The stack that `ARCANA_API_URL` names, or else a bundle of this test's own.
    pub(crate) async fn start() -> Self {
        match env::var("ARCANA_API_URL") {
            Ok(url) => Self::at(&url),
            Err(_) => Self::boot(Options::default()).await,
        }
    }

    /// A bundle of this test's own, whose functions, mailbox and clock can be reached; `None` where the
    /// environment names a deployed stack, and then the test is skipped.
    pub(crate) async fn local() -> Option<Self> {
        Self::with(Options::default()).await
    }

    /// Like [`TestApp::local`], started with these options.
    pub(crate) async fn with(options: Options) -> Option<Self> {
        if is_elsewhere("ARCANA_API_URL") { None } else { Some(Self::boot(options).await) }
    }

    /// Like [`TestApp::local`] over the embedded cloud, which checks rights and signatures and outlives its bundle where it is told to;
    /// `None` also where the environment names another engine.
    pub(crate) async fn embedded() -> Option<Self> {
        Self::embedded_with(Options::default()).await
    }

    /// Like [`TestApp::embedded`], started with these options.
    pub(crate) async fn embedded_with(options: Options) -> Option<Self> {
        if may_have_a_cloud() { Some(Self::boot(options).await) } else { None }
    }

    /// Like [`TestApp::local`], with a value for a parameter of the template.
    pub(crate) async fn with_parameter(name: &str, value: &str) -> Option<Self> {
        let parameters = [(name.to_owned(), value.to_owned())].into();
        Self::with(Options { parameters, ..Options::default() }).await
    }

    /// Whatever answers at `url`.
    pub(crate) fn at(url: &str) -> Self {
        let client = client().timeout(PATIENCE).build().unwrap();
        Self { url: url.trim_end_matches('/').to_owned(), client, bundle: None, engine: None }
    }

    /// A bundle with these options, over the engine that `AWS_ENDPOINT_URL` names or else over the embedded cloud.
    async fn boot(options: Options) -> Self {
        let Some(engine) = Engine::emptied().await else { return Self::try_boot(options).await.unwrap() };
        let aws_endpoint = Some(engine.endpoint().to_owned());
        let app = Self::try_boot(Options { aws_endpoint, ..options }).await.unwrap();
        engine.watch().await;
        Self { engine: Some(engine), ..app }
    }

    /// A bundle with these options, or why there is none.
    pub(crate) async fn try_boot(options: Options) -> Result<Self, String> {
        let options = Options { permissions: permissions(), ..options };
        // Boxed: the future of a whole bundle is deep.
        let bundle = Box::pin(Bundle::start(options)).await.map_err(|error| error.to_string())?;
        let app = Self::at(&bundle.api_url());
        Ok(Self { bundle: Some(bundle), ..app })
    }

    /// The port of an API on this machine.
    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a URL with a port")
    }

    /// Stops a bundle of the test's own.
    pub(crate) async fn stop(self) {
        if let Some(bundle) = self.bundle {
            bundle.stop().await;
        }
    }

    /// The AWS clients of a bundle of the test's own.
    pub(crate) fn aws(&self) -> Aws {
        let bundle = self.bundle.as_ref().expect("a bundle of the test's own");
        local::aws_at(bundle.aws_url())
    }
}

/// The API.
impl TestApp {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Sends a request to the API and holds the answer to what every answer promises.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let path = request.url().path().to_owned();
        let authenticated = request.headers().contains_key(AUTHORIZATION);
        let response = self.client.execute(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer { status, headers, body: response.text().await.unwrap(), path };
        answer.keeps_conventions(authenticated);
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Posts these very bytes as JSON.
    pub(crate) async fn post_bytes(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send(self.request(Method::POST, path).header(CONTENT_TYPE, "application/json").body(body)).await
    }

    /// Makes an account.
    pub(crate) async fn register(&self) -> Account {
        self.register_as(&new_correlation_id()).await
    }

    /// Makes an account in a request of this correlation id.
    pub(crate) async fn register_as(&self, correlation_id: &str) -> Account {
        let email = new_address();
        let request = self.request(Method::POST, REGISTER).header("x-correlation-id", correlation_id);
        let answer = self.send(request.json(&new_account(&email))).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        Account { id: answer.json()["id"].as_str().unwrap().to_owned(), email }
    }

    pub(crate) async fn login(&self, account: &Account) -> Tokens {
        Tokens::of(&self.try_login(&account.email, PASSWORD).await)
    }

    /// A request of whoever holds an access token.
    pub(crate) fn as_user(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(token)
    }

    /// Sends a request with a JSON body of whoever holds an access token.
    pub(crate) async fn do_as(&self, token: &str, method: Method, path: &str, body: &Value) -> Answer {
        self.send(self.as_user(token, method, path).json(body)).await
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Answer {
        self.send(self.as_user(token, Method::GET, path)).await
    }

    pub(crate) async fn try_login(&self, email: &str, password: &str) -> Answer {
        self.post(LOGIN, &json!({"email": email, "password": password})).await
    }

    pub(crate) async fn try_refresh(&self, token: &str) -> Answer {
        self.post(REFRESH, &json!({"refreshToken": token})).await
    }

    /// Exchanges a refresh token for a new pair.
    pub(crate) async fn refresh(&self, token: &str) -> Tokens {
        Tokens::of(&self.try_refresh(token).await)
    }

    pub(crate) async fn me(&self, access_token: &str) -> Answer {
        self.send(self.request(Method::GET, ME).bearer_auth(access_token)).await
    }
}

/// What only a laptop has.
impl TestApp {
    async fn look(&self, path: &str) -> Vec<Value> {
        let response = self.request(Method::GET, path).send().await.unwrap();
        response.error_for_status().unwrap().json().await.unwrap()
    }

    /// What went over the bus, oldest first.
    pub(crate) async fn events(&self) -> Vec<Value> {
        match &self.engine {
            Some(engine) => engine.events().await,
            None => self.look("/_local/events").await,
        }
    }

    /// The mails to an address, oldest first.
    pub(crate) async fn mails_to(&self, address: &str) -> Vec<Value> {
        let mut mails = match &self.engine {
            Some(engine) => engine.mails().await,
            None => self.look("/_local/mail").await,
        };
        mails.retain(|mail| mail["to"] == address);
        mails
    }

    /// The first mail to an address.
    pub(crate) async fn wait_for_mail(&self, address: &str, within: Duration) -> Value {
        eventually("mail", within, async || self.mails_to(address).await.into_iter().next()).await
    }

    /// The token of the link in the newest mail of a subject to an address, once there are `count` of them.
    pub(crate) async fn token_in_mail(&self, address: &str, subject: &str, count: usize) -> String {
        let look = async || {
            let mails = self.mails_to(address).await;
            let mut of_subject: Vec<&Value> =
                mails.iter().filter(|mail| mail["subject"] == subject).collect();
            if of_subject.len() < count {
                return None;
            }
            let text = of_subject.pop()?["text"].as_str()?;
            let (_, token) = text.split_once("#token=")?;
            Some(token.split_whitespace().next()?.to_owned())
        };
        eventually(subject, PATIENCE, look).await
    }

    /// Makes an account and gives it the role of an admin.
    pub(crate) async fn register_admin(&self) -> Account {
        let account = self.register().await;
        let event = json!({"email": account.email, "role": "admin"});
        let granted = self.invoke("users-grant-role", &event.to_string()).await.unwrap();
        assert_eq!(granted, json!({"id": account.id, "roles": ["user", "admin"]}));
        account
    }

    /// The events on the bus that a request of this correlation id caused, oldest first.
    pub(crate) async fn events_of(&self, correlation_id: &str) -> Vec<Value> {
        let mut events = self.events().await;
        events.retain(|event| event["detail"]["correlationId"] == correlation_id);
        events
    }

    /// The events on the bus about a user, oldest first.
    pub(crate) async fn events_about(&self, account: &Account) -> Vec<Value> {
        let mut events = self.events().await;
        events.retain(|event| event["detail"]["data"]["userId"] == account.id.as_str());
        events
    }

    /// The first event of a type about a user.
    pub(crate) async fn wait_for_event(&self, account: &Account, kind: &str) -> Value {
        let look = async || self.events_about(account).await.into_iter().find(|e| e["detail-type"] == kind);
        eventually(kind, PATIENCE, look).await
    }

    /// Waits until the work that was under way is done: what each stream tells now, it tells last, and so with
    /// the queues behind.
    pub(crate) async fn settle(&self) {
        let account = self.register().await;
        self.wait_for_mail(&account.email, PATIENCE).await;
        let refresh = self.login(&account).await.refresh;
        assert_eq!(self.post(LOGOUT, &json!({"refreshToken": refresh})).await.status, 204);
        self.wait_for_event(&account, "auth.logged_out").await;
        assert_eq!(self.post(FORGOT_PASSWORD, &json!({"email": account.email})).await.status, 202);
        self.token_in_mail(&account.email, "Password Reset Request", 1).await;
    }

    pub(crate) async fn advance_clock(&self, seconds: u32) {
        let advance = json!({"advanceSeconds": seconds});
        let response = self.request(Method::POST, "/_local/clock").json(&advance).send().await.unwrap();
        response.error_for_status().unwrap();
    }

    /// Invokes a function with an event, which need not be JSON; answers what it answers, or says why
    /// it failed.
    pub(crate) async fn invoke(&self, function: &str, event: &str) -> Result<Value, String> {
        let path = format!("/_local/invoke/{function}");
        let response = self.request(Method::POST, &path).body(event.to_owned()).send().await.unwrap();
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        match status.as_u16() {
            200 => Ok(answer),
            502 => Err(answer["message"].as_str().unwrap().to_owned()),
            other => panic!("{other}: {answer}"),
        }
    }
}

impl Answer {
    #[track_caller]
    fn keeps_conventions(&self, authenticated: bool) {
        assert!(self.header("x-request-id").is_some_and(|id| !id.is_empty()), "no request id: {self:?}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{self:?}");
        if authenticated || self.status.is_client_error() || self.status.is_server_error() {
            let uncached = [Some("no-store"), Some("private, no-store")];
            assert!(uncached.contains(&self.header("cache-control")), "{self:?}");
        }
    }

    /// A header's value; nothing where it is missing or stands more than once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())?.to_str().ok()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The problem document, with all its members, of this status and code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.json();
        assert_eq!((self.status.as_u16(), problem["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["instance"], self.path.as_str());
        assert_eq!(problem["requestId"], self.header("x-request-id").unwrap());
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}: {problem}");
        }
        problem
    }

    /// The problem's faults, each as its place and its code.
    #[track_caller]
    pub(crate) fn faults(&self) -> Vec<String> {
        let problem = self.json();
        let faults = problem["errors"].as_array().unwrap_or_else(|| panic!("no faults: {problem}"));
        let fault = |fault: &Value| {
            assert!(fault["detail"].as_str().is_some_and(|text| !text.is_empty()), "no detail: {fault}");
            let place = fault["pointer"].as_str().or_else(|| fault["parameter"].as_str());
            format!("{} {}", place.unwrap(), fault["code"].as_str().unwrap())
        };
        faults.iter().map(fault).collect()
    }
}

/// The body that registers an address.
pub(crate) fn new_account(email: &str) -> Value {
    json!({"name": NAME, "email": email, "password": PASSWORD})
}

/// The names of an object's members, sorted.
#[track_caller]
pub(crate) fn members(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Whether a text is a time as the API writes them: RFC 3339, UTC, milliseconds.
pub(crate) fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00.000Z"
}
