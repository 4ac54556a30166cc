//! Endpoints of webhooks belong to one tenant: nobody else sees, changes or feeds them.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::calls::NOON;
use crate::support::http::Answer;
use crate::support::people::token;
use crate::support::receiver::Receiver;
use crate::support::service::{Service, Setup};

const ENDPOINTS: &str = "/api/v1/webhooks/endpoints";

async fn service() -> Service {
    let setup = Setup::new().manual_clock(NOON);
    setup.variable("TALLYBOOK__WEBHOOKS__ALLOW_PRIVATE_ADDRESSES", "true").start().await
}

fn administrator(tenant: &str) -> String {
    token(
        &json!({"id": format!("{tenant}-chief"), "role": "tenant_admin", "organizationId": tenant}),
    )
}

fn ask(service: &Service, tenant: &str, method: Method, path: &str) -> RequestBuilder {
    service.ask_as_nobody(method, path).bearer_auth(administrator(tenant))
}

async fn make(service: &Service, tenant: &str, draft: &Value) -> Answer {
    Answer::to(ask(service, tenant, Method::POST, ENDPOINTS).json(draft)).await
}

async fn pay_in(service: &Service, tenant: &str) -> u64 {
    let path = format!("/api/v1/admin/wallets/{tenant}/top-ups");
    let body = json!({"amount": 1000, "reference": tenant});
    service.send(&path, &body).await.expect(201).sequence()
}

#[tokio::test]
async fn another_tenants_endpoint_is_not_there() {
    let inbox = Receiver::start().await;
    let service = service().await;
    let draft = json!({"url": inbox.url("/acme")});
    let endpoint = make(&service, "acme", &draft).await.expect(201).json();
    assert_eq!(endpoint["organizationId"], "acme");
    let others = json!({"url": inbox.url("/"), "organizationId": "acme"});
    make(&service, "umbrella", &others).await.expect(403);
    let event = pay_in(&service, "acme").await;
    inbox.gets(1).await;

    let path = format!("{ENDPOINTS}/{}", endpoint["id"].as_str().expect("an id"));
    let nowhere = format!("{ENDPOINTS}/{}", "0".repeat(32));
    let routes = [
        (Method::GET, String::new()),
        (Method::PUT, String::new()),
        (Method::DELETE, String::new()),
        (Method::POST, "/secret/rotate".to_owned()),
        (Method::POST, "/test".to_owned()),
        (Method::GET, "/deliveries".to_owned()),
        (Method::POST, format!("/deliveries/{event}/retry")),
    ];
    let head = service.head().await;
    for (method, rest) in &routes {
        let mut answers = Vec::new();
        for path in [&path, &nowhere] {
            let request = ask(&service, "umbrella", method.clone(), &format!("{path}{rest}"));
            let request = if *method == Method::PUT {
                request.json(&json!({"enabled": false}))
            } else {
                request
            };
            let mut answer = Answer::to(request).await.expect(404).json();
            answer["instance"] = Value::Null;
            answers.push(answer);
        }
        assert_eq!(answers[0], answers[1], "{method} {rest}: it cannot even be guessed");
        let user = token(&json!({"id": "ann", "role": "tenant_user", "organizationId": "acme"}));
        let request = service.ask_as_nobody(method.clone(), &format!("{path}{rest}"));
        Answer::to(request.bearer_auth(user)).await.expect(403);
    }
    let list = Answer::to(ask(&service, "umbrella", Method::GET, ENDPOINTS)).await.expect(200);
    assert_eq!(list.json(), json!({"endpoints": []}));
    let named = format!("{ENDPOINTS}?organizationId=acme");
    Answer::to(ask(&service, "umbrella", Method::GET, &named)).await.expect(403);
    assert_eq!(service.head().await, head, "nothing changed");
    let list = Answer::to(ask(&service, "acme", Method::GET, ENDPOINTS)).await.expect(200).json();
    assert_eq!(list["endpoints"][0]["id"], endpoint["id"]);
    assert_eq!(list["endpoints"][0]["secret"], Value::Null);
}

#[tokio::test]
async fn each_endpoint_is_told_what_it_asked_for_of_its_own_tenant() {
    let inbox = Receiver::start().await;
    let service = service().await;
    let types = json!(["wallet.topped_up"]);
    for (tenant, types) in
        [("acme", &types), ("umbrella", &types), ("acme", &json!(["bill.posted"]))]
    {
        let draft = json!({"url": inbox.url(&format!("/{tenant}")), "types": types});
        make(&service, tenant, &draft).await.expect(201);
    }
    let all = json!({"url": inbox.url("/all"), "types": types});
    let all = service.send(ENDPOINTS, &all).await.expect(201).json();
    assert_eq!(all["organizationId"], Value::Null);
    let off = json!({"url": inbox.url("/off"), "enabled": false});
    make(&service, "acme", &off).await.expect(201);

    pay_in(&service, "acme").await;
    pay_in(&service, "umbrella").await;
    let mut seen: Vec<(String, String)> = inbox
        .gets(4)
        .await
        .iter()
        .map(|one| {
            let tenant = one.json()["data"]["organizationId"].as_str().expect("a name").to_owned();
            (one.path.clone(), tenant)
        })
        .collect();
    seen.sort();
    let own = |path: &str, tenant: &str| (path.to_owned(), tenant.to_owned());
    let wanted = [
        own("/acme", "acme"),
        own("/all", "acme"),
        own("/all", "umbrella"),
        own("/umbrella", "umbrella"),
    ];
    assert_eq!(seen, wanted);
    // An administrator sees nothing of the one that gets everything.
    let list = Answer::to(ask(&service, "acme", Method::GET, ENDPOINTS)).await.expect(200);
    assert!(!list.text.contains("/all"), "{}", list.text);
}

#[tokio::test]
async fn a_tenant_has_fifty_endpoints_at_most() {
    let service = service().await;
    let draft = json!({"url": "https://example.com/hook"});
    let mut last = Value::Null;
    for _ in 0..50 {
        last = make(&service, "acme", &draft).await.expect(201).json();
    }
    let refused = make(&service, "acme", &draft).await.expect(409).json();
    assert_eq!(refused["code"], "too_many_webhooks");
    make(&service, "umbrella", &draft).await.expect(201);
    let path = format!("{ENDPOINTS}/{}", last["id"].as_str().expect("an id"));
    Answer::to(ask(&service, "acme", Method::DELETE, &path)).await.expect(200);
    make(&service, "acme", &draft).await.expect(201);
}
