//! Nothing is acknowledged before it is synced, and a store that has lost data does not open.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::calls::NOON;
use crate::support::http::call;
use crate::support::service::Setup;

/// The calls in a trace that are complete, each as one line, also when another thread came in
/// between.
fn complete(trace: &str) -> Vec<String> {
    let mut begun = std::collections::BTreeMap::new();
    let mut all = Vec::new();
    for line in trace.lines() {
        let (thread, rest) = line.trim().split_once(' ').unwrap_or_default();
        let rest = rest.trim();
        if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(thread.to_owned(), start.to_owned());
        } else if let Some((_, end)) = rest.split_once(" resumed>") {
            all.push(format!("{}{end}", begun.remove(thread).unwrap_or_default()));
        } else {
            all.push(rest.to_owned());
        }
    }
    all
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a trace")
}

#[tokio::test]
async fn every_acknowledged_command_was_synced_after_it_was_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let trace = directory.path().join("trace");
    let setup = Setup::new().manual_clock(NOON).under(&[
        "strace",
        "-f",
        "-y",
        "-qq",
        "-s",
        "0",
        "-e",
        "trace=fdatasync,fsync,pwrite64",
        "-e",
        "signal=none",
        "-o",
        trace.to_str().expect("UTF-8"),
    ]);
    let service = setup.start().await;
    let synced_directories =
        complete(&read(&trace)).iter().filter(|line| line.starts_with("fsync(")).count();
    assert!(synced_directories > 0, "what is created is synced into its directory");
    for number in 0..30 {
        let before = complete(&read(&trace)).len();
        let (path, body) = match number % 3 {
            0 => ("/api/v1/consumption", call(&format!("c{number}"), 1, 1)),
            1 => ("/api/v1/consumption/batch", json!([call(&format!("b{number}"), 1, 1)])),
            _ => (
                "/api/v1/admin/wallets/acme/adjustments",
                json!({"amount": 100, "reason": "a test"}),
            ),
        };
        let answer = service.send(path, &body).await;
        let during = complete(&read(&trace)).split_off(before);
        assert!([200, 201].contains(&answer.status), "{}", answer.text);
        let is_on = |line: &str, call: &str| {
            line.starts_with(call) && line.contains("/log/db>") && !line.contains(" = -1")
        };
        let written = during.iter().rposition(|line| is_on(line, "pwrite64("));
        let synced = during.iter().rposition(|line| is_on(line, "fdatasync("));
        let anchored = during
            .iter()
            .rposition(|line| line.starts_with("pwrite64(") && line.contains("/anchor>"));
        assert!(
            written.is_some() && written < synced && synced < anchored,
            "written {written:?}, synced {synced:?}, anchored {anchored:?} in {during:#?}"
        );
    }
    // What is there already is answered without the disk.
    let before = complete(&read(&trace)).len();
    service.send("/api/v1/consumption", &call("c0", 1, 1)).await.expect(200);
    let during = complete(&read(&trace)).split_off(before);
    // The anchor of the batch before may still be on its way.
    let is_sync = |line: &String| line.starts_with("fdatasync(") && line.contains("/log/db>");
    assert!(!during.iter().any(is_sync), "{during:?}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[tokio::test]
async fn a_store_that_is_behind_its_anchor_does_not_open_and_says_what_to_do() {
    let mut service = Setup::new().manual_clock(NOON).start().await;
    service.send("/api/v1/consumption", &call("kept", 1, 1)).await.expect(201);
    let kept = service.head().await;
    service.stop().await;
    let data = service.data_dir();
    let aside = tempfile::tempdir().expect("a directory");
    copy(&data, &aside.path().join("all"));
    service.start_again().await;
    service.send("/api/v1/consumption", &call("lost", 1, 1)).await.expect(201);
    let lost = service.head().await;
    service.kill();

    // The store loses its last event, and in another case everything.
    for whole in [false, true] {
        fs::remove_dir_all(data.join("log")).expect("removed");
        if !whole {
            copy(&aside.path().join("all/log"), &data.join("log"));
        }
        let (status, told) = service.start_in_vain().await;
        assert_eq!(status.code(), Some(1), "{told}");
        let head = if whole { 0 } else { kept };
        for part in [
            format!("the log ends at event {head}"),
            format!("events up to {lost} were acknowledged"),
            "restore the data directory from a backup".to_owned(),
            "remove the file `anchor`".to_owned(),
        ] {
            assert!(told.contains(&part), "`{part}` is not said in: {told}");
        }
    }

    // Both ways out that it names lead out.
    fs::remove_dir_all(&data).expect("removed");
    copy(&aside.path().join("all"), &data);
    service.start_again().await;
    assert_eq!(service.head().await, kept);
    service.send("/api/v1/consumption", &call("new", 1, 1)).await.expect(201);
    service.stop().await;
    fs::remove_dir_all(data.join("log")).expect("removed");
    copy(&aside.path().join("all/log"), &data.join("log"));
    fs::remove_file(data.join("anchor")).expect("removed");
    service.start_again().await;
    assert_eq!(service.head().await, kept);
    service.send("/api/v1/consumption", &call("new", 1, 1)).await.expect(201);
}

#[tokio::test]
async fn two_services_never_share_a_data_directory() {
    let service = Setup::new().manual_clock(NOON).start().await;
    service.send("/api/v1/consumption", &call("a", 1, 1)).await.expect(201);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_tallybook"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(service.data_dir())
        .output()
        .expect("the binary starts");
    let told = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(told.contains("is in use by a running service"), "{told}");
    service.send("/api/v1/consumption", &call("b", 1, 1)).await.expect(201);
}
