//! What the log alone tells: the subcommands of `replay` over the data directory of a service that
//! has been stopped.

use std::fs;
use std::path::{Path, PathBuf};

use projections::Projections;
use replay::{BatchEncoder, Checkpoints, FrameHash, Log, LogOptions, Mark, save_checkpoint};
use schemas::{
    ActorId, CommandHeader, CommandKey, Credits, Event, Fingerprint, Money, QuotaExpired, Sequence,
    TenantId, UserId, WalletToppedUp,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{Answer, tallybook};
use crate::support::calls::{Call, NOON};
use crate::support::service::{Service, Setup};

/// A book with grants, a top-up, prices, rated and unrated calls over two days, and a lone half.
async fn book() -> Service {
    let service = Setup::new()
        .manual_clock(NOON)
        .variable("TALLYBOOK__CHECKPOINT__EVERY_EVENTS", "12")
        .start()
        .await;
    let tenant = json!({"orgId": "acme", "name": "Acme & Sons"});
    service.post("/api/v1/admin/tenants", &tenant).await;
    for (id, seconds) in [("call-0", 86_400), ("short", 60), ("held", 86_400)] {
        let hold = json!({
            "organizationId": "acme", "userId": "ada", "requestId": id, "promptTokens": 5,
            "maxTokens": 7, "amount": 0.25, "ttlSeconds": seconds,
        });
        service.post("/api/v1/holds", &hold).await;
    }
    service.grant("ada", 1_000).await;
    service.grant("bob", 100).await;
    let top_up = json!({"amount": 25.5, "reference": "invoice 1"});
    service.post("/api/v1/admin/wallets/acme/top-ups", &top_up).await;
    for (number, user) in ["ada", "bob", "ada"].into_iter().enumerate() {
        let mut call = Call::new(&format!("call-{number}"), "acme");
        user.clone_into(&mut call.user);
        service.post("/api/v1/consumption", &call.response()).await;
    }
    let mut unknown = Call::new("call-unknown", "acme").response();
    unknown["model"] = "no-such-model".into();
    service.post("/api/v1/consumption", &unknown).await;
    service.advance_clock_to("2025-03-02T12:00:00Z").await;
    for job in ["daily-billing", "daily-aggregation", "monthly-aggregation"] {
        service.run_job(job).await;
    }
    service.grant("ada", 500).await;
    let terms = json!({"status": "suspended", "markupPercent": 7.5});
    service.put("/api/v1/admin/tenants/acme", &terms).await.expect(200);
    let mut late = Call::new("call-late", "other").response();
    late["timestamp"] = "2025-03-02T11:00:00Z".into();
    service.post("/api/v1/consumption", &late).await;
    service
}

async fn stopped_book() -> Service {
    let mut service = book().await;
    service.stop().await;
    service
}

fn replay(service: &Service, arguments: &[&str]) -> Answer {
    on(&service.data_dir(), arguments)
}

fn on(directory: &Path, arguments: &[&str]) -> Answer {
    let directory = directory.to_str().expect("UTF-8");
    let (command, rest) = arguments.split_first().expect("a subcommand");
    tallybook(&[&["replay", command, "--data-dir", directory], rest].concat())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(source, target).expect("copied");
        }
    }
}

fn checkpoints(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("checkpoints")).expect("a directory");
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    all.sort();
    all
}

/// The lines of an answer in JSON Lines.
fn lines(answer: &Answer) -> Vec<Value> {
    answer.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn a_sound_log_is_verified_with_its_checkpoints() {
    let service = stopped_book().await;
    let answer = replay(&service, &["verify", "--json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let report = answer.json();
    assert_eq!((&report["is_sound"], &report["problems"]), (&json!(true), &json!([])));
    assert_eq!(report["events"], report["head"]);
    assert_eq!(report["folded"], report["head"]);
    let count = checkpoints(&service.data_dir()).len();
    assert!(count > 1, "the service has taken checkpoints");
    assert_eq!(report["checkpoints_equal"], json!(count));

    let told = replay(&service, &["verify"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.stdout.contains("verdict            sound"), "{}", told.stdout);
    assert_eq!(told.stderr, "", "no bar without a terminal");
}

#[tokio::test]
async fn a_broken_checkpoint_is_named_by_its_part() {
    let service = stopped_book().await;
    let directory = TempDir::new().expect("a directory");
    copy(&service.data_dir(), directory.path());
    let first = checkpoints(directory.path()).into_iter().next().expect("a checkpoint");
    let mut bytes = fs::read(&first).expect("readable");
    bytes[0] ^= 1;
    fs::write(&first, bytes).expect("writable");
    let answer = on(directory.path(), &["verify", "--json"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let report = answer.json();
    let problems = report["problems"].as_array().expect("an array");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0]["part"], "checkpoint");
    let text = problems[0]["problem"].as_str().expect("a text");
    assert!(text.contains("`names`"), "{text}");
}

/// The problems that a verification of `directory` names, as `part: problem`.
fn problems(directory: &Path) -> Vec<String> {
    let answer = on(directory, &["verify", "--json"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let report = answer.json();
    assert_eq!(report["is_sound"], json!(false));
    let rows = report["problems"].as_array().expect("an array").clone();
    let text = |row: &Value, field: &str| row[field].as_str().expect("a text").to_owned();
    rows.iter().map(|row| format!("{}: {}", text(row, "part"), text(row, "problem"))).collect()
}

#[tokio::test]
async fn a_checkpoint_of_another_state_is_named_by_its_parts() {
    let service = stopped_book().await;
    let data_dir = service.data_dir();
    let checkpoints = Checkpoints::open(&data_dir).expect("opens");
    let [Ok(first), ..] = &checkpoints.all().expect("listed")[..] else { panic!("a checkpoint") };
    save_checkpoint(&checkpoints, first.mark(), &Projections::default()).expect("written");
    let named = problems(&data_dir);
    for part in ["names", "ledger", "quota", "calls", "histories"] {
        let problem = format!("checkpoint: `{part}` differs from the rebuild");
        assert!(named.contains(&problem), "{part}: {named:?}");
    }
    let equal = "checkpoint: `draw_rules` differs from the rebuild".to_owned();
    assert!(!named.contains(&equal), "nobody has set a rule: {named:?}");
}

#[tokio::test]
async fn a_checkpoint_of_another_log_is_named() {
    let service = stopped_book().await;
    let data_dir = service.data_dir();
    let checkpoints = Checkpoints::open(&data_dir).expect("opens");
    let mark = Mark { sequence: Sequence::new(5), hash: FrameHash([7; 32]) };
    save_checkpoint(&checkpoints, mark, &Projections::default()).expect("written");
    let beyond = Mark { sequence: Sequence::new(5_000), ..mark };
    save_checkpoint(&checkpoints, beyond, &Projections::default()).expect("written");
    let named = problems(&data_dir);
    let foreign = "log: the checkpoint after this event is not of this log".to_owned();
    assert_eq!(named.iter().filter(|problem| **problem == foreign).count(), 2, "{named:?}");
    let answer = on(&data_dir, &["show", "1"]);
    assert_eq!(answer.code, 0, "the log itself is whole: {answer:?}");
}

#[tokio::test]
async fn an_event_that_breaks_a_law_is_named() {
    let service = stopped_book().await;
    let data_dir = service.data_dir();
    let (mut log, _) = Log::open(&data_dir, LogOptions::default()).expect("opens");
    let head = log.head();
    let mut batch = BatchEncoder::new(head.sequence.next(), head.recorded_at);
    let header = CommandHeader {
        actor: ActorId(0),
        key: CommandKey::None,
        fingerprint: Fingerprint::default(),
    };
    let unlawful = [
        Event::QuotaExpired(QuotaExpired {
            user: UserId(0),
            lot: Sequence::new(1),
            amount: Credits::ONE,
        }),
        Event::WalletToppedUp(WalletToppedUp {
            tenant: TenantId(0),
            amount: Money::from_units(-1),
            reference: "less than nothing".to_owned(),
        }),
    ];
    batch.push(header, &unlawful).expect("encoded");
    log.append(batch.finish()).expect("appended");
    log.close().expect("closed");
    let named = problems(&data_dir);
    for expected in [
        "posting: quota is drawn that is not there",
        "posting: quota and ledger disagree",
        "posting: wallet and ledger disagree",
    ] {
        assert!(named.contains(&expected.to_owned()), "{expected}: {named:?}");
    }
    let starts = |start: &str| named.iter().any(|problem| problem.starts_with(start));
    assert!(starts("posting: Posting { source: Funding"), "{named:?}");
    assert!(starts("account: user `ada`: the ledger has"), "{named:?}");
    assert!(starts("account: tenant `acme`: the ledger has"), "{named:?}");
}

#[tokio::test]
async fn a_flipped_byte_is_found() {
    let service = stopped_book().await;
    let original = fs::read(service.data_dir().join("log/db")).expect("readable");
    let text = b"Acme & Sons";
    let place = original.windows(text.len()).position(|window| window == text);
    let place = place.expect("the event is in the store's file");
    for (offset, bit) in [(0, 1), (5, 0x80)] {
        let directory = TempDir::new().expect("a directory");
        copy(&service.data_dir(), directory.path());
        let mut bytes = original.clone();
        bytes[place + offset] ^= bit;
        fs::write(directory.path().join("log/db"), bytes).expect("writable");
        let answer = on(directory.path(), &["verify", "--json"]);
        assert_eq!(answer.code, 1, "{answer:?}");
        if answer.stdout.is_empty() {
            assert!(!answer.stderr.is_empty(), "the log does not open, and it says why");
        } else {
            let report = answer.json();
            assert_eq!(report["is_sound"], json!(false));
            assert!(!report["problems"].as_array().expect("an array").is_empty());
        }
        assert_eq!(on(directory.path(), &["rebuild"]).code, 1, "a rebuild checks everything");
    }
}

#[tokio::test]
async fn a_rebuild_gives_the_same_digests_and_writes_a_checkpoint_only_when_told() {
    let service = stopped_book().await;
    let directory = TempDir::new().expect("a directory");
    copy(&service.data_dir(), directory.path());
    fs::remove_dir_all(directory.path().join("checkpoints")).expect("removed");
    let dry = on(directory.path(), &["rebuild", "--json"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    assert!(!directory.path().join("checkpoints").exists(), "a dry run writes nothing");
    let wet = on(directory.path(), &["rebuild", "--write", "--json"]);
    assert_eq!(wet.code, 0, "{wet:?}");
    assert_eq!(checkpoints(directory.path()).len(), 1);
    assert_eq!(dry.json()["projections"], wet.json()["projections"]);
    let names: Vec<String> = dry.json()["projections"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|row| row["name"].as_str().expect("a name").to_owned())
        .collect();
    assert!(names.contains(&"ledger".to_owned()) && names.len() >= 11, "{names:?}");
    let verified = on(directory.path(), &["verify", "--json"]).json();
    assert_eq!(verified["checkpoints_equal"], json!(1));
    assert_eq!(on(directory.path(), &["rebuild"]).code, 0);
}

#[tokio::test]
async fn at_answers_as_the_service_did() {
    let mut service = book().await;
    let head = service.get("/api/v1/events?limit=1000").await["next"].as_u64().expect("a number");
    let moments = [
        head.to_string(),
        (head / 2).to_string(),
        "2025-03-01T12:00:00Z".to_owned(),
        "2025-03-02T12:00:00Z".to_owned(),
    ];
    let mut answers = Vec::new();
    for moment in &moments {
        let mut answer = Vec::new();
        for path in [
            format!("/api/v1/quota?user_id=ada&as_of={moment}"),
            format!("/api/v1/quota?user_id=bob&as_of={moment}"),
            format!("/api/v1/billing/wallet?organizationId=acme&as_of={moment}"),
            format!("/api/v1/consumption/aggregates?organizationId=acme&as_of={moment}"),
        ] {
            answer.push(service.get(&path).await);
        }
        answers.push(<[Value; 4]>::try_from(answer).expect("four answers"));
    }
    service.stop().await;
    for (moment, [ada, bob, wallet, aggregates]) in moments.iter().zip(answers) {
        let at = replay(&service, &["at", "--as-of", moment, "--json"]);
        assert_eq!(at.code, 0, "{at:?}");
        let state = at.json();
        for (user, balance) in [("ada", ada), ("bob", bob)] {
            let rows = state["quota"].as_array().expect("an array");
            let row = rows.iter().find(|row| row["user_id"] == user).expect("the user");
            for field in ["total_quota", "used_quota", "available_quota", "overdraft"] {
                assert_eq!(row[field], balance[field], "{user} {field} at {moment}");
            }
        }
        let rows = state["wallets"].as_array().expect("an array");
        let row = rows.iter().find(|row| row["organization_id"] == "acme").expect("the tenant");
        for field in ["balance", "accrued", "available"] {
            assert_eq!(row[field], wallet[field], "{field} at {moment}");
        }
        let rows = state["daily"].as_array().expect("an array");
        let of_acme = rows.iter().filter(|row| row["organization_id"] == "acme");
        let days: Vec<&Value> = of_acme.collect();
        let data = aggregates["data"].as_array().expect("an array");
        assert_eq!(days.len(), data.len(), "at {moment}");
        for (day, line) in days.iter().zip(data) {
            assert_eq!(day["period"], line["period"]);
            assert_eq!(day["total_tokens"], line["totalTokens"]);
            assert_eq!(day["cost"], line["cost"]);
            assert_eq!(day["unrated"], line["unrated"]);
        }
    }
}

#[tokio::test]
async fn at_narrows_to_a_projection_a_tenant_and_a_user() {
    let service = stopped_book().await;
    let head = replay(&service, &["verify", "--json"]).json()["head"].to_string();
    let at = |arguments: &[&str]| {
        let answer = replay(&service, &[&["at", "--as-of", &head], arguments].concat());
        assert_eq!(answer.code, 0, "{answer:?}");
        answer
    };
    let wallets = at(&["--projection", "wallets", "--tenant", "acme", "--json"]).json();
    assert_eq!(wallets["wallets"].as_array().map(Vec::len), Some(1));
    assert_eq!(wallets["wallets"][0]["balance"], json!(25.446));
    let bills = at(&["--projection", "bills", "--json"]).json();
    assert_eq!(bills["bills"][0]["cost"], json!(0.054));
    assert_eq!(bills["unbilled"][0]["organization_id"], "other");
    assert_eq!(bills["closed_periods"][0]["period"], "2025-03-01");
    assert_eq!(wallets.get("quota"), None);
    let used = at(&["--projection", "usage", "--user", "ada", "--tenant", "acme", "--json"]).json();
    assert_eq!(used["usage"][0]["requests"], json!(2));
    let calls = at(&["--projection", "calls", "--json"]).json();
    assert_eq!(calls["unrated"][0]["model"], "no-such-model");
    for projection in ["names", "tenants", "prices", "monthly"] {
        assert!(at(&["--projection", projection]).stdout.contains(" ("), "{projection}");
    }
    let tenants = at(&["--projection", "tenants", "--tenant", "acme", "--json"]).json();
    let row = &tenants["tenants"][0];
    assert_eq!((&row["status"], &row["markup_percent"]), (&json!("suspended"), &json!(7.5)));
    let open = |moment: &str| -> Vec<Value> {
        let rows = ["at", "--as-of", moment, "--projection", "holds", "--json"];
        let rows = replay(&service, &rows).json()["holds"].take();
        rows.as_array().expect("rows").iter().map(|row| row["request_id"].clone()).collect()
    };
    assert_eq!(open("2025-03-01T12:00:59Z"), ["short", "held"]);
    assert_eq!(open("2025-03-01T12:01:00Z"), ["held"]);
    assert_eq!(open("2025-03-02T12:00:00Z"), Vec::<Value>::new());
    let nobody = replay(&service, &["at", "--as-of", &head, "--user", "nobody"]);
    assert_eq!(nobody.code, 1);
    assert!(nobody.stderr.contains("no user `nobody`"), "{}", nobody.stderr);
}

#[tokio::test]
async fn a_diff_tells_only_what_differs() {
    let service = stopped_book().await;
    let diff = replay(
        &service,
        &["diff", "--from", "2025-03-01T23:00:00Z", "--to", "2025-03-02T12:00:00Z", "--json"],
    );
    assert_eq!(diff.code, 0, "{diff:?}");
    let diff = diff.json();
    let names = |table: &str, field: &str| -> Vec<String> {
        let rows = diff[table].as_array().expect("an array");
        rows.iter().map(|row| row[field].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names("quota", "user_id"), ["ada"]);
    assert_eq!(names("wallets", "organization_id"), ["acme", "other"]);
    assert_eq!(names("usage", "organization_id"), ["other"]);
    assert_eq!(diff["quota"][0]["available_from"], json!(100));
    assert_eq!(diff["quota"][0]["available_to"], json!(600));
    let nothing = replay(&service, &["diff", "--from", "5", "--to", "5"]);
    assert_eq!(nothing.code, 0);
    assert!(nothing.stdout.contains("wallets (0)"), "{}", nothing.stdout);
    assert_eq!(replay(&service, &["diff", "--from", "6", "--to", "5"]).code, 2);
}

#[tokio::test]
async fn an_export_has_every_event_as_the_service_shows_it() {
    let mut service = book().await;
    let page = service.get("/api/v1/events?limit=1000").await;
    service.stop().await;
    let shown = page["events"].as_array().expect("an array");
    let all = replay(&service, &["export"]);
    assert_eq!(all.code, 0, "{all:?}");
    let exported = lines(&all);
    assert_eq!(exported.len(), shown.len());
    assert_eq!(&exported, shown);
    assert_eq!(replay(&service, &["export", "--json"]).stdout, all.stdout);

    let some = lines(&replay(&service, &["export", "--from", "3", "--to", "5"]));
    assert_eq!(some, exported[2..5]);
    let later = lines(&replay(&service, &["export", "--from", "2025-03-02T00:00:00Z"]));
    assert!(!later.is_empty() && exported.ends_with(&later));
    for event in &exported {
        let type_name = event["type"].as_str().expect("a text");
        let of_type = lines(&replay(&service, &["export", "--type", type_name]));
        assert!(of_type.contains(event) && of_type.iter().all(|other| other["type"] == type_name));
    }
    assert_eq!(replay(&service, &["export", "--type", "no_such_type"]).code, 2);

    let file = service.data_dir().with_file_name("export.jsonl");
    let path = file.to_str().expect("UTF-8");
    let written = replay(&service, &["export", "--output", path, "--json"]);
    assert_eq!(written.json()["events"], json!(shown.len()));
    assert_eq!(fs::read_to_string(file).expect("readable"), all.stdout);
}

#[tokio::test]
async fn an_export_ends_quietly_when_its_reader_does() {
    let service = stopped_book().await;
    let command = format!(
        "'{}' replay export --data-dir '{}' | true; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_tallybook"),
        service.data_dir().display()
    );
    let output = std::process::Command::new("bash").args(["-c", &command]).output();
    let output = output.expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[tokio::test]
async fn show_prints_events_for_people_and_programs() {
    let mut service = book().await;
    let page = service.get("/api/v1/events?limit=1000").await;
    service.stop().await;
    let events = page["events"].as_array().expect("an array");
    let shown = lines(&replay(&service, &["show", "2", "--to", "4", "--json"]));
    assert_eq!(shown, events[1..4]);
    let first = replay(&service, &["show", "1", "--json"]).json();
    assert_eq!(first, events[0], "its actor is introduced by the event after it");
    let head = page["next"].to_string();
    let told = replay(&service, &["show", "1", "--to", &head]).stdout;
    assert!(told.contains("tenant_registered") && told.contains("Acme & Sons"), "{told}");
    let beyond = replay(&service, &["show", "9999"]);
    assert_eq!(beyond.code, 1);
    assert!(beyond.stderr.contains(&format!("the log ends at event {head}")), "{}", beyond.stderr);
    for wrong in [&["show", "0"][..], &["show", "x"], &["show"], &["show", "4", "--to", "2"]] {
        assert_eq!(replay(&service, wrong).code, 2, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_directory_in_use_or_missing_is_refused_clearly() {
    let service = book().await;
    let missing = service.data_dir().join("nothing");
    for command in [
        &["verify"][..],
        &["rebuild"],
        &["diff", "--from", "1", "--to", "2"],
        &["show", "1"],
        &["at", "--as-of", "1"],
        &["export"],
    ] {
        let in_use = replay(&service, command);
        assert_eq!(in_use.code, 1, "{command:?}");
        assert!(in_use.stderr.contains("in use by a running service"), "{}", in_use.stderr);
        let none = on(&missing, command);
        assert_eq!(none.code, 1, "{command:?}");
        assert!(none.stderr.contains("there is no log in the data directory"), "{}", none.stderr);
        assert!(!missing.exists(), "looking creates nothing");
    }
    service.grant("ada", 1).await;
}
