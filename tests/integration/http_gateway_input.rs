//! What a gateway's administrator sends: forms and JSON, read alike, and refused by the name of the
//! field that is at fault.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::http_gateway_api::{FORM, QUOTA, encoded, post, service};
use crate::support::http::Answer;
use crate::support::service::{Service, Setup};

#[tokio::test]
async fn json_and_forms_that_do_not_say_so_are_read_as_well() {
    let service = service().await;
    let ask = |path: &str| service.ask(Method::POST, &format!("{QUOTA}{path}"));
    let both = json!({"user_id": "ann", "consumer": "ann", "quota": "1234567890123.123457"});
    let answer = Answer::to(ask("/refresh").json(&both)).await.expect(200);
    assert_eq!(answer.number("quota"), "1234567890123.123457", "not through a float");
    let number = r#"{"consumer": "ann", "value": -1234567890123.123456}"#;
    let request = ask("/delta").header("content-type", "application/json").body(number);
    assert_eq!(Answer::to(request).await.expect(200).number("new_quota"), "0.000001");
    let answer = Answer::to(ask("/delta").body("consumer=ann&value=1e2")).await.expect(200);
    assert_eq!(answer.number("new_quota"), "100.000001");
    let request = ask("/delta").header("content-type", format!("{FORM}; charset=utf-8"));
    let answer = Answer::to(request.body("consumer=ann&value=-0.000001")).await.expect(200);
    assert_eq!(answer.number("new_quota"), "100");
}

/// What is wrong with a request, and the field that is told.
async fn refused_by_name(service: &Service, request: RequestBuilder, field: &str, what: &str) {
    let head = service.head().await;
    let problem = Answer::to(request).await.expect(400).json();
    assert_eq!(problem["code"], "ai-quota.invalid_params", "{what}");
    assert_eq!(problem["invalid_parameters"][0]["field"], field, "{what}: {problem}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    let says = detail.starts_with("Request denied by ai quota check. ") && detail.contains(field);
    assert!(says, "{what}: {detail}");
    assert_eq!(service.head().await, head, "{what} was recorded");
}

#[tokio::test]
async fn a_faulty_request_is_refused_with_the_name_of_the_field() {
    let service = Setup::new().variable("TALLYBOOK__LIMITS__BODY_BYTES_MAX", "1000").start().await;
    let too_long = "x".repeat(257);
    let long_name = format!("user_id={too_long}&#=1");
    for (path, number) in [
        ("/refresh", "quota"),
        ("/delta", "value"),
        ("/used/refresh", "quota"),
        ("/used/delta", "value"),
    ] {
        for (body, field) in [
            ("user_id=ann", "#"),
            ("user_id=ann&#=", "#"),
            ("user_id=ann&#=x", "#"),
            ("user_id=ann&#=%2B%2B1", "#"),
            ("user_id=ann&#=0x10", "#"),
            ("user_id=ann&#=1,5", "#"),
            ("user_id=ann&#=0.0000001", "#"),
            ("user_id=ann&#=1e300", "#"),
            ("user_id=ann&#=9223372036854.775808", "#"),
            ("user_id=ann&#=NaN", "#"),
            ("user_id=ann&#=1&#=1", "#"),
            ("user_id=ann&#=%31%", "#"),
            ("#=1", "user_id"),
            ("user_id=&#=1", "user_id"),
            ("consumer=&#=1", "consumer"),
            ("user_id=a%00b&#=1", "user_id"),
            ("user_id=%ff&#=1", "user_id"),
            (&long_name, "user_id"),
            ("user_id=ann&user_id=bob&#=1", "user_id"),
            ("user_id=ann&consumer=bob&#=1", "consumer"),
            ("user_id=ann&#=1&colour=red", "colour"),
        ] {
            let (body, field) = (body.replace('#', number), field.replace('#', number));
            let request = service.ask(Method::POST, &format!("{QUOTA}{path}"));
            let request = request.header("content-type", FORM).body(body.clone());
            refused_by_name(&service, request, &field, &format!("{path} {body}")).await;
        }
        for (body, field) in [
            (json!({"user_id": "ann"}), number),
            (json!({"user_id": "ann", number: null}), number),
            (json!({"user_id": "ann", number: true}), number),
            (json!({"user_id": "ann", number: [1]}), number),
            (json!({number: 1}), "user_id"),
            (json!({"user_id": null, number: 1}), "user_id"),
            (json!({"user_id": 7, number: 1}), "user_id"),
            (json!({"user_id": {"a": 1}, number: 1}), "user_id"),
            (json!({"consumer": "", number: 1}), "consumer"),
            (json!({"user_id": "ann", "consumer": "bob", number: 1}), "consumer"),
            (json!({"user_id": "ann", number: 1, "colour": "red"}), "colour"),
        ] {
            let request = service.ask(Method::POST, &format!("{QUOTA}{path}")).json(&body);
            refused_by_name(&service, request, field, &format!("{path} {body}")).await;
        }
        let good = [("user_id", "ann"), (number, "1")];
        let with_query = post(&service, &format!("{path}?colour=red"), &good);
        Answer::to(with_query).await.expect(400);
        for media_type in ["text/plain", "multipart/form-data", "application/jsonp"] {
            let request = service.ask(Method::POST, &format!("{QUOTA}{path}"));
            let request = request.header("content-type", media_type).body(encoded(&good));
            Answer::to(request).await.expect(415);
        }
        let long = [("user_id", "ann"), (number, &*"1".repeat(1_000))];
        Answer::to(post(&service, path, &long)).await.expect(413);
        let not_utf8 = [b"user_id=\xff&", number.as_bytes(), b"=1"].concat();
        let request = service.ask(Method::POST, &format!("{QUOTA}{path}"));
        Answer::to(request.header("content-type", FORM).body(not_utf8)).await.expect(400);
    }
    for (query, field) in [
        ("", "user_id"),
        ("?user_id=", "user_id"),
        ("?user_id=ann&consumer=bob", "consumer"),
        ("?consumer=%4", "consumer"),
        ("?user_id=ann&quota=1", "quota"),
    ] {
        for path in ["", "/used"] {
            let path = format!("{QUOTA}{path}{query}");
            let request = service.ask(Method::GET, &path);
            refused_by_name(&service, request, field, &path).await;
        }
    }
}
