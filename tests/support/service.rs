//! The service under test: the real binary, from the outside.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicU64;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::broker::Names;
use super::{eventually, free_ports, signal};

/// The developer's key of every service under test.
pub const API_KEY: &str = "developer-key-of-the-tests";
/// The secret that signs tokens for every service under test.
pub const JWT_SECRET: &str = "a-secret-of-at-least-thirty-two-bytes";

/// How a service is started.
pub struct Setup {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    wrapper: Vec<String>,
}

impl Setup {
    /// On an empty data directory, without a broker.
    pub fn new() -> Self {
        Self { arguments: Vec::new(), variables: Vec::new(), wrapper: Vec::new() }
    }

    /// Standing at `moment` until [`Service::advance_clock_to`].
    pub fn manual_clock(self, moment: &str) -> Self {
        self.argument("--manual-clock").argument(moment)
    }

    /// Taking in messages from the broker at `url`, from queues of its own.
    pub fn broker(self, url: &str, names: &Names) -> Self {
        self.variable("RABBITMQ_URL", url)
            .variable("RABBITMQ_EXCHANGE", &names.exchange)
            .variable("TALLYBOOK__INTAKE__REQUEST_QUEUE", &names.request_queue)
            .variable("TALLYBOOK__INTAKE__RESPONSE_QUEUE", &names.response_queue)
            .variable("TALLYBOOK__INTAKE__DEAD_EXCHANGE", &names.dead)
            .variable("TALLYBOOK__INTAKE__EVENTS_EXCHANGE", &names.events_exchange)
    }

    /// With one more argument after `serve`.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// With one more variable in its environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Run by another command, such as a tracer.
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Service {
        let mut service = self.begin();
        service.wait_until_ready().await;
        service
    }

    /// Starts it.
    pub fn begin(self) -> Service {
        let data = TempDir::new().expect("a directory");
        let [port] = free_ports();
        let process = self.spawn(data.path(), port);
        let settled = AtomicU64::new(u64::MAX);
        Service { setup: self, data, port, process, client: Client::new(), settled }
    }

    fn spawn(&self, directory: &Path, port: u16) -> Child {
        let log = File::options().create(true).append(true).open(log_path(directory));
        let log = log.expect("a log file");
        let mut words = self.wrapper.iter().map(String::as_str).collect::<Vec<_>>();
        words.push(env!("CARGO_BIN_EXE_tallybook"));
        let (first, rest) = words.split_first().expect("a command");
        Command::new(first)
            .args(rest)
            .process_group(0)
            .arg("serve")
            .args(["--data-dir".as_ref(), directory.join("data").as_os_str()])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(&self.arguments)
            .env_clear()
            .env("X_API_KEY", API_KEY)
            .env("JWT_HS256_SECRET", JWT_SECRET)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log)
            .spawn()
            .expect("the binary starts")
    }
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("service.log")
}

/// A running service. It is killed when this is dropped.
pub struct Service {
    setup: Setup,
    data: TempDir,
    port: u16,
    process: Child,
    client: Client,
    /// Up to this event, the alerts that follow are known to be on record.
    pub(super) settled: AtomicU64,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
            let text = format!("--- the service's last lines\n{}\n", tail.join("\n"));
            drop(std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()));
        }
    }
}

impl Service {
    /// Where the log lives.
    pub fn data_dir(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it has told its operator so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(self.data.path())).unwrap_or_default()
    }

    /// What its callers share.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it says that it is ready.
    pub async fn wait_until_ready(&mut self) {
        let url = self.url("/health/ready");
        let Self { client, process, .. } = self;
        eventually("the service is ready", async || {
            if let Ok(Some(status)) = process.try_wait() {
                panic!("the service ended with {status}");
            }
            match client.get(&url).send().await {
                Ok(answer) if answer.status() == StatusCode::OK => Ok(()),
                Ok(answer) => Err(answer.text().await.unwrap_or_default()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// Ends it as a power cut would, for the process: `SIGKILL`.
    pub fn kill(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            signal("KILL", &format!("-{}", self.process.id()));
            self.process.wait().expect("ended");
        }
    }

    /// Asks it to end, without waiting.
    pub fn ask_to_stop(&self) {
        signal("TERM", &self.process.id().to_string());
    }

    /// Asks it to end, and waits until it has ended well.
    pub async fn stop(&mut self) {
        self.ask_to_stop();
        self.has_stopped().await;
    }

    /// Waits until it has ended well, after [`Self::ask_to_stop`].
    pub async fn has_stopped(&mut self) {
        let status = self.ended().await;
        assert!(status.success(), "the service ended with {status}");
    }

    /// Tries to start it again on the same data, where it must fail: how it ended, and what it said.
    pub async fn start_in_vain(&mut self) -> (ExitStatus, String) {
        let before = self.log().len();
        self.process = self.setup.spawn(self.data.path(), self.port);
        let status = self.ended().await;
        (status, self.log().split_off(before))
    }

    /// How it ended that was begun and cannot start, and what it said.
    pub async fn ended_in_vain(&mut self) -> (ExitStatus, String) {
        let status = self.ended().await;
        (status, self.log())
    }

    async fn ended(&mut self) -> ExitStatus {
        let process = &mut self.process;
        eventually("the service ends", async || match process.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        })
        .await
    }

    /// Starts it again, after [`Self::kill`] or [`Self::stop`], on the same data.
    pub async fn start_again(&mut self) {
        self.process = self.setup.spawn(self.data.path(), self.port);
        self.wait_until_ready().await;
    }

    /// From the next start on, a variable of its environment has this value, or is not there.
    pub fn set_variable(&mut self, name: &str, value: Option<&str>) {
        let Setup { variables, .. } = &mut self.setup;
        variables.retain(|(present, _)| present != name);
        variables.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// Calls it as the developer.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = self.client.request(method, self.url(path)).header("X-API-Key", API_KEY);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Reads what must be there.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// Posts what must be taken.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(Method::POST, path, Some(body)).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {answer}");
        answer
    }

    /// Moves the manual clock.
    pub async fn advance_clock_to(&self, moment: &str) {
        self.post("/api/v1/admin/clock", &json!({"now": moment})).await;
    }

    /// Gives a user quota that expires at the end of the century.
    pub async fn grant(&self, user: &str, amount: u64) {
        let grant = json!({
            "user_id": user, "amount": amount, "expiry_date": "2099-12-31T23:59:59Z",
            "reason": "test",
        });
        self.post("/api/v1/admin/quota/grants", &grant).await;
    }

    /// What a user has used of their quota.
    pub async fn used_quota(&self, user: &str) -> u64 {
        let quota = self.get(&format!("/api/v1/quota?user_id={user}")).await;
        quota["used_quota"].as_u64().unwrap_or_else(|| panic!("no number: {quota}"))
    }

    /// The consumption records of an organization.
    pub async fn history(&self, organization: &str) -> Vec<Value> {
        let path = format!("/api/v1/consumption/history?organizationId={organization}");
        match self.get(&path).await {
            Value::Array(records) => records,
            other => panic!("no array: {other}"),
        }
    }

    /// Waits until an organization's records are as many as `count`, and gives them.
    pub async fn history_of(&self, organization: &str, count: usize) -> Vec<Value> {
        eventually("the consumption is recorded", async || {
            let records = self.history(organization).await;
            if records.len() == count {
                Ok(records)
            } else {
                Err(format!("{} of {count} records", records.len()))
            }
        })
        .await
    }
}
