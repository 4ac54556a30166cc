//! The demo as somebody sees it who has just built it: it introduces itself, what it prints works, and
//! it leaves nothing behind.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::broker::shared_url;
use crate::support::{eventually, signal};

/// Nobody answers there.
const NO_BROKER: &str = "amqp://guest:guest@127.0.0.1:1/%2f";

/// A running demo. It is killed when this is dropped.
struct Demo {
    process: Child,
    directory: TempDir,
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Demo {
    fn start(broker: &str, arguments: &[&str]) -> Self {
        let directory = TempDir::new().expect("a directory");
        let output = |name: &str| fs::File::create(directory.path().join(name)).expect("a file");
        let process = Command::new(env!("CARGO_BIN_EXE_tallybook"))
            .args(["demo", "--listen", "127.0.0.1:0", "--events-per-second", "100"])
            .args(arguments)
            .env_clear()
            .env("RABBITMQ_URL", broker)
            .env("TMPDIR", directory.path())
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .expect("the binary starts");
        Self { process, directory }
    }

    fn printed(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).expect("readable")
    }

    /// What it has printed, once `text` is in it.
    async fn says(&self, text: &str) -> String {
        eventually("the demo speaks", async || {
            let (stdout, stderr) = (self.printed("stdout"), self.printed("stderr"));
            if stdout.contains(text) { Ok(stdout) } else { Err(format!("{stdout}\n{stderr}")) }
        })
        .await
    }

    /// Ends it as Ctrl-C does.
    async fn interrupt(&mut self) {
        signal("INT", &self.process.id().to_string());
        let process = &mut self.process;
        let status = eventually("the demo ends", async || match process.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        })
        .await;
        assert!(status.success(), "{status}: {}", self.printed("stderr"));
        assert!(self.printed("stdout").ends_with("stopped\n"));
    }

    /// The directories that it has made for itself.
    fn data(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path()).expect("a directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.is_dir()).collect()
    }
}

/// Runs a line that was printed, as somebody does who pastes it.
async fn paste(line: String) -> Vec<u8> {
    let run = move || Command::new("sh").args(["-c", &line]).output().expect("a shell");
    tokio::task::spawn_blocking(run).await.expect("run").stdout
}

async fn all_lines_work(introduction: &str) {
    let says = |what: &str| introduction.lines().find_map(|line| line.strip_prefix(what));
    let (email, password) =
        says("sign in  ").and_then(|line| line.split_once(", password ")).expect("who signs in");
    let docs = says("open     ").expect("an address");
    let base = docs.strip_suffix("/docs").expect("the documentation");
    let body = serde_json::json!({"email": email, "password": password});
    let sent = reqwest::Client::new().post(format!("{base}/api/v1/auth/signin")).json(&body).send();
    assert_eq!(sent.await.expect("an answer").status(), 200);
    let lines: Vec<&str> = introduction.lines().filter(|line| line.starts_with("curl ")).collect();
    let [balance, hold, wallet, bills, aggregates, history, scan, stream] =
        lines.try_into().expect("eight lines");
    let read = async |line: &str| -> Value {
        let answer = paste(line.to_owned()).await;
        serde_json::from_slice(&answer)
            .unwrap_or_else(|_| panic!("{line}: {}", String::from_utf8_lossy(&answer)))
    };
    let balance = read(balance).await;
    assert!(balance["total_quota"].as_f64().is_some_and(|total| total > 0.0), "{balance}");
    let hold = read(hold).await;
    assert_eq!(hold["status"], "open", "{hold}");
    let wallet = read(wallet).await;
    assert_eq!(wallet["held"], hold["amount"], "{wallet}");
    let bills = read(bills).await;
    assert_eq!(bills.as_array().map(Vec::len), Some(2), "{bills}");
    let aggregates = read(aggregates).await;
    assert!(aggregates["totals"]["requests"].as_u64() > Some(500), "{aggregates}");
    assert!(aggregates["totals"]["cost"].as_f64().is_some_and(|cost| cost > 0.0));
    assert_eq!(aggregates["groupBy"], "model");
    let history = read(history).await;
    assert_eq!(history.as_array().map(Vec::len), Some(3), "{history}");
    let scan = read(scan).await;
    assert_eq!(scan["strategies"].as_array().map(Vec::len), Some(2), "{scan}");
    let stream = paste(stream.replacen("curl ", "curl --max-time 3 ", 1)).await;
    let stream = String::from_utf8_lossy(&stream);
    assert!(stream.contains("event: consumption_recorded"), "{stream}");
}

#[tokio::test]
async fn the_demo_runs_without_anything_else() {
    let mut demo = Demo::start(NO_BROKER, &[]);
    let introduction = demo.says("Ctrl-C stops it.").await;
    assert!(introduction.contains("/docs") && introduction.contains("inside the process"));
    assert_eq!(demo.data().len(), 1);
    demo.says("USD so far").await;
    all_lines_work(&introduction).await;
    demo.interrupt().await;
    assert_eq!(demo.printed("stderr"), "");
    assert_eq!(demo.data(), Vec::<PathBuf>::new(), "nothing is left");
}

#[tokio::test]
async fn the_demo_goes_through_a_broker_and_leaves_it_clean() {
    let url = shared_url();
    let mut demo = Demo::start(&url, &[]);
    let introduction = demo.says("Ctrl-C stops it.").await;
    assert!(introduction.contains("through RabbitMQ"), "{introduction}");
    all_lines_work(&introduction).await;
    let queue = format!("tallybook-demo-{}.llm-consumption-requests", demo.process.id());
    let declared = async || {
        let connection = Connection::connect(&url, ConnectionProperties::default()).await;
        let channel = connection.expect("a broker").create_channel().await.expect("a channel");
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.is_ok()
    };
    assert!(declared().await, "it has queues of its own");
    demo.interrupt().await;
    assert!(!declared().await, "and takes them away");
}

#[tokio::test]
async fn a_demo_goes_on_where_it_stopped_and_never_in_a_strangers_book() {
    let kept = TempDir::new().expect("a directory");
    let data = kept.path().join("data");
    let arguments = ["--data-dir", data.to_str().expect("UTF-8"), "--seed", "5"];
    let mut heads = Vec::new();
    for _ in 0..2 {
        let mut demo = Demo::start(NO_BROKER, &arguments);
        let printed = demo.says("USD so far").await;
        let line = printed.lines().find(|line| line.contains("USD so far")).expect("a status");
        let head = line.split(' ').next().and_then(|number| number.parse::<u64>().ok());
        heads.push(head.expect("a number"));
        demo.interrupt().await;
        let verified =
            crate::cli::tallybook(&["replay", "verify", "--json", "--data-dir", arguments[1]]);
        assert_eq!(verified.code, 0, "{verified:?}");
    }
    assert!(heads[0] < heads[1], "{heads:?}");

    let prices = kept.path().join("prices.json");
    fs::write(&prices, r#"{"m": {"input_cost_per_token": 1e-6}}"#).expect("written");
    let strange = kept.path().join("strange");
    let strange = strange.to_str().expect("UTF-8");
    let import = ["prices", "import", prices.to_str().expect("UTF-8"), "--data-dir", strange];
    assert_eq!(crate::cli::tallybook(&import).code, 0);
    let mut demo = Demo::start(NO_BROKER, &["--data-dir", strange]);
    let process = &mut demo.process;
    let status = eventually("the demo ends", async || match process.try_wait() {
        Ok(Some(status)) => Ok(status),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(status.code(), Some(1));
    assert!(demo.printed("stderr").contains("not a demo's"), "{}", demo.printed("stderr"));
}
