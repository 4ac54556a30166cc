//! Prices from the command line, into a data directory and through a running service.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{Answer, tallybook};
use crate::support::calls::{Call, NOON};
use crate::support::service::{API_KEY, Setup};

/// A price map in a file.
fn file(directory: &TempDir, map: &Value) -> PathBuf {
    let path = directory.path().join("prices.json");
    fs::write(&path, map.to_string()).expect("written");
    path
}

fn map() -> Value {
    json!({
        "house-model": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
        "image-model": {"output_cost_per_image": 0.04},
    })
}

fn import(file: &std::path::Path, arguments: &[&str]) -> Answer {
    let file = file.to_str().expect("UTF-8");
    tallybook(&[&["prices", "import", file], arguments].concat())
}

#[tokio::test]
async fn prices_that_were_imported_offline_rate_what_is_served() {
    let directory = TempDir::new().expect("a directory");
    let file = file(&directory, &map());
    let mut service = Setup::new().manual_clock(NOON).start().await;
    let mut report = Call::new("before", "acme").response();
    report["model"] = "house-model".into();
    service.post("/api/v1/consumption", &report).await;
    service.stop().await;

    let data_dir = service.data_dir();
    let into = ["--data-dir", data_dir.to_str().expect("UTF-8"), "--json"];
    let first = import(&file, &into);
    assert_eq!(first.code, 0, "{first:?}");
    let first = first.json();
    assert_eq!((&first["outcome"], &first["version"]), (&json!("imported"), &json!(1)));
    assert_eq!((&first["models"], &first["unpriced_models"]), (&json!(1), &json!(["image-model"])));
    let again = import(&file, &into);
    assert_eq!(again.code, 0, "{again:?}");
    let again = again.json();
    assert_eq!(again["outcome"], "imported before");
    assert_eq!(again["sequence"], first["sequence"]);

    // The machine's clock has moved the log on.
    let later = json!({"now": "2099-01-01T00:00:00Z"});
    service.start_again().await;
    service.post("/api/v1/admin/clock", &later).await;
    report["requestId"] = "after".into();
    service.post("/api/v1/consumption", &report).await;
    for record in service.history_of("acme", 2).await {
        assert_eq!(record["cost"], json!(0.0006), "{record}");
        assert_eq!(record["priceVersion"], json!(1));
    }
}

#[tokio::test]
async fn prices_are_imported_once_through_the_service_or_beside_it() {
    let directory = TempDir::new().expect("a directory");
    let file = file(&directory, &map());
    let mut service = Setup::new().start().await;
    let url = service.url("");
    let moment = ["--effective-at", "2025-01-01T00:00:00Z"];
    let through = ["--url", &url, "--api-key", API_KEY, moment[0], moment[1], "--json"];
    let first = import(&file, &through);
    assert_eq!(first.code, 0, "{first:?}");
    let first = first.json();
    assert_eq!(first["outcome"], "imported");
    assert_eq!(first["effective_at"], moment[1]);
    assert_eq!(import(&file, &through).json()["outcome"], "imported before");
    let stranger = import(&file, &["--url", &url, "--api-key", "wrong"]);
    assert_eq!(stranger.code, 1);
    assert!(stranger.stderr.contains("401"), "{}", stranger.stderr);
    let keyless = import(&file, &["--url", &url]);
    assert!(keyless.code == 1 && keyless.stderr.contains("X_API_KEY"), "{}", keyless.stderr);

    let data_dir = service.data_dir();
    let into = ["--data-dir", data_dir.to_str().expect("UTF-8"), moment[0], moment[1], "--json"];
    let locked = import(&file, &into);
    assert_eq!(locked.code, 1);
    assert!(locked.stderr.contains("in use by a running service"), "{}", locked.stderr);
    service.stop().await;
    let beside = import(&file, &into).json();
    assert_eq!((&beside["outcome"], &beside["version"]), (&json!("imported before"), &json!(1)));
    let now = import(&file, &into[..2]);
    assert!(now.stdout.contains("version       2"), "another time, another book: {now:?}");
}

#[tokio::test]
async fn wrong_entries_are_named_and_refuse_the_file_unless_they_are_skipped() {
    let directory = TempDir::new().expect("a directory");
    let mut map = map();
    map["bad-model"] = json!({"input_cost_per_token": -1});
    let file = file(&directory, &map);
    let service = Setup::new().start().await;
    let url = service.url("");
    let data_dir = directory.path().join("data");
    let offline = ["--data-dir", data_dir.to_str().expect("UTF-8"), "--json"];
    let online = ["--url", &url, "--api-key", API_KEY, "--json"];
    for way in [&offline[..], &online[..]] {
        let refused = import(&file, way);
        assert_eq!(refused.code, 1, "{refused:?}");
        let rows = &refused.json()["refused"];
        assert_eq!(
            (&rows[0]["model"], &rows[0]["field"]),
            (&json!("bad-model"), &json!("input_cost_per_token"))
        );
        let skipped = import(&file, &[way, &["--skip-refused"]].concat());
        assert_eq!(skipped.code, 0, "{skipped:?}");
        assert_eq!(skipped.json()["models"], json!(1));
    }
    assert_eq!(service.get("/api/v1/admin/prices").await.as_array().map(Vec::len), Some(1));
    for wrong in [&[][..], &["--url", "ftp://x"], &["--url", &url, "--data-dir", "d"]] {
        assert_eq!(import(&file, wrong).code, 2, "{wrong:?}");
    }
}
