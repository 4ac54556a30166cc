//! Days, months and hours are the tenant's: by the zone it had when a call was recorded, over a
//! change of the clocks, and wherever a late rating or a look into the past comes in.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::eventually;
use crate::support::http::{Answer, call, with};
use crate::support::service::{Service, Setup};

const DAYS: &str = "/api/v1/consumption/aggregates?organizationId=acme";

async fn set_zone(service: &Service, tenant: &str, zone: &str) {
    let path = format!("/api/v1/admin/tenants/{tenant}");
    let request = service.ask(Method::PUT, &path).json(&json!({"timeZone": zone}));
    let answer = Answer::to(request).await;
    assert!([200, 201].contains(&answer.status), "{}", answer.text);
}

/// A service at noon of 11 March, with a tenant in this zone.
async fn service(tenant: &str, zone: &str) -> Service {
    let service = Setup::new().manual_clock(NOON).start().await;
    let body = json!({"orgId": tenant, "name": tenant});
    service.send("/api/v1/admin/tenants", &body).await.expect(201);
    set_zone(&service, tenant, zone).await;
    service.advance_clock_to("2025-03-11T12:00:00Z").await;
    service
}

/// A call of `acme`'s, of so many tokens.
async fn call_at(service: &Service, id: &str, moment: &str, tokens: u64) {
    let body = with(call(id, tokens, 0), &json!({"timestamp": moment}));
    service.send("/api/v1/consumption", &body).await.expect(201);
}

/// `period tokens` of each line.
async fn lines(service: &Service, path: &str) -> Vec<String> {
    let answer = service.read(path).await.expect(200).json();
    let line = |line: &Value| {
        format!("{} {}", line["period"].as_str().expect("a period"), line["totalTokens"])
    };
    answer["data"].as_array().expect("lines").iter().map(line).collect()
}

#[tokio::test]
async fn a_day_and_a_month_begin_at_midnight_of_the_tenants_clock() {
    let service = service("acme", "Asia/Kolkata").await;
    for (id, moment, tokens) in [
        ("a", "2025-02-28T18:29:59.999999Z", 1),
        ("b", "2025-02-28T18:30:00Z", 20),
        ("c", "2025-03-01T18:29:59Z", 300),
        ("d", "2025-03-01T18:30:00Z", 4000),
    ] {
        call_at(&service, id, moment, tokens).await;
    }
    let days = ["2025-02-28 1", "2025-03-01 320", "2025-03-02 4000"];
    assert_eq!(lines(&service, DAYS).await, days);
    let months = ["2025-02 1", "2025-03 4320"];
    assert_eq!(lines(&service, &format!("{DAYS}&period=month")).await, months);
    let march = format!("{DAYS}&startDate=2025-03-01&endDate=2025-03-01");
    assert_eq!(lines(&service, &march).await, ["2025-03-01 320"]);
    // By user it is added up from the log, to the same.
    assert_eq!(lines(&service, &format!("{DAYS}&userId=ann")).await, days);
    assert_eq!(lines(&service, &format!("{march}&userId=ann")).await, ["2025-03-01 320"]);
    // From a moment to the end of a day of the tenant's.
    let mixed = format!("{DAYS}&startDate=2025-03-01T00:00:00Z&endDate=2025-03-01");
    assert_eq!(lines(&service, &mixed).await, ["2025-03-01 300"]);

    let path = "/api/v1/reports/monthly?organizationId=acme&month=2025-03";
    let report = service.read(path).await.expect(200).json();
    assert_eq!(
        json!([report["period"], report["timeZone"], report["current"]["totalTokens"]]),
        json!([
            {"start": "2025-02-28T18:30:00Z", "end": "2025-03-31T18:30:00Z"}, "Asia/Kolkata", 4320
        ])
    );
    let path = "/api/v1/analytics/usage-patterns/peak-times?organizationId=acme";
    let hours = service.read(path).await.expect(200).json();
    assert_eq!(
        json!([hours[0]["_id"], hours[0]["tokens"], hours[1]["_id"], hours[1]["tokens"]]),
        json!([0, 4020, 23, 301])
    );
}

#[tokio::test]
async fn the_day_on_which_clocks_are_changed_has_23_hours() {
    let service = service("acme", "America/New_York").await;
    for (id, moment, tokens) in [
        ("a", "2025-03-01T04:59:59Z", 1),
        ("b", "2025-03-09T04:59:59Z", 20),
        ("c", "2025-03-09T05:00:00Z", 300),
        ("d", "2025-03-09T06:59:59Z", 4000),
        ("e", "2025-03-09T07:00:00Z", 50_000),
        ("f", "2025-03-10T03:59:59Z", 600_000),
        ("g", "2025-03-10T04:00:00Z", 7_000_000),
    ] {
        call_at(&service, id, moment, tokens).await;
    }
    assert_eq!(
        lines(&service, DAYS).await,
        ["2025-02-28 1", "2025-03-08 20", "2025-03-09 654300", "2025-03-10 7000000"]
    );
    let path = "/api/v1/analytics/usage-patterns/peak-times?organizationId=acme\
                &startDate=2025-03-09&endDate=2025-03-09";
    let hours = service.read(path).await.expect(200).json();
    let hours: Vec<String> = hours
        .as_array()
        .expect("hours")
        .iter()
        .map(|hour| format!("{} {}", hour["_id"], hour["tokens"]))
        .collect();
    assert_eq!(hours, ["0 300", "1 4000", "3 50000", "23 600000"]);
    let path = "/api/v1/export/focus/csv?organizationId=acme&month=2025-03";
    let focus = service.read(path).await.expect(200).text;
    let mut read = csv::Reader::from_reader(focus.as_bytes());
    let head = read.headers().expect("a head").clone();
    let place = |name: &str| head.iter().position(|column| column == name).expect("a column");
    let places = ["ChargePeriodStart", "ChargePeriodEnd", "ConsumedQuantity"].map(place);
    let rows: Vec<String> = read
        .records()
        .map(|row| places.map(|place| row.as_ref().expect("a row")[place].to_owned()).join(" "))
        .collect();
    assert_eq!(
        rows,
        [
            "2025-03-08T05:00:00Z 2025-03-09T05:00:00Z 20",
            "2025-03-09T05:00:00Z 2025-03-10T04:00:00Z 654300",
            "2025-03-10T04:00:00Z 2025-03-11T04:00:00Z 7000000",
        ]
    );
}

#[tokio::test]
async fn today_is_the_tenants_and_each_has_its_own() {
    let service = service("acme", "Asia/Kolkata").await;
    let path = "/api/v1/consumption/real-time";
    call_at(&service, "a", "2025-03-11T11:00:00Z", 5).await;
    let elsewhere = json!({"organizationId": "umbrella", "timestamp": "2025-03-11T11:00:00Z"});
    let body = with(call("b", 70, 0), &elsewhere);
    service.send("/api/v1/consumption", &body).await.expect(201);
    service.advance_clock_to("2025-03-11T18:30:00Z").await;
    call_at(&service, "c", "2025-03-11T18:30:00Z", 900).await;
    for (whose, day, tokens) in [
        ("organizationId=acme", "2025-03-12", 900),
        ("organizationId=umbrella", "2025-03-11", 70),
        ("userId=ann", "2025-03-12", 970),
        ("organizationId=acme&userId=ann", "2025-03-12", 900),
    ] {
        let today = service.read(&format!("{path}?{whose}")).await.expect(200).json();
        assert_eq!(json!([today["day"], today["tokens"]]), json!([day, tokens]), "{whose}");
    }
    let overview = service.read("/api/v1/analytics/overview").await.expect(200).json();
    assert_eq!(overview["consumption"]["today"]["tokens"], 970);
}

#[tokio::test]
async fn a_zone_holds_for_what_is_recorded_from_then_on() {
    let mut service = service("acme", "Asia/Kolkata").await;
    let late = "2025-03-05T20:00:00Z";
    let unrated = with(call("a", 1, 0), &json!({"timestamp": late, "model": "no-price"}));
    service.send("/api/v1/consumption", &unrated).await.expect(201);
    let before = service.head().await;
    let then = lines(&service, DAYS).await;
    assert_eq!(then, ["2025-03-06 1"]);
    set_zone(&service, "acme", "America/New_York").await;
    call_at(&service, "b", late, 20).await;
    let after = service.head().await;
    let both = ["2025-03-05 20", "2025-03-06 1"];
    assert_eq!(lines(&service, DAYS).await, both);

    // What is rated later is rated on the day on which it was counted.
    let prices = json!({"no-price": {"input_cost_per_token": "0.5"}});
    service.send("/api/v1/admin/prices", &prices).await.expect(201);
    let rated = eventually("the late rating", async || {
        let answer = service.read(DAYS).await.expect(200).json();
        let lines = answer["data"].clone();
        if answer["totals"]["unrated"] == 0 { Ok(lines) } else { Err(lines.to_string()) }
    })
    .await;
    assert_eq!(
        json!([rated[0]["period"], rated[0]["cost"], rated[1]["period"], rated[1]["cost"]]),
        json!(["2025-03-05", 0.0006, "2025-03-06", 0.5])
    );
    for round in 0..3 {
        let as_of =
            async |sequence: u64| lines(&service, &format!("{DAYS}&as_of={sequence}")).await;
        assert_eq!(as_of(before).await, then, "round {round}");
        assert_eq!(as_of(after).await, both, "round {round}");
        assert_eq!(lines(&service, DAYS).await, both, "round {round}");
        assert_eq!(lines(&service, &format!("{DAYS}&userId=ann")).await, both, "round {round}");
        match round {
            0 => service.kill(),
            1 => service.stop().await,
            _ => break,
        }
        service.start_again().await;
    }
}
