//! A user's files, as a client of the API and of S3 sees them.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{Account, Answer, FILES, PATIENCE, TestApp, eventually};

/// A bundle, a user, and a client of S3 without credentials.
pub(crate) struct Drive {
    pub(crate) app: TestApp,
    pub(crate) account: Account,
    pub(crate) token: String,
    s3: reqwest::Client,
}

/// The request that an answer says uploads a file.
#[derive(Clone)]
pub(crate) struct Upload {
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
}

/// What S3 answered.
pub(crate) struct OfS3 {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl OfS3 {
    /// The code of an error.
    pub(crate) fn code(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        code.map(|(code, _)| code.to_owned()).unwrap_or_default()
    }
}

impl Upload {
    #[track_caller]
    pub(crate) fn of(created: &Value) -> Self {
        let upload = &created["upload"];
        assert_eq!(upload["method"], "PUT");
        let mut headers = HeaderMap::new();
        for (name, value) in upload["headers"].as_object().unwrap() {
            let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
            headers.insert(name.parse::<HeaderName>().unwrap(), value);
        }
        Self { url: upload["url"].as_str().unwrap().to_owned(), headers }
    }
}

impl Drive {
    pub(crate) async fn start() -> Option<Self> {
        Some(Self::on(TestApp::local().await?).await)
    }

    /// Like [`Drive::start`], over the embedded cloud, whose S3 checks what was signed.
    pub(crate) async fn embedded() -> Option<Self> {
        Some(Self::on(TestApp::embedded().await?).await)
    }

    /// A new user's, on a bundle that is there.
    pub(crate) async fn on(app: TestApp) -> Self {
        let account = app.register().await;
        let token = app.login(&account).await.access;
        Self { app, account, token, s3: reqwest::Client::builder().timeout(PATIENCE).build().unwrap() }
    }

    pub(crate) async fn send(&self, method: Method, path: &str) -> Answer {
        self.app.send(self.app.as_user(&self.token, method, path)).await
    }

    pub(crate) async fn try_create(&self, body: &Value) -> Answer {
        self.app.do_as(&self.token, Method::POST, FILES, body).await
    }

    /// Makes a place for a file of so many bytes.
    pub(crate) async fn create(&self, filename: &str, size: usize) -> Value {
        let answer = self.try_create(&json!({"filename": filename, "size": size})).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }

    pub(crate) async fn put(&self, upload: &Upload, bytes: impl Into<reqwest::Body>) -> OfS3 {
        self.of_s3(self.s3.put(&upload.url).headers(upload.headers.clone()).body(bytes)).await
    }

    pub(crate) async fn of_s3(&self, request: reqwest::RequestBuilder) -> OfS3 {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        OfS3 { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    pub(crate) async fn fetch(&self, url: &str) -> OfS3 {
        self.of_s3(self.s3.get(url)).await
    }

    /// Makes a place for a file and uploads it.
    pub(crate) async fn upload(&self, filename: &str, bytes: &[u8]) -> Value {
        let file = self.create(filename, bytes.len()).await;
        let put = self.put(&Upload::of(&file), bytes.to_vec()).await;
        assert_eq!(put.status, 200, "{}", String::from_utf8_lossy(&put.body));
        file
    }

    pub(crate) async fn read(&self, file: &Value) -> Answer {
        self.send(Method::GET, &path(file)).await
    }

    /// The file once it is no longer pending.
    pub(crate) async fn settled(&self, file: &Value) -> Value {
        let look = async || {
            let file = self.read(file).await;
            assert_eq!(file.status, 200, "{}", file.body);
            Some(file.json()).filter(|file| file["status"] != "PENDING")
        };
        eventually("end of PENDING", PATIENCE, look).await
    }

    /// Uploads a file, which is then to be active.
    pub(crate) async fn active(&self, filename: &str, bytes: &[u8]) -> Value {
        let file = self.upload(filename, bytes).await;
        let file = self.settled(&file).await;
        assert_eq!((&file["status"], &file["reason"]), (&json!("ACTIVE"), &Value::Null), "{file}");
        file
    }

    pub(crate) async fn download(&self, file: &Value) -> Answer {
        self.send(Method::GET, &format!("{}/download", path(file))).await
    }

    pub(crate) async fn delete(&self, file: &Value) -> Answer {
        self.send(Method::DELETE, &path(file)).await
    }

    pub(crate) async fn list(&self, query: &str) -> Value {
        let answer = self.send(Method::GET, &format!("{FILES}{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// The keys of all objects.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let s3 = self.app.aws().s3();
        let listed = s3.list_objects_v2().bucket(BUCKET).send().await.unwrap();
        listed.contents().iter().filter_map(|object| object.key().map(ToOwned::to_owned)).collect()
    }

    /// Waits until there are so many objects.
    pub(crate) async fn wait_for_objects(&self, count: usize) -> Vec<String> {
        let look = async || Some(self.objects().await).filter(|objects| objects.len() == count);
        eventually(&format!("{count} objects"), PATIENCE, look).await
    }

    /// The types of the events about this user's files, in order.
    pub(crate) async fn events(&self) -> Vec<String> {
        let events = self.app.events_about(&self.account).await;
        let kinds = events.iter().map(|event| event["detail-type"].as_str().unwrap().to_owned());
        kinds.filter(|kind| kind.starts_with("file.")).collect()
    }
}

/// The bucket of files on a laptop.
pub(crate) const BUCKET: &str = "arcana-local-filesbucket";

pub(crate) fn path(file: &Value) -> String {
    format!("{FILES}/{}", file["id"].as_str().unwrap())
}
