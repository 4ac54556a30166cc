//! The edge as clients meet it: over a socket.

use std::collections::BTreeSet;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use schemas::{Name, Role, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::*;
use crate::{
    config::{ApiKey, Secret},
    service::Book,
};
use health::{Check, Reporters};

struct Edge {
    url: String,
    reporters: Reporters,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

fn key(role: Role) -> ApiKey {
    let name = |text: &str| Name::try_from(text).unwrap();
    ApiKey {
        key: Some(Secret::from(role.as_str())),
        key_sha256: None,
        role,
        organization: Some(name("t1")),
        user: Some(name("u1")),
        name: name(role.as_str()),
    }
}

fn services(clock: Clock) -> (Services, Reporters) {
    let auth = config::Auth { api_keys: Role::ALL.map(key).into(), ..config::Auth::default() };
    let (readiness, reporters) = Readiness::starting();
    let limits = config::Limits { body_bytes_max: 1000, ..config::Limits::default() };
    let authenticator = Authenticator::new(&auth).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = config::Config::default();
    let book = Book::open(directory.path(), &config, clock.clone()).unwrap();
    let (writer, views, vault) = (book.writer.clone(), book.views.clone(), book.vault.clone());
    let jobs = Jobs::new(writer.clone(), views.clone(), clock.clone(), config.job_rules().unwrap());
    let payments = Payments::new(&config, writer.clone(), views.clone(), clock.clone()).unwrap();
    let auto_top_ups = AutoTopUps::new(payments.clone(), &config.billing);
    let stop = CancellationToken::new();
    let gateway = None;
    let webhooks = webhooks_out::Sender::new(&config.webhooks, vault.clone()).unwrap();
    let services = Services {
        clock,
        authenticator,
        accounts: config::Accounts::default(),
        limits,
        readiness,
        writer,
        views,
        vault,
        signing_keys: None,
        jobs,
        payments,
        auto_top_ups,
        gateway,
        webhooks,
        stop,
    };
    (services, reporters)
}

/// The real edge, and three routes that do what handlers may do.
async fn edge(clock: Clock) -> Edge {
    let (services, reporters) = services(clock);
    let probes = OpenApiRouter::new()
        .routes(routes!(probe_echo))
        .routes(routes!(probe_panic))
        .routes(routes!(probe_slow));
    let guarded = guarded(services.clock.is_manual()).merge(probes);
    let stop = services.stop.clone();
    let router = assemble(open(), guarded, services).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn({
        let stop = stop.clone();
        async move { serve_router(listener, router, stop).await.unwrap() }
    });
    Edge { url, reporters, stop, served }
}

fn manual() -> Clock {
    Clock::manual(Timestamp::parse("2025-01-31T00:00:00Z").unwrap())
}

impl Edge {
    fn open(&self, method: Method, path: &str) -> RequestBuilder {
        Client::new().request(method, format!("{}{path}", self.url))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.open(Method::GET, path).header("x-api-key", "developer")
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.open(Method::POST, path).header("x-api-key", "developer")
    }
}

async fn problem(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let path = response.url().path().to_owned();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(body["instance"], path, "{body}");
    assert_eq!(body["error"], body["detail"], "{body}");
    body
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Probe {
    number: u32,
}

#[utoipa::path(post, path = "/probe/{number}", params(("number" = u32, Query)), request_body = Probe,
    responses((status = 200)))]
async fn probe_echo(
    params::Path(number): params::Path<u32>,
    params::Query(query): params::Query<Probe>,
    body::Json(body): body::Json<Probe>,
) -> axum::Json<Vec<u32>> {
    axum::Json(vec![number, query.number, body.number])
}

#[utoipa::path(get, path = "/probe-panic", responses((status = 200)))]
async fn probe_panic() -> &'static str {
    panic!("the vault code is 1234")
}

#[utoipa::path(get, path = "/probe-slow", responses((status = 200)))]
async fn probe_slow(axum::extract::State(state): axum::extract::State<AppState>) -> &'static str {
    let mut moved = state.clock().changed();
    moved.changed().await.unwrap();
    "done"
}

#[tokio::test]
async fn nothing_is_open_but_what_is_meant_to_be() {
    let edge = edge(manual()).await;
    let document: Value =
        edge.open(Method::GET, "/api/v1/openapi.json").send().await.unwrap().json().await.unwrap();
    let mut opened = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let concrete = path.replace("{number}", "7");
            let response = edge.open(method.clone(), &concrete).send().await.unwrap();
            if response.status() == StatusCode::UNAUTHORIZED {
                assert!(response.headers().contains_key("www-authenticate"));
                problem(response, 401, "no_credentials").await;
                let wrong = edge.open(method, &concrete).header("x-api-key", "guess");
                problem(wrong.send().await.unwrap(), 401, "unknown_api_key").await;
            } else {
                opened.insert(path.as_str());
            }
        }
    }
    assert_eq!(
        opened,
        BTreeSet::from([
            "/health",
            "/health/ready",
            "/api/v1/openapi.json",
            "/api/v1/auth/signin",
            "/api/v1/auth/signout",
            // Known by its signature.
            "/api/v1/billing/stripe/webhook",
        ]),
        "besides the documentation"
    );
}

#[test]
fn every_route_is_described() {
    let (services, _reporters) = services(manual());
    // The router lists its routes nowhere else.
    let printed = format!("{:?}", router(services).unwrap());
    let (_, paths) = printed.split_once("paths: {").unwrap();
    // Quoted and unquoted text take turns; the list ends at the first brace that is not quoted.
    let pieces: Vec<&str> = paths.split('"').collect();
    let routed: BTreeSet<String> = pieces
        .chunks(2)
        .take_while(|piece| !piece[0].contains('}'))
        .filter_map(|piece| piece.get(1).copied())
        .filter(|text| text.starts_with('/') && !text.starts_with("/docs"))
        .filter(|text| !text.contains("__private__axum"))
        .map(ToOwned::to_owned)
        .collect();

    let mut document = open().split_for_parts().1;
    document.merge(guarded(true).split_for_parts().1);
    document.merge(gateway_api::router().split_for_parts().1);
    document.merge(sign_in::doors().split_for_parts().1);
    let described: BTreeSet<String> = document.paths.paths.keys().cloned().collect();
    assert_eq!(routed, described);
}

#[tokio::test]
async fn health_tells_what_the_parts_report() {
    let edge = edge(manual()).await;
    let read = async |path: &str| {
        let response = edge.open(Method::GET, path).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    edge.reporters.outbox.send_replace(Check::Off);
    edge.reporters.gateway.send_replace(Check::Off);
    edge.reporters.mail.send_replace(Check::Off);
    assert_eq!(read("/health").await, (200, json!({"status": "ok"})));
    let all = |status: &str, log: &str, writer: &str, intake: &str| json!({"status": status, "checks": {"log": log, "writer": writer, "intake": intake, "outbox": "off", "gateway": "off", "mail": "off"}});
    assert_eq!(
        read("/health/ready").await,
        (503, all("unavailable", "starting", "starting", "starting"))
    );
    edge.reporters.log.send_replace(Check::Ok);
    edge.reporters.writer.send_replace(Check::Ok);
    edge.reporters.intake.send_replace(Check::Off);
    assert_eq!(read("/health/ready").await, (200, all("ok", "ok", "ok", "off")));
    edge.reporters.intake.send_replace(Check::Reconnecting);
    assert_eq!(read("/health/ready").await, (200, all("ok", "ok", "ok", "reconnecting")));
    edge.reporters.writer.send_replace(Check::Failed);
    assert_eq!(
        read("/health/ready").await,
        (503, all("unavailable", "ok", "failed", "reconnecting"))
    );
}

#[tokio::test]
async fn a_path_or_method_that_is_not_there_is_a_problem() {
    let edge = edge(Clock::system()).await;
    problem(edge.get("/nowhere").send().await.unwrap(), 404, "no_such_path").await;
    let response = edge.post("/health").send().await.unwrap();
    assert_eq!(response.headers()["allow"], "GET,HEAD");
    problem(response, 405, "method_not_allowed").await;
    let response = edge.post("/metrics").send().await.unwrap();
    assert_eq!(response.headers()["allow"], "GET,HEAD");
    problem(response, 405, "method_not_allowed").await;
    let moved = edge.post("/api/v1/admin/clock").json(&json!({"now": "2026-01-01T00:00:00Z"}));
    problem(moved.send().await.unwrap(), 404, "no_such_path").await;
}

#[tokio::test]
async fn a_request_is_read_strictly() {
    let edge = edge(Clock::system()).await;
    let good = || edge.post("/probe/1?number=2");
    let response = good().json(&json!({"number": 3})).send().await.unwrap();
    assert_eq!(response.json::<Vec<u32>>().await.unwrap(), [1, 2, 3]);

    let body = |text: &'static str| good().header("content-type", "application/json").body(text);
    problem(body("{").send().await.unwrap(), 400, "body_not_json").await;
    let told = problem(body(r#"{"number":"3"}"#).send().await.unwrap(), 400, "invalid_parameter");
    assert_eq!(told.await["invalid_parameters"][0]["field"], "number");
    problem(good().body("{}").send().await.unwrap(), 415, "unsupported_media_type").await;
    let form = good().header("content-type", "application/x-www-form-urlencoded").body("number=3");
    problem(form.send().await.unwrap(), 415, "unsupported_media_type").await;
    let long = good().json(&json!({"number": 3, "more": "x".repeat(1000)}));
    problem(long.send().await.unwrap(), 413, "body_too_large").await;

    for (path, field, source) in [
        ("/probe/x?number=2", "number", "path"),
        ("/probe/%ff?number=2", "number", "path"),
        ("/probe/1?number=x", "number", "query"),
        ("/probe/1?number=1&extra=1", "extra", "query"),
        ("/probe/1", "number", "query"),
    ] {
        let response = edge.post(path).json(&json!({"number": 3})).send().await.unwrap();
        let told = problem(response, 400, "invalid_parameter").await;
        let fault = &told["invalid_parameters"][0];
        assert_eq!((&fault["field"], &fault["source"]), (&json!(field), &json!(source)), "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_kept_to_ourselves() {
    let edge = edge(Clock::system()).await;
    let told = problem(edge.get("/probe-panic").send().await.unwrap(), 500, "internal").await;
    assert!(!told.to_string().contains("1234"), "{told}");
    assert_eq!(edge.get("/health").send().await.unwrap().status(), 200, "and life goes on");
}

#[tokio::test]
async fn every_answer_has_an_id_and_is_counted() {
    let edge = edge(Clock::system()).await;
    let first = edge.get("/health").send().await.unwrap().headers()["x-request-id"].clone();
    let second = edge.get("/nowhere").send().await.unwrap().headers()["x-request-id"].clone();
    assert_ne!(first, second);
    let own = edge.get("/health").header("x-request-id", "mine-1");
    assert_eq!(own.send().await.unwrap().headers()["x-request-id"], "mine-1");
    let odd = edge.get("/health").header("x-request-id", "a b");
    assert_ne!(odd.send().await.unwrap().headers()["x-request-id"], "a b");

    let text = edge.get("/metrics").send().await.unwrap().text().await.unwrap();
    for line in [
        r#"http_requests_total{method="GET",route="/health",status="2xx"}"#,
        r#"http_requests_total{method="other",route="other",status="4xx"}"#,
        r#"http_request_duration_seconds_bucket{method="GET",route="/health",le="0.0001"}"#,
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    for role in [Role::TenantAdmin, Role::TenantUser] {
        let request = edge.open(Method::GET, "/metrics").header("x-api-key", role.as_str());
        problem(request.send().await.unwrap(), 403, "forbidden").await;
    }
}

#[tokio::test]
async fn a_developer_moves_a_manual_clock_forward() {
    let clock = manual();
    let edge = edge(clock.clone()).await;
    let mut moved = clock.changed();
    let to = |now: &str| edge.post("/api/v1/admin/clock").json(&json!({ "now": now })).send();

    let answer = to("2025-02-01T01:00:00+01:00").await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"now": "2025-02-01T00:00:00Z"}));
    assert_eq!(*moved.borrow_and_update(), clock.now());
    let told = problem(to("2025-01-31T23:59:59Z").await.unwrap(), 409, "clock_backwards").await;
    assert_eq!(told["detail"], "the clock stands at 2025-02-01T00:00:00Z and only moves forward");
    problem(to("tomorrow").await.unwrap(), 400, "invalid_parameter").await;
    let read: Value = edge.get("/api/v1/admin/clock").send().await.unwrap().json().await.unwrap();
    assert_eq!(read, json!({"now": "2025-02-01T00:00:00Z"}));
    let request = edge
        .open(Method::POST, "/api/v1/admin/clock")
        .header("x-api-key", "tenant_admin")
        .json(&json!({"now": "2026-01-01T00:00:00Z"}));
    problem(request.send().await.unwrap(), 403, "forbidden").await;
}

#[tokio::test]
async fn the_documentation_needs_nobody_else() {
    let edge = edge(Clock::system()).await;
    let page = edge.open(Method::GET, "/docs").send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
    let text = page.text().await.unwrap();
    let links: Vec<_> = text.split('"').filter(|link| link.starts_with("/docs/")).collect();
    assert_eq!(links.len(), 3);
    for link in links {
        let file = edge.open(Method::GET, link).send().await.unwrap();
        assert_eq!(file.status(), 200, "{link}");
        let tag = file.headers()["etag"].clone();
        let again = edge.open(Method::GET, link).header("if-none-match", tag);
        assert_eq!(again.send().await.unwrap().status(), 304, "{link}");
    }
    let document = edge.open(Method::GET, "/api/v1/openapi.json").send().await.unwrap();
    let document: Value = document.json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let metrics = &document["paths"]["/metrics"]["get"];
    assert_eq!(
        metrics["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"],
        "#/components/schemas/Problem"
    );
    assert!(document["components"]["schemas"]["Problem"].is_object());
    assert_eq!(document["security"], json!([{"api_key": []}, {"token": []}, {"session": []}]));
    assert_eq!(document["paths"]["/health"]["get"]["security"], json!([{}]));
}

#[tokio::test]
async fn stopping_lets_open_requests_end() {
    let clock = manual();
    let edge = edge(clock.clone()).await;
    let slow = tokio::spawn(edge.get("/probe-slow").send());
    // The handler is there once it listens to the clock.
    while clock.listeners() == 0 {
        tokio::task::yield_now().await;
    }
    edge.stop.cancel();
    clock.advance_to(clock.now().plus_seconds(1)).unwrap();
    assert_eq!(slow.await.unwrap().unwrap().text().await.unwrap(), "done");
    edge.served.await.unwrap();
    assert!(edge.url.len() > 7 && Client::new().get(&edge.url).send().await.is_err());
}
