//! Files of consumption and reports: whole, exact, safe to open in a spreadsheet, and sent without
//! being held in memory, while more arrives.

use std::collections::BTreeSet;

use schemas::{Money, Timestamp};
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::service::{Service, Setup};

const CSV: &str = "/api/v1/export/consumption/csv";
const JSON: &str = "/api/v1/export/consumption/json";
const HISTORY: &str = "/api/v1/consumption/history";

async fn service() -> Service {
    Setup::new().manual_clock(NOON).start().await
}

async fn record(service: &Service, id: &str, prompt: u64, fields: &Value) {
    service.send("/api/v1/consumption", &with(call(id, prompt, 0), fields)).await.expect(201);
}

#[tokio::test]
async fn a_file_says_what_the_history_says_and_is_safe_to_open() {
    let service = service().await;
    record(&service, "a", 1, &json!({"userId": "=HYPERLINK(\"x\")", "assistantType": "+1"})).await;
    record(&service, "b", 7, &json!({"userId": "-bob", "model": "@no-price"})).await;
    record(&service, "c", 100, &json!({"userId": "a,b\"c", "assistantType": "word"})).await;
    let half = json!({
        "specversion": "1.0", "id": "half", "source": "/g", "type": "llm.request",
        "time": "2025-03-01T11:00:00Z", "subject": "dora", "organizationid": "acme",
        "data": {"model": "gpt-4", "tokenCount": 9},
    });
    let request = service.ask(reqwest::Method::POST, "/api/v1/events");
    let request = request.header("content-type", "application/cloudevents+json");
    Answer::to(request.body(half.to_string())).await.expect(202);
    service.advance_clock_to("2025-03-01T14:00:00Z").await;

    let answer = service.read(CSV).await.expect(200);
    assert_eq!(
        answer.text,
        "Date,User ID,Organization ID,Assistant Type,Model,Total Tokens,Cost,Status\r\n\
         2025-03-01T11:00:00Z,dora,acme,,gpt-4,9,,request-only\r\n\
         2025-03-01T11:59:00Z,\"a,b\"\"c\",acme,word,gpt-4,100,0.003,complete\r\n\
         2025-03-01T11:59:00Z,'-bob,acme,,'@no-price,7,,complete\r\n\
         2025-03-01T11:59:00Z,\"'=HYPERLINK(\"\"x\"\")\",acme,'+1,gpt-4,1,0.00003,complete\r\n"
    );
    let sequence = answer.sequence();
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
    let disposition = format!("attachment; filename=\"consumption-{sequence}.csv\"");
    assert_eq!(answer.header("content-disposition"), disposition);
    let answer = service.read(JSON).await.expect(200);
    assert_eq!(answer.json(), service.read(HISTORY).await.json());
    assert_eq!(answer.header("content-type"), "application/json");

    for (query, count) in [
        ("organizationId=acme", 4),
        ("organizationId=nobody", 0),
        ("userId=dora", 1),
        ("assistantType=word", 1),
        ("model=@no-price", 1),
        ("model=never-seen", 0),
        ("minTokens=9", 2),
        ("maxTokens=7&minTokens=2", 1),
        ("startDate=2025-03-01T11:59:00Z", 3),
        ("endDate=2025-03-01T11:58:59Z", 1),
        ("as_of=0", 0),
    ] {
        let lines = service.read(&format!("{CSV}?{query}")).await.expect(200).text;
        assert_eq!(lines.lines().count(), count + 1, "{query}");
        let array = service.read(&format!("{JSON}?{query}")).await.expect(200).json();
        assert_eq!(array.as_array().map(Vec::len), Some(count), "{query}");
    }
    for (query, field) in [
        ("startDate=2025-03-01", "startDate"),
        ("minTokens=-1", "minTokens"),
        ("limit=5", "limit"),
        ("as_of=tomorrow", "as_of"),
    ] {
        for path in [CSV, JSON] {
            let answer = service.read(&format!("{path}?{query}")).await.expect(400);
            assert_eq!(answer.json()["invalid_parameters"][0]["field"], field, "{path}?{query}");
        }
    }
}

/// What a call is known by here: when it was, which no other was.
const FIRST: &str = "2025-02-01T00:00:00Z";
const CALLS: u64 = 100_000;
const BATCH: u64 = 10_000;
/// More memory than a page takes, and far less than all calls would.
const GROWTH_KB_MAX: u64 = 64 * 1024;

fn tokens(number: u64) -> u64 {
    1 + number % 97
}

fn moment(number: u64) -> Timestamp {
    let first = Timestamp::parse(FIRST).expect("RFC 3339").micros();
    Timestamp::from_micros(first + i64::try_from(number).expect("small"))
}

/// Calls as they come back: each once, and what they cost together.
#[derive(Default)]
struct Seen {
    numbers: BTreeSet<u64>,
    cost: Option<Money>,
}

impl Seen {
    /// Takes in a call, unless it is one of those that arrived meanwhile.
    fn take(&mut self, date: &str, cost: &str) {
        let micros = Timestamp::parse(date).expect("RFC 3339").micros() - moment(0).micros();
        let Some(number) = u64::try_from(micros).ok().filter(|number| *number < CALLS) else {
            return;
        };
        assert!(self.numbers.insert(number), "call {number} came twice");
        let sum = self.cost.unwrap_or_default();
        self.cost = sum.checked_add(Money::parse(cost).expect("a cost"));
    }

    fn is_whole(&self, what: &str) {
        let missing = (0..CALLS).find(|number| !self.numbers.contains(number));
        assert_eq!(missing, None, "a call is missing in {what}");
        let all: u64 = (0..CALLS).map(tokens).sum();
        let price = Money::parse("0.00003").expect("gpt-4's price");
        assert_eq!(self.cost, price.checked_times(all), "{what}");
    }
}

fn memory_kb(service: &Service) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid()));
    let status = status.expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// A file, and by how much memory grew at most while it was sent.
async fn download(service: &Service, path: &str) -> (Vec<u8>, u64, u64) {
    let before = memory_kb(service);
    let request = service.ask(reqwest::Method::GET, path);
    let mut answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    let through = answer.headers()["x-ledger-sequence"].to_str().expect("ASCII");
    let through = through.parse().expect("a sequence");
    let (mut bytes, mut most) = (Vec::new(), before);
    while let Some(chunk) = answer.chunk().await.expect("the whole file") {
        bytes.extend_from_slice(&chunk);
        most = most.max(memory_kb(service));
    }
    (bytes, through, most - before)
}

/// A few calls more, again and again, until the other is done.
async fn while_more_arrive<T>(service: &Service, stem: &str, other: impl Future<Output = T>) -> T {
    let arriving = async {
        for number in 0_u64.. {
            let id = format!("{stem}-{number}");
            record(service, &id, 5, &json!({"organizationId": "acme"})).await;
        }
    };
    tokio::select! {
        done = other => done,
        () = arriving => panic!("there are always more"),
    }
}

async fn list(service: &Service) -> Seen {
    let mut seen = Seen::default();
    let first = format!("{HISTORY}?organizationId=acme&limit=10000");
    let mut path = first.clone();
    loop {
        let page = service.read(&path).await.expect(200);
        for call in page.json().as_array().expect("calls") {
            let date = call["timestamp"].as_str().expect("a moment");
            seen.take(date, &call["cost"].to_string());
        }
        match page.header("x-next-cursor") {
            "" => return seen,
            cursor => path = format!("{first}&cursor={cursor}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_calls_are_listed_and_exported_once_each_while_more_arrive() {
    let service = service().await;
    for batch in 0..CALLS / BATCH {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let calls: Vec<Value> = numbers
            .map(|number| {
                let timestamp = moment(number).to_string();
                let user = format!("user-{}", number % 50);
                let fields = json!({"timestamp": timestamp, "userId": user});
                with(call(&format!("n{number}"), tokens(number), 0), &fields)
            })
            .collect();
        let answer = service.send("/api/v1/consumption/batch", &Value::from(calls)).await;
        assert_eq!(answer.expect(200).json()["recorded"], BATCH);
    }

    while_more_arrive(&service, "listed", list(&service)).await.is_whole("the history");

    let path = format!("{CSV}?organizationId=acme");
    let (file, _, growth) = while_more_arrive(&service, "csv", download(&service, &path)).await;
    assert!(growth < GROWTH_KB_MAX, "memory grew by {growth} kB for CSV");
    let mut seen = Seen::default();
    let mut read = csv::Reader::from_reader(&*file);
    for line in read.records() {
        let line = line.expect("CSV");
        seen.take(&line[0], &line[6]);
    }
    seen.is_whole("the CSV");

    let path = format!("{JSON}?organizationId=acme");
    let (file, through, growth) =
        while_more_arrive(&service, "json", download(&service, &path)).await;
    assert!(growth < GROWTH_KB_MAX, "memory grew by {growth} kB for JSON");
    let mut seen = Seen::default();
    let calls: Vec<Value> = serde_json::from_slice(&file).expect("JSON");
    let mut last = through + 1;
    for call in &calls {
        let sequence = call["sequence"].as_u64().expect("a sequence");
        assert!(sequence < last, "newest first, each once, and none that came later");
        last = sequence;
        seen.take(call["timestamp"].as_str().expect("a moment"), &call["cost"].to_string());
    }
    seen.is_whole("the JSON");
}

#[tokio::test]
async fn lines_for_finance_tools_add_up_to_the_month() {
    let service = service().await;
    record(&service, "a", 10, &json!({"timestamp": "2025-02-01T00:00:00Z"})).await;
    record(&service, "b", 5, &json!({"timestamp": "2025-02-01T10:00:00Z"})).await;
    record(&service, "c", 3, &json!({"timestamp": "2025-02-28T23:59:59Z", "model": "=m"})).await;
    record(
        &service,
        "d",
        9,
        &json!({"organizationId": "umbrella", "timestamp": "2025-02-02T00:00:00Z"}),
    )
    .await;
    record(&service, "e", 1, &json!({})).await;
    let answer = service.read("/api/v1/export/focus/csv?month=2025-02").await.expect(200);
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"focus-2025-02.csv\"");
    let mut read = csv::Reader::from_reader(answer.text.as_bytes());
    let head = read.headers().expect("a head").clone();
    let place = |name: &str| head.iter().position(|column| column == name).expect("a column");
    let rows: Vec<csv::StringRecord> = read.records().map(|row| row.expect("CSV")).collect();
    let columns = [
        "BillingAccountId",
        "ChargePeriodStart",
        "SkuId",
        "ConsumedQuantity",
        "BilledCost",
        "BillingPeriodStart",
        "BillingPeriodEnd",
        "ChargeCategory",
        "ServiceCategory",
    ];
    let told: Vec<String> = rows
        .iter()
        .map(|row| columns.map(|column| row[place(column)].to_owned()).join(" "))
        .collect();
    let rest = "2025-02-01T00:00:00Z 2025-03-01T00:00:00Z Usage AI and Machine Learning";
    assert_eq!(
        told,
        [
            format!("acme 2025-02-01T00:00:00Z gpt-4 15 0.00045 {rest}"),
            format!("acme 2025-02-28T00:00:00Z '=m 3 0 {rest}"),
            format!("umbrella 2025-02-02T00:00:00Z gpt-4 9 0.00027 {rest}"),
        ]
    );
    for column in ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"] {
        let costs = rows.iter().map(|row| Money::parse(&row[place(column)]).expect("a cost"));
        let sum = costs.fold(Money::ZERO, |sum, cost| sum.checked_add(cost).expect("small"));
        assert_eq!(sum.to_string(), "0.00072", "{column}");
    }
    let own = service.read("/api/v1/export/focus/csv?month=2025-02&organizationId=umbrella").await;
    assert_eq!(own.text.lines().count(), 2);
    let none = service.read("/api/v1/export/focus/csv?month=2025-02&organizationId=nobody").await;
    assert_eq!(none.text.lines().count(), 1);
}

#[tokio::test]
async fn a_months_report_comes_as_csv_and_as_pdf() {
    let service = service().await;
    record(&service, "a", 300, &json!({"timestamp": "2025-01-31T12:00:00Z"})).await;
    record(
        &service,
        "b",
        100,
        &json!({"timestamp": "2025-02-01T12:00:00Z", "assistantType": "=x"}),
    )
    .await;
    let many: Vec<Value> = (0..600)
        .map(|number| {
            let user = format!("user-{number:03} 漢");
            let fields = json!({"userId": user, "timestamp": "2025-02-02T12:00:00Z"});
            with(call(&format!("m{number}"), 1, 0), &fields)
        })
        .collect();
    service.send("/api/v1/consumption/batch", &Value::from(many)).await.expect(200);
    let query = "organizationId=acme&month=2025-02";
    let answer = service.read(&format!("/api/v1/export/reports/monthly/csv?{query}")).await;
    let text = answer.expect(200).text;
    assert!(
        text.starts_with(
            "Section,Name,Total Tokens,Cost,Requests,Unrated\r\n\
         current,,700,0.021,601,0\r\n\
         previous,,300,0.009,1,0\r\n\
         change in percent,,133.33,133.33,,\r\n\
         assistant,,600,0.018,600,\r\n\
         assistant,'=x,100,0.003,1,\r\n\
         user,ann,100,0.003,1,\r\n"
        ),
        "{text}"
    );
    assert_eq!(text.lines().count(), 6 + 601 + 1 + 1);

    let answer = service.read(&format!("/api/v1/export/reports/monthly/pdf?{query}")).await;
    let answer = answer.expect(200);
    assert_eq!(answer.header("content-type"), "application/pdf");
    let disposition = "attachment; filename=\"report-acme-2025-02.pdf\"";
    assert_eq!(answer.header("content-disposition"), disposition);
    let text = answer.text;
    assert!(text.starts_with("%PDF-") && text.trim_end().ends_with("%%EOF"));
    // Texts stand in the file as they are: nothing in it is compressed.
    for wanted in [
        "(Monthly report)",
        "(acme 2025-02)",
        "(2025-02-01T00:00:00Z)",
        "(133.33 %)",
        "(user-000 ?)",
        "(101 more)",
        "(0.00303)",
        "(0.021)",
        "((none named))",
    ] {
        assert!(text.contains(wanted), "{wanted}");
    }
    let table = text.split("(By user)").nth(1).and_then(|rest| rest.split("(By model)").next());
    assert_eq!(table.expect("a table").matches("(user-").count(), 499);
}
