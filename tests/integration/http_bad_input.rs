//! Bad input gets a clear error that names the field, and changes nothing: for every route that
//! writes, everything that can be wrong with a request.

mod payment_routes;
mod people_routes;
mod recharge_routes;
mod tenant_routes;
mod wallet_routes;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::{Answer, call};
use crate::support::service::Service;
use crate::support::stripe::Stripe;
use crate::support::stripe_webhooks::SECRET;

/// A route that writes, with a body that it takes.
struct Route {
    method: Method,
    path: &'static str,
    body: Value,
    /// The fields that must be there.
    required: &'static [&'static str],
    /// Values that a field must not have, by the field's JSON pointer.
    wrong: Vec<(&'static str, Vec<Value>)>,
    /// Whether it takes any name as a field.
    is_map: bool,
}

const BODY_BYTES_MAX: usize = 100_000;

fn too_long() -> Value {
    json!("x".repeat(257))
}

/// What no name may be.
fn no_names() -> Vec<Value> {
    vec![json!(7), json!(true), json!([]), json!({}), json!("a\u{0}b"), json!("\u{7f}"), too_long()]
}

/// What no count may be.
fn no_counts() -> Vec<Value> {
    let mut wrong = vec![json!(-1), json!(1.5), json!("7"), json!(true), json!([]), json!({})];
    wrong.extend([json!(1e30), json!(-1e300), json!(1_000_000_000_001_u64), json!(u64::MAX)]);
    wrong
}

fn no_moments() -> Vec<Value> {
    let mut wrong = vec![json!(7), json!(true), json!([]), json!("noon"), json!("2025-03-01")];
    wrong.extend([
        json!("2025-02-30T00:00:00Z"),
        json!("2025-03-01T12:00:00"),
        json!("+12025-03-01T12:00:00Z"),
    ]);
    wrong.extend([json!("9999-12-31T23:59:59-12:00"), json!("0000-01-01T00:00:00+12:00")]);
    wrong
}

fn no_amounts() -> Vec<Value> {
    let mut wrong = vec![json!(0), json!("x"), json!(""), json!(true), json!(null), json!([])];
    wrong.extend([
        json!(1e30),
        json!(1e300),
        json!(1e-30),
        json!("1,5"),
        json!(" 1"),
        json!("0x10"),
    ]);
    wrong
}

fn with_more(mut wrong: Vec<Value>, more: Value) -> Vec<Value> {
    match more {
        Value::Array(more) => wrong.extend(more),
        other => panic!("no list: {other}"),
    }
    wrong
}

fn post(
    path: &'static str,
    body: Value,
    required: &'static [&'static str],
    wrong: Vec<(&'static str, Vec<Value>)>,
) -> Route {
    Route { method: Method::POST, path, body, required, wrong, is_map: false }
}

fn routes() -> Vec<Route> {
    let mut all = admin_routes();
    all.extend(wallet_routes::wallet_routes());
    all.push(consumption());
    all.push(webhook());
    all.extend(payment_routes::payment_routes());
    all.extend(recharge_routes::recharge_routes());
    all.extend(tenant_routes::tenant_routes());
    all.extend(people_routes::people_routes());
    all
}

fn consumption() -> Route {
    post(
        "/api/v1/consumption",
        call("bad", 1000, 500),
        &["requestId", "organizationId", "userId", "model", "timestamp", "usage"],
        vec![
            ("/requestId", no_names()),
            ("/organizationId", no_names()),
            ("/userId", no_names()),
            ("/model", no_names()),
            ("/assistantType", no_names()),
            ("/documentId", no_names()),
            ("/conversationId", no_names()),
            ("/finishReason", no_names()),
            (
                "/timestamp",
                with_more(
                    no_moments(),
                    json!(["1999-12-31T23:59:59Z", "2025-03-02T12:00:01Z", "9999-12-31T23:59:59Z"]),
                ),
            ),
            ("/usage", vec![json!(7), json!("x"), json!([]), json!(true)]),
            ("/usage/promptTokens", with_more(no_counts(), json!([null]))),
            ("/usage/completionTokens", no_counts()),
            ("/usage/totalTokens", no_counts()),
            ("/usage/cacheReadTokens", with_more(no_counts(), json!([1001]))),
            ("/usage/cacheWriteTokens", with_more(no_counts(), json!([1001]))),
            ("/usage/reasoningTokens", with_more(no_counts(), json!([501]))),
            ("/usage/colour", vec![json!(1)]),
            ("/serviceTier", vec![json!("gold"), json!(7), json!([])]),
            ("/requestType", vec![json!("sometimes"), json!(7)]),
            ("/responseTimeMs", no_counts()),
            ("/characterCount", no_counts()),
            ("/toolCount", vec![json!(-1), json!(4_294_967_296_u64), json!(1.5)]),
            ("/hasToolCalls", vec![json!("yes"), json!(1)]),
            ("/cost", vec![json!(0)]),
        ],
    )
}

fn webhook() -> Route {
    post(
        "/api/v1/webhooks/endpoints",
        json!({"organizationId": "acme", "url": "https://example.com/hook", "description": "d"}),
        &["url"],
        vec![
            ("/organizationId", no_names()),
            (
                "/url",
                vec![
                    json!(null),
                    json!(7),
                    json!(""),
                    json!("nonsense"),
                    json!("ftp://example.com/"),
                    json!("http://127.0.0.1/"),
                    json!("https://user:pass@example.com/"),
                    json!(format!("https://example.com/{}", "x".repeat(1000))),
                ],
            ),
            ("/types", vec![json!(7), json!("bill.posted"), json!(null), json!({})]),
            ("/enabled", vec![json!("yes"), json!(1)]),
            (
                "/description",
                vec![json!(7), json!(null), json!("x".repeat(1001)), json!("a\u{0}b")],
            ),
            ("/secret", vec![json!(7), json!(""), json!("whsec_"), json!("secret"), json!([])]),
        ],
    )
}

fn admin_routes() -> Vec<Route> {
    vec![
        post(
            "/api/v1/admin/quota/grants",
            json!({"user_id": "ann", "amount": 5, "expiry_date": "2025-06-01T00:00:00Z", "reason": "r"}),
            &["user_id", "amount", "expiry_date"],
            vec![
                ("/user_id", with_more(no_names(), json!([null, ""]))),
                (
                    "/amount",
                    with_more(no_amounts(), json!([-1, "-0.5", 1e-7, 9_300_000_000_000_u64])),
                ),
                ("/expiry_date", with_more(no_moments(), json!([null]))),
                ("/reason", vec![json!(7), json!(null), json!("x".repeat(1001)), json!("a\u{0}b")]),
            ],
        ),
        Route {
            is_map: true,
            ..post(
                "/api/v1/admin/prices",
                json!({"m": {"input_cost_per_token": 1e-6}}),
                &[],
                vec![
                    ("/m", vec![json!(7), json!("x"), json!([]), json!(null)]),
                    (
                        "/m/input_cost_per_token",
                        vec![json!(-1), json!("x"), json!(true), json!([]), json!(1e300)],
                    ),
                    ("/m/cache_read_input_token_cost", vec![json!(-1e-9), json!({})]),
                ],
            )
        },
        post(
            "/api/v1/admin/tenants",
            json!({"orgId": "acme", "name": "Acme"}),
            &["orgId", "name"],
            vec![
                ("/orgId", with_more(no_names(), json!([null, ""]))),
                ("/name", with_more(no_names(), json!([null, ""]))),
            ],
        ),
        Route {
            method: Method::PUT,
            ..post(
                "/api/v1/admin/tenants/acme/draw-rule",
                json!({"rule": "per_token", "weights": {"gpt-4": 2}}),
                &["rule"],
                vec![
                    ("/rule", vec![json!("sometimes"), json!(7), json!(null), json!("")]),
                    (
                        "/weights",
                        vec![json!(7), json!([]), json!({"gpt-4": -1}), json!({"gpt-4": 1e5})],
                    ),
                    (
                        "/weights",
                        vec![json!({"gpt-4": "x"}), json!({"": 1}), json!({"a\u{0}b": 1})],
                    ),
                ],
            )
        },
        post(
            "/api/v1/admin/clock",
            json!({"now": "2025-03-01T12:00:01Z"}),
            &["now"],
            vec![("/now", with_more(no_moments(), json!([null])))],
        ),
    ]
}

async fn service() -> Service {
    let max = BODY_BYTES_MAX.to_string();
    let setup = Stripe::start().await.customer(SECRET);
    let setup = setup.manual_clock(NOON).variable("TALLYBOOK__LIMITS__BODY_BYTES_MAX", &max);
    let service = setup.start().await;
    // Something is there already, so that nothing but the request itself can be at fault.
    service.send("/api/v1/consumption", &call("there", 1, 1)).await.expect(201);
    let body = json!({
        "name": "there", "type": "periodic", "amount": 1, "periodic_expr": "0 0 1 1 *",
        "condition": "false()",
    });
    service.send("/api/v1/strategies", &body).await.expect(201);
    service
}

/// Refused with this status, as a problem, with nothing recorded.
async fn refused(service: &Service, request: RequestBuilder, status: u16, what: &str) -> Value {
    let before = service.head().await;
    let answer = Answer::to(request).await;
    assert_eq!(answer.status, status, "{what}: {}", answer.text);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{what}");
    let is_text = |name: &str| problem[name].as_str().is_some_and(|text| !text.is_empty());
    assert!(is_text("code") && is_text("detail") && is_text("title"), "{what}: {problem}");
    assert!(answer.text.len() < 2000, "{what}: {} bytes", answer.text.len());
    assert_eq!(service.head().await, before, "{what} was recorded");
    problem
}

/// Refused, naming the field at the pointer or the nearest thing around it.
async fn refused_by_name(service: &Service, request: RequestBuilder, pointer: &str, what: &str) {
    let problem = refused(service, request, 400, what).await;
    let wanted = pointer.trim_start_matches('/').replace('/', ".");
    let found = problem["invalid_parameters"][0]["field"].as_str().unwrap_or_default();
    let is_below =
        found.strip_prefix(&wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    assert!(is_below, "{what} must name `{wanted}`: {problem}");
    // Some details are sentences, as clients know them.
    let detail = problem["detail"].as_str().unwrap_or_default().to_lowercase();
    let last = wanted.rsplit('.').next().unwrap_or_default().to_lowercase();
    assert!(detail.contains(&last), "{what}: {detail}");
}

fn ask(service: &Service, route: &Route, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let request = service.ask(route.method.clone(), route.path);
    request.header("content-type", "application/json").body(body)
}

#[tokio::test]
async fn a_field_with_a_wrong_value_is_named() {
    let service = service().await;
    for route in routes() {
        for (pointer, values) in &route.wrong {
            for value in values {
                let mut body = route.body.clone();
                let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
                body.pointer_mut(parent).expect("a parent")[name] = value.clone();
                let mut shown = value.to_string();
                shown.truncate(60);
                let what = format!("{} with {pointer} = {shown}", route.path);
                refused_by_name(&service, ask(&service, &route, body.to_string()), pointer, &what)
                    .await;
            }
        }
    }
}

#[tokio::test]
async fn a_field_that_is_missing_unknown_or_there_twice_is_named() {
    let service = service().await;
    for route in routes() {
        for field in route.required {
            let mut body = route.body.clone();
            body.as_object_mut().expect("an object").remove(*field);
            let what = format!("{} without {field}", route.path);
            refused_by_name(&service, ask(&service, &route, body.to_string()), field, &what).await;
        }
        if !route.is_map {
            let mut body = route.body.clone();
            body["colour"] = json!("red");
            let what = format!("{} with a colour", route.path);
            refused_by_name(&service, ask(&service, &route, body.to_string()), "colour", &what)
                .await;
        }
        for (field, value) in route.body.as_object().expect("an object") {
            let text = route.body.to_string();
            let twice = format!("{{{}:{value},{}", json!(field), &text[1..]);
            let what = format!("{} with {field} twice", route.path);
            refused_by_name(&service, ask(&service, &route, twice), field, &what).await;
        }
    }
    let path = "/api/v1/admin/tenants/acme/draw-rule";
    let twice = r#"{"rule": "per_token", "weights": {"gpt-4": 1, "gpt-4": 2}}"#;
    let request = service.ask(Method::PUT, path).header("content-type", "application/json");
    refused_by_name(&service, request.body(twice), "weights", "a weight twice").await;
}

#[tokio::test]
async fn a_body_that_is_not_what_it_must_be_is_refused_as_a_whole() {
    let service = service().await;
    let mut all = routes();
    all.push(post("/api/v1/consumption/batch", json!([call("bad", 1, 1)]), &[], Vec::new()));
    all.push(post("/api/v1/events", json!({"specversion": "1.0"}), &[], Vec::new()));
    for route in all {
        let Route { path, ref body, .. } = route;
        let text = body.to_string();
        let other_kind = if body.is_array() { "{}" } else { "[]" };
        let not_utf8 = [&text.as_bytes()[..2], b"\xff\xfe", &text.as_bytes()[2..]].concat();
        for (what, bytes) in [
            ("an empty body", Vec::new()),
            ("white space", b" \n\t".to_vec()),
            ("half an object", text.as_bytes()[..text.len() - 1].to_vec()),
            ("something behind", format!("{text} {text}").into_bytes()),
            ("no JSON", b"requestId=1&model=gpt-4".to_vec()),
            ("a comma too many", text.replacen('"', ",\"", 1).into_bytes()),
            ("no UTF-8", not_utf8),
            ("a byte order mark", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
            (
                "a raw control character",
                text.replacen(":\"", ":\"\u{1}", 1)
                    .replacen(":{", ":\u{1}{", 1)
                    .replacen(":5", ":\u{1}5", 1)
                    .into_bytes(),
            ),
            ("another kind", other_kind.as_bytes().to_vec()),
            ("null", b"null".to_vec()),
            ("a number", b"7".to_vec()),
            ("a text", b"\"{}\"".to_vec()),
            ("NaN", text.replacen(':', ":NaN,\"x\":", 1).into_bytes()),
            (
                "deep",
                format!("{{\"deep\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000)).into_bytes(),
            ),
            ("deep and open", "[".repeat(10_000).into_bytes()),
            ("deep objects", "{\"a\":".repeat(10_000).into_bytes()),
        ] {
            let what = format!("{path} with {what}");
            refused(&service, ask(&service, &route, bytes), 400, &what).await;
        }
        for media_type in
            ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]
        {
            let request =
                service.ask(route.method.clone(), path).header("content-type", media_type);
            let what = format!("{path} as `{media_type}`");
            refused(&service, request.body(text.clone()), 415, &what).await;
        }
        let request = service.ask(route.method.clone(), path).body(text.clone());
        refused(&service, request, 415, &format!("{path} as nothing")).await;
        let limit = if path == "/api/v1/admin/prices" { 16 << 20 } else { BODY_BYTES_MAX };
        let padded = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
        let what = format!("{path} with a byte too many");
        refused(&service, ask(&service, &route, padded(limit + 1)), 413, &what).await;
        for method in [Method::DELETE, Method::PATCH] {
            let deletes = [
                "/api/v1/strategies/1",
                "/api/v1/admin/tenants/acme",
                "/api/v1/organization/users/ann",
            ];
            if method == Method::DELETE && deletes.contains(&path) {
                continue;
            }
            let request = service.ask(method.clone(), path).json(body);
            let problem = refused(&service, request, 405, &format!("{method} {path}")).await;
            assert_eq!(problem["code"], "method_not_allowed");
        }
    }
    // Nothing was wrong but what each case says.
    for route in routes() {
        let text = route.body.to_string();
        let limit = format!("{text}{}", " ".repeat(BODY_BYTES_MAX - text.len()));
        let answer = Answer::to(ask(&service, &route, limit)).await;
        assert!((200..300).contains(&answer.status), "{}: {}", route.path, answer.text);
    }
}

#[tokio::test]
async fn a_faulty_item_is_refused_alone_however_odd_it_is() {
    let service = service().await;
    let head = service.head().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for item in ["7", "null", "\"x\"", "[]", "{}", deep.as_str(), r#"{"requestId":[[[[[]]]]]}"#] {
        let request = service.ask(Method::POST, "/api/v1/consumption/batch");
        let request = request.header("content-type", "application/json");
        let answer = Answer::to(request.body(format!("[{item}]"))).await.expect(200);
        let report = answer.json();
        assert_eq!(report["results"][0]["status"], 400, "{}", answer.text);
        let error = &report["results"][0]["error"];
        assert!(error["field"].as_str().is_some_and(|field| !field.is_empty()), "{}", answer.text);
    }
    assert_eq!(service.head().await, head);
}

#[tokio::test]
async fn a_path_a_query_or_a_header_with_a_wrong_value_is_refused() {
    let service = service().await;
    let too_long = "x".repeat(257);
    for route in routes() {
        let body = route.body.to_string();
        if route.path.contains("/acme") {
            for (tenant, status) in [
                ("%00", 400),
                ("%ff", 400),
                ("%E2%80", 400),
                (&*too_long, 400),
                ("", 400),
                ("a/b", 404),
            ] {
                let path = route.path.replace("acme", tenant);
                let status = if path.ends_with('/') { 404 } else { status };
                let request = service.ask(route.method.clone(), &path).json(&route.body);
                let problem = refused(&service, request, status, &path).await;
                if status == 400 {
                    assert_eq!(problem["invalid_parameters"][0]["field"], "tenant", "{problem}");
                    assert_eq!(problem["invalid_parameters"][0]["source"], "path", "{problem}");
                }
            }
        }
        let path = format!("{}?colour=red", route.path);
        let request = service.ask(route.method.clone(), &path).json(&route.body);
        refused_by_name(&service, request, "colour", &path).await;
        if route.path != "/api/v1/consumption" && route.path != "/api/v1/admin/clock" {
            for key in [String::new(), "k".repeat(256), "ä".to_owned()] {
                let request = ask(&service, &route, body.clone()).header("Idempotency-Key", key);
                let what = format!("{} with a wrong key", route.path);
                refused_by_name(&service, request, "Idempotency-Key", &what).await;
            }
        }
    }
    let path = "/api/v1/admin/prices";
    let map = json!({"m": {"input_cost_per_token": 1e-6}});
    for (query, field) in [
        ("effective_at=yesterday", "effective_at"),
        ("effective_at=2025-03-01T12:00:00+01:00", "effective_at"),
        ("effective_at=", "effective_at"),
        ("effective_at=9999-12-31T23:59:59-12:00", "effective_at"),
        (&format!("source={}", "x".repeat(1001)), "source"),
        ("source=a%00b", "source"),
        ("source=%ff", "source"),
        ("source=a&source=b", "source"),
    ] {
        let request = service.ask(Method::POST, &format!("{path}?{query}")).json(&map);
        refused_by_name(&service, request, field, query).await;
    }
    for map in [
        "{}",
        r#"{"m": {}}"#,
        r#"{"m": {"mode": "chat"}}"#,
        r#"{"m":{"input_cost_per_token":null}}"#,
    ] {
        let request = service.ask(Method::POST, path).header("content-type", "application/json");
        refused_by_name(&service, request.body(map), "body", map).await;
    }
    let request = service.ask(Method::POST, "/api/v1/admin/clock");
    let back = request.json(&json!({"now": "2025-03-01T11:59:59Z"}));
    let problem = refused(&service, back, 409, "a clock that goes back").await;
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("clock")), "{problem}");
}

#[tokio::test]
async fn every_route_that_reads_refuses_parameters_that_it_does_not_know() {
    let service = service().await;
    let described = service.read("/api/v1/openapi.json").await.expect(200).json();
    let mut walked = 0;
    for (path, operations) in described["paths"].as_object().expect("paths") {
        let Some(operation) = operations.get("get") else { continue };
        if operation["security"] == json!([{}]) {
            continue;
        }
        let path = path.replace("{tenant}", "acme").replace("{endpoint}", &"0".repeat(32));
        let request = service.ask(Method::GET, &format!("{path}?colour=red"));
        refused_by_name(&service, request, "colour", &path).await;
        for parameter in operation["parameters"].as_array().unwrap_or(&Vec::new()) {
            let name = parameter["name"].as_str().expect("a name");
            if parameter["in"] == "query" {
                for query in
                    [format!("{name}=%ff"), format!("{name}=%4"), format!("{name}=1&{name}=1")]
                {
                    let request = service.ask(Method::GET, &format!("{path}?{query}"));
                    refused_by_name(&service, request, name, &format!("{path}?{query}")).await;
                }
            }
        }
        walked += 1;
    }
    assert!(walked > 15, "{walked} routes");
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=-1", "limit"),
        ("minTokens=-1", "minTokens"),
        ("maxTokens=1.5", "maxTokens"),
        ("startDate=2025-03-01", "startDate"),
        ("cursor=x", "cursor"),
        ("organizationId=", "organizationId"),
        ("model=%00", "model"),
    ] {
        let path = format!("/api/v1/consumption/history?{query}");
        refused_by_name(&service, service.ask(Method::GET, &path), field, &path).await;
    }
    for (query, field) in [
        ("period=week", "period"),
        ("groupBy=colour", "groupBy"),
        ("startDate=2025-02-30", "startDate"),
        ("startDate=2025-03-02&endDate=2025-03-01", "endDate"),
        ("endDate=noon", "endDate"),
    ] {
        let path = format!("/api/v1/consumption/aggregates?{query}");
        refused_by_name(&service, service.ask(Method::GET, &path), field, &path).await;
    }
}
