//! The monthly report and what is told of projects: exact, beside the month before, in the shapes
//! that clients know.

use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call, with};
use crate::support::people::token;
use crate::support::service::{Service, Setup};

const REPORT: &str = "/api/v1/reports/monthly";
const PROJECTS: &str = "/api/v1/organization/projects";

/// A service with calls in January, February and March.
async fn used() -> Service {
    let service = Setup::new().manual_clock(NOON).start().await;
    for (id, prompt, fields) in [
        ("a", 300, json!({"timestamp": "2025-01-31T23:59:59.999999Z", "documentId": "doc"})),
        (
            "b",
            100,
            json!({"timestamp": "2025-02-01T00:00:00Z", "assistantType": "word", "documentId": "doc"}),
        ),
        (
            "c",
            200,
            json!({"timestamp": "2025-02-28T23:59:59.999999Z", "userId": "bob", "conversationId": "talk", "documentId": "doc"}),
        ),
        (
            "d",
            100,
            json!({"timestamp": "2025-02-14T00:00:00Z", "model": "no-price", "conversationId": "talk"}),
        ),
        ("e", 50, json!({"timestamp": "2025-03-01T00:00:00Z"})),
        (
            "f",
            7,
            json!({"organizationId": "umbrella", "timestamp": "2025-02-14T00:00:00Z", "documentId": "doc"}),
        ),
    ] {
        service.send("/api/v1/consumption", &with(call(id, prompt, 0), &fields)).await.expect(201);
    }
    service
}

async fn read(service: &Service, path: &str) -> String {
    service.read(path).await.expect(200).text
}

#[tokio::test]
async fn a_month_is_told_beside_the_one_before() {
    let service = used().await;
    assert_eq!(
        read(&service, &format!("{REPORT}?organizationId=acme&month=2025-02")).await,
        r#"{"organizationId":"acme","month":"2025-02","timeZone":"UTC","#.to_owned()
            + r#""period":{"start":"2025-02-01T00:00:00Z","end":"2025-03-01T00:00:00Z"},"#
            + r#""current":{"totalTokens":400,"totalCost":0.009,"requests":3,"unrated":1},"#
            + r#""previous":{"totalTokens":300,"totalCost":0.009,"requests":1,"unrated":0},"#
            + r#""comparison":{"tokenChangePercent":33.33,"costChangePercent":0.00},"#
            + r#""breakdown":{"byAssistant":{"":{"tokens":300,"cost":0.006,"requests":2},"#
            + r#""word":{"tokens":100,"cost":0.003,"requests":1}},"#
            + r#""byUser":{"ann":{"tokens":200,"cost":0.003,"requests":2},"#
            + r#""bob":{"tokens":200,"cost":0.006,"requests":1}},"#
            + r#""byModel":{"gpt-4":{"tokens":300,"cost":0.009,"requests":2},"#
            + r#""no-price":{"tokens":100,"cost":0,"requests":1}},"#
            + r#""byProject":{"doc":{"tokens":300,"cost":0.009,"requests":2},"#
            + r#""talk":{"tokens":100,"cost":0,"requests":1}}}}"#
    );
    for (month, comparison) in [
        ("2025-01", r#"{"tokenChangePercent":null,"costChangePercent":null}"#),
        ("2025-03", r#"{"tokenChangePercent":-87.50,"costChangePercent":-83.33}"#),
        ("2025-04", r#"{"tokenChangePercent":-100.00,"costChangePercent":-100.00}"#),
        ("2024-12", r#"{"tokenChangePercent":null,"costChangePercent":null}"#),
    ] {
        let report = read(&service, &format!("{REPORT}?organizationId=acme&month={month}")).await;
        let wanted = format!(r#""comparison":{comparison},"breakdown":"#);
        assert!(report.contains(&wanted), "{month}: {report}");
    }
    let bob = token(&json!({"id": "bob", "role": "tenant_user", "organizationId": "acme"}));
    let path = format!("{REPORT}?organizationId=acme&month=2025-02");
    let request = service.ask_as_nobody(reqwest::Method::GET, &path).bearer_auth(bob);
    let own = Answer::to(request).await.expect(200).json();
    assert_eq!(own["current"]["totalTokens"], 200);
    assert_eq!(own["breakdown"]["byUser"].as_object().map(serde_json::Map::len), Some(1));
}

#[tokio::test]
async fn a_month_that_is_none_is_refused_in_the_words_that_clients_know() {
    let service = used().await;
    let missing = "organizationId and month are required";
    let wrong = "invalid month format, use YYYY-MM";
    let monthly = format!("{PROJECTS}/consumption/monthly");
    for path in [
        REPORT,
        &monthly,
        "/api/v1/export/reports/monthly/pdf",
        "/api/v1/export/reports/monthly/csv",
    ] {
        for (query, field, words) in [
            ("", "organizationId", missing),
            ("month=2025-02", "organizationId", missing),
            ("organizationId=acme", "month", missing),
            ("organizationId=acme&month=", "month", wrong),
            ("organizationId=acme&month=2025-2", "month", wrong),
            ("organizationId=acme&month=2025-13", "month", wrong),
            ("organizationId=acme&month=2025-02-01", "month", wrong),
            ("organizationId=acme&month=-025-02", "month", wrong),
            ("organizationId=acme&month=02-2025", "month", wrong),
        ] {
            let answer = service.read(&format!("{path}?{query}")).await.expect(400);
            let problem = answer.json();
            assert_eq!(problem["error"], words, "{path}?{query}");
            assert_eq!(problem["invalid_parameters"][0]["field"], field, "{path}?{query}");
        }
        service.read(&format!("{path}?organizationId=acme&month=0000-01")).await.expect(200);
        service.read(&format!("{path}?organizationId=acme&month=9999-12")).await.expect(200);
    }
    let nobody = format!("{REPORT}?organizationId=nobody&month=2025-02");
    service.read(&nobody).await.expect(404);
    let focus = service.read("/api/v1/export/focus/csv").await.expect(400);
    assert_eq!(focus.json()["invalid_parameters"][0]["field"], "month");
}

#[tokio::test]
async fn projects_are_told_with_what_they_used() {
    let service = used().await;
    let project = |project: &str, first: &str, last: &str| {
        json!({
            "organizationId": "acme", "projectId": project, "projectName": project,
            "createdBy": "", "tags": [], "metadata": {}, "createdAt": first, "updatedAt": last,
        })
    };
    let answer = service.read(&format!("{PROJECTS}?organizationId=acme")).await.expect(200).json();
    assert_eq!(
        answer,
        json!([
            project("doc", "2025-01-31T23:59:59.999999Z", "2025-02-28T23:59:59.999999Z"),
            project("talk", "2025-02-14T00:00:00Z", "2025-02-14T00:00:00Z"),
        ])
    );
    let all = service.read(PROJECTS).await.expect(200).json();
    assert_eq!(all.as_array().map(Vec::len), Some(3));

    let doc = r#"{"organizationId":"acme","projectId":"doc","month":"2025-02","totalTokens":300,"#
        .to_owned()
        + r#""totalCost":0.009,"requestCount":2,"breakdown":{"#
        + r#""byAssistant":{"":{"tokens":200,"cost":0.006,"requests":1},"#
        + r#""word":{"tokens":100,"cost":0.003,"requests":1}},"#
        + r#""byUser":{"ann":{"tokens":100,"cost":0.003,"requests":1},"#
        + r#""bob":{"tokens":200,"cost":0.006,"requests":1}}},"#
        + r#""updatedAt":"2025-02-28T23:59:59.999999Z"}"#;
    let path = format!("{PROJECTS}/doc/consumption?organizationId=acme&month=2025-02");
    assert_eq!(read(&service, &path).await, format!("[{doc}]"));
    let monthly = read(
        &service,
        &format!("{PROJECTS}/consumption/monthly?organizationId=acme&month=2025-02"),
    )
    .await;
    assert!(monthly.starts_with(&format!("[{doc},")), "{monthly}");
    assert!(monthly.contains(r#""projectId":"talk""#), "{monthly}");
    for (path, months) in [
        ("doc/consumption", json!(["2025-01", "2025-02", "2025-02"])),
        ("doc/consumption?organizationId=umbrella", json!(["2025-02"])),
        ("doc/consumption?month=2025-03", json!([])),
        ("nothing/consumption", json!([])),
    ] {
        let answer = service.read(&format!("{PROJECTS}/{path}")).await.expect(200).json();
        let told: Vec<Value> =
            answer.as_array().expect("rows").iter().map(|row| row["month"].clone()).collect();
        assert_eq!(Value::from(told), months, "{path}");
    }

    // A late price is in what is told of the project.
    let prices = json!({"no-price": {"input_cost_per_token": "0.5"}});
    service.send("/api/v1/admin/prices", &prices).await.expect(201);
    let path = format!("{PROJECTS}/talk/consumption?month=2025-02");
    crate::support::eventually("the late rating", async || {
        let told = service.read(&path).await.expect(200).json();
        let whole = [&told[0]["totalCost"], &told[0]["breakdown"]["byUser"]["ann"]["cost"]];
        if whole == [&json!(50), &json!(50)] { Ok(()) } else { Err(told.to_string()) }
    })
    .await;
}
