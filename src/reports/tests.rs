//! What is read from the wire, field for field, and what is refused, by name.

use proptest::prelude::*;
use schemas::{
    Command, ConsumptionReport, RequestReport, RequestType, ResponseReport, ServiceTier, Usage,
};
use serde_json::{Value, json};

use super::*;

const NOW: &str = "2025-03-01T12:00:00Z";

fn now() -> Timestamp {
    Timestamp::parse(NOW).expect("a time")
}

fn request_message() -> Value {
    json!({
        "requestId": "550e8400-e29b-41d4-a716-446655440000",
        "timestamp": "2025-03-01T11:59:00Z",
        "userId": "user-1", "organizationId": "org-1", "model": "google/gemini-2.5-pro",
        "messages": [{"role": "user", "content": "secret"}, [[["deep"]]]],
        "systemPrompt": "secret", "tools": [{"type": "function"}],
        "characterCount": 1234, "tokenCount": 308, "requestType": "stream",
        "toolCount": 2, "messageCount": 5,
        "temperature": 0.7, "maxTokens": 2000, "topP": 1.0,
        "assistantType": "word", "documentId": "doc-1", "conversationId": null
    })
}

fn response_message() -> Value {
    json!({
        "requestId": "550e8400-e29b-41d4-a716-446655440000",
        "timestamp": "2025-03-01T11:59:05.234Z",
        "userId": "user-1", "organizationId": "org-1", "model": "google/gemini-2.5-pro",
        "response": "secret", "characterCount": 567, "tokenCount": 142, "finishReason": "stop",
        "usage": {"promptTokens": 308, "completionTokens": 142, "totalTokens": 450},
        "responseTimeMs": 5234, "hasToolCalls": true, "toolCallCount": 2,
        "assistantType": "word", "documentId": "doc-1"
    })
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// `value` with what stands at `pointer` replaced or added; removed when `new` is `Null`.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = value.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    if new.is_null() {
        parent.remove(key);
    } else {
        parent.insert(key.to_owned(), new);
    }
    value
}

fn request(value: &Value) -> Result<RequestReport, ReportError> {
    parse_request(&bytes(value), now())
}

fn response(value: &Value) -> Result<ResponseReport, ReportError> {
    parse_response(&bytes(value), now())
}

fn consumption(value: &Value) -> Result<ConsumptionReport, ReportError> {
    parse_consumption(&bytes(value), now())
}

#[track_caller]
fn refuses<T: std::fmt::Debug>(
    outcome: Result<T, ReportError>,
    field: &str,
    code: ReportCode,
    words: &str,
) {
    let error = outcome.expect_err("must be refused");
    assert_eq!((error.field.as_str(), error.code), (field, code), "{error}");
    assert!(error.reason.contains(words), "{error}");
}

#[test]
fn the_contract_s_request_is_read_field_for_field() {
    let report = request(&request_message()).expect("a request");
    assert_eq!(report.call.tenant.as_str(), "org-1");
    assert_eq!(report.call.request_id.to_string(), "550e8400-e29b-41d4-a716-446655440000");
    assert_eq!(report.call.user.expect("a user").as_str(), "user-1");
    assert_eq!(report.call.model.expect("a model").as_str(), "google/gemini-2.5-pro");
    assert_eq!(report.call.assistant.expect("an assistant").as_str(), "word");
    assert_eq!(report.call.document.expect("a document").to_string(), "doc-1");
    assert_eq!(report.call.conversation, None);
    let details = report.details;
    assert_eq!(details.timestamp.to_string(), "2025-03-01T11:59:00Z");
    assert_eq!((details.character_count, details.token_count), (1234, 308));
    assert_eq!(details.request_type, RequestType::Stream);
    assert_eq!((details.tool_count, details.message_count), (2, 5));
}

#[test]
fn the_contract_s_response_is_read_field_for_field() {
    let report = response(&response_message()).expect("a response");
    assert_eq!(report.timestamp.to_string(), "2025-03-01T11:59:05.234Z");
    let usage = Usage { prompt: 308, completion: 142, total: 450, ..Usage::default() };
    assert_eq!(report.usage, Some(usage));
    assert_eq!(report.tier, ServiceTier::Standard);
    assert_eq!(report.finish_reason.expect("a reason").as_str(), "stop");
    assert_eq!((report.character_count, report.token_count), (567, 142));
    assert_eq!((report.response_time_ms, report.tool_call_count), (5234, 2));
    assert!(report.has_tool_calls);
}

#[test]
fn token_classes_are_kept_apart() {
    let message = with(
        response_message(),
        "/usage",
        json!({
            "promptTokens": 100, "completionTokens": 50, "totalTokens": 0, "cacheReadTokens": 40,
            "cacheWriteTokens": 30, "cacheWrite1hTokens": 20, "audioInputTokens": 10,
            "reasoningTokens": 30, "audioOutputTokens": 20, "providerExtra": {"x": 1}
        }),
    );
    let expected = Usage {
        prompt: 100,
        completion: 50,
        total: 150,
        cache_read: 40,
        cache_write: 30,
        cache_write_1h: 20,
        audio_input: 10,
        reasoning: 30,
        audio_output: 20,
    };
    assert_eq!(response(&message).expect("a response").usage, Some(expected));
    for (field, value) in
        [("cacheWriteTokens", 31), ("cacheWrite1hTokens", 31), ("cacheReadTokens", 101)]
    {
        let outcome = response(&with(message.clone(), &format!("/usage/{field}"), json!(value)));
        assert!(outcome.is_err(), "{field}");
    }
    refuses(
        response(&with(message.clone(), "/usage/audioInputTokens", json!(11))),
        "usage.audioInputTokens",
        ReportCode::InvalidField,
        "`promptTokens`",
    );
    refuses(
        response(&with(message, "/usage/audioOutputTokens", json!(21))),
        "usage.audioOutputTokens",
        ReportCode::InvalidField,
        "`completionTokens`",
    );
}

#[test]
fn the_reported_total_stands_and_zero_means_the_sum() {
    let total = |total: Value| {
        let message = with(response_message(), "/usage/totalTokens", total);
        response(&message).expect("a response").usage.expect("usage").total
    };
    assert_eq!(total(json!(999)), 999);
    assert_eq!(total(json!(0)), 450);
    assert_eq!(total(Value::Null), 450);
}

#[test]
fn tiers_go_by_their_usual_names() {
    let tier = |name: &str| {
        response(&with(response_message(), "/serviceTier", json!(name))).map(|report| report.tier)
    };
    for name in ["", "standard", "default", "auto"] {
        assert_eq!(tier(name), Ok(ServiceTier::Standard), "{name}");
    }
    assert_eq!(tier("priority"), Ok(ServiceTier::Priority));
    assert_eq!(tier("flex"), Ok(ServiceTier::Flex));
    assert_eq!(tier("batch"), Ok(ServiceTier::Batch));
    assert_eq!(tier("batches"), Ok(ServiceTier::Batch));
    refuses(tier("gold"), "serviceTier", ReportCode::InvalidField, "`standard`");
}

#[test]
fn empty_and_null_are_absent() {
    let message = with(request_message(), "/userId", json!(""));
    let message = with(message, "/model", json!(""));
    let message = with(message, "/assistantType", json!(""));
    let report = request(&message).expect("a half may leave out who called");
    assert_eq!((report.call.user, report.call.model, report.call.assistant), (None, None, None));
    let mut message = response_message();
    message["usage"] = Value::Null;
    message["finishReason"] = Value::Null;
    let report = response(&message).expect("a response without usage");
    assert_eq!((report.usage, report.finish_reason), (None, None));
}

#[test]
fn a_half_without_its_name_is_refused() {
    for field in ["requestId", "organizationId", "timestamp"] {
        let pointer = format!("/{field}");
        for empty in [Value::Null, json!("")] {
            let outcome = request(&with(request_message(), &pointer, empty.clone()));
            refuses(outcome, field, ReportCode::MissingField, "required");
            let outcome = response(&with(response_message(), &pointer, empty));
            refuses(outcome, field, ReportCode::MissingField, "required");
        }
    }
    let message = with(response_message(), "/usage", Value::Null);
    let message = with(message, "/tokenCount", Value::Null);
    refuses(response(&message), "usage", ReportCode::MissingField, "tokenCount");
    let message = with(response_message(), "/usage", json!({"prompt_tokens": 5}));
    refuses(response(&message), "usage.promptTokens", ReportCode::MissingField, "required");
}

#[test]
fn a_wrong_number_is_refused_by_name() {
    let cases = [
        (json!(-1), "negative"),
        (json!(1.5), "whole number"),
        (json!(1.0), "whole number"),
        (json!("308"), "whole number"),
        (json!(true), "whole number"),
        (json!([308]), "whole number"),
        (json!(Usage::TOKENS_MAX + 1), "more than"),
        (json!(u64::MAX), "more than"),
        (json!(1e300), "whole number"),
    ];
    for (value, words) in cases {
        for (pointer, field) in [
            ("/usage/promptTokens", "usage.promptTokens"),
            ("/usage/totalTokens", "usage.totalTokens"),
            ("/tokenCount", "tokenCount"),
            ("/responseTimeMs", "responseTimeMs"),
            ("/toolCallCount", "toolCallCount"),
        ] {
            let message = with(response_message(), pointer, value.clone());
            refuses(response(&message), field, ReportCode::InvalidField, words);
            refuses(consumption(&message), field, ReportCode::InvalidField, words);
        }
    }
    let message = with(request_message(), "/toolCount", json!(1_u64 << 32));
    refuses(request(&message), "toolCount", ReportCode::InvalidField, "more than");
}

#[test]
fn a_wrong_text_is_refused_by_name() {
    let cases = [
        ("userId", json!("x".repeat(257)), "256"),
        ("userId", json!("a\u{0}b"), "control"),
        ("userId", json!(7), "a text"),
        ("model", json!({"name": "gpt-4"}), "a text"),
        ("requestId", json!("a\nb"), "control"),
        ("organizationId", json!("x".repeat(300)), "256"),
        ("timestamp", json!("yesterday"), "RFC 3339"),
        ("timestamp", json!(1_740_000_000), "a text"),
        ("timestamp", json!("0001-01-01T00:00:00Z"), "2000"),
        ("timestamp", json!("1999-12-31T23:59:59.999Z"), "2000"),
        ("timestamp", json!("2025-03-02T12:00:01Z"), "future"),
        ("documentId", json!("x".repeat(257)), "256"),
        ("requestType", json!("stram"), "non-stream"),
    ];
    for (field, value, words) in cases {
        let message = with(request_message(), &format!("/{field}"), value);
        refuses(request(&message), field, ReportCode::InvalidField, words);
    }
    assert!(
        request(&with(request_message(), "/timestamp", json!("2025-03-02T12:00:00Z"))).is_ok(),
        "a day ahead is believed"
    );
    let message = with(response_message(), "/hasToolCalls", json!("yes"));
    refuses(response(&message), "hasToolCalls", ReportCode::InvalidField, "boolean");
    let message = with(response_message(), "/usage", json!("450"));
    refuses(response(&message), "usage", ReportCode::InvalidField, "an object");
}

#[test]
fn what_is_not_json_is_refused_as_a_whole() {
    for body in [
        "",
        "{",
        "nonsense",
        "{\"requestId\": \"a\"} more",
        "{'requestId': 'a'}",
        "{\"userId\": \"a\u{1}b\"}",
        "NaN",
    ] {
        refuses(parse_request(body.as_bytes(), now()), "", ReportCode::NotJson, "line 1 column");
    }
    for body in ["[]", "null", "\"text\"", "7"] {
        refuses(
            parse_request(body.as_bytes(), now()),
            "",
            ReportCode::InvalidField,
            "must be an object",
        );
    }
    let body = b"{\"userId\": \"caf\xe9\"}";
    refuses(parse_request(body, now()), "userId", ReportCode::NotJson, "unicode");
    let body = b"{\"systemPrompt\": \"caf\xe9\"}";
    refuses(parse_request(body, now()), "", ReportCode::NotJson, "UTF-8");
}

#[test]
fn nesting_never_overflows_the_stack() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let in_prompt = request_message().to_string().replace("\"secret\"", &deep);
    parse_request(in_prompt.as_bytes(), now()).expect("prompts are skipped at any depth");
    let in_usage = format!("{{\"usage\": {deep}}}");
    refuses(
        parse_response(in_usage.as_bytes(), now()),
        "usage",
        ReportCode::InvalidField,
        "an object",
    );
    let unknown = format!("{{\"x\": {deep}}}");
    refuses(
        parse_consumption(unknown.as_bytes(), now()),
        "x",
        ReportCode::UnknownField,
        "not a known field",
    );
    refuses(
        parse_consumption(deep.as_bytes(), now()),
        "",
        ReportCode::InvalidField,
        "must be an object",
    );
    let event = format!("{{\"data\": {deep}}}");
    refuses(
        parse_event(event.as_bytes(), now()),
        "specversion",
        ReportCode::MissingField,
        "required",
    );
}

#[test]
fn a_field_given_twice_is_refused() {
    let twice = "{\"userId\": \"a\", \"userId\": \"a\"}";
    refuses(parse_request(twice.as_bytes(), now()), "userId", ReportCode::DuplicateField, "twice");
    let twice = "{\"usage\": {\"promptTokens\": null, \"promptTokens\": 2}}";
    refuses(
        parse_response(twice.as_bytes(), now()),
        "usage.promptTokens",
        ReportCode::DuplicateField,
        "twice",
    );
}

#[test]
fn messages_ignore_what_they_do_not_know_and_rest_refuses_it() {
    let message = with(response_message(), "/extra", json!({"a": [1]}));
    assert!(response(&message).is_ok());
    refuses(consumption(&message), "extra", ReportCode::UnknownField, "known");
    let message = with(response_message(), "/usage/promtTokens", json!(5));
    assert!(response(&message).is_ok());
    refuses(consumption(&message), "usage.promtTokens", ReportCode::UnknownField, "known");
}

#[test]
fn a_whole_call_is_the_response_with_its_request_beside_it() {
    let flat = consumption(&response_message()).expect("every field of a response is known");
    assert_eq!(flat.response, response(&response_message()).expect("a response"));
    assert_eq!(flat.request, None);

    let mut body = response_message();
    for (field, value) in [
        ("requestTimestamp", json!("2025-03-01T11:59:00Z")),
        ("requestCharacterCount", json!(1234)),
        ("requestTokenCount", json!(308)),
        ("requestType", json!("stream")),
        ("toolCount", json!(2)),
        ("messageCount", json!(5)),
    ] {
        body[field] = value;
    }
    let flat = consumption(&body).expect("a whole call");
    let expected = request(&request_message()).expect("a request").details;
    assert_eq!(flat.request, Some(expected));

    let pair = json!({"request": request_message(), "response": response_message()});
    assert_eq!(consumption(&pair).expect("a pair"), flat);
    let alone = json!({"response": response_message()});
    assert_eq!(consumption(&alone).expect("a response").request, None);
}

#[test]
fn a_pair_must_be_about_the_same_call() {
    let pair = json!({"request": request_message(), "response": response_message()});
    for field in ["requestId", "organizationId"] {
        let other = with(pair.clone(), &format!("/request/{field}"), json!("other"));
        let name = format!("request.{field}");
        refuses(consumption(&other), &name, ReportCode::InvalidField, "same");
    }
    let mixed = with(pair.clone(), "/model", json!("gpt-4"));
    refuses(consumption(&mixed), "model", ReportCode::InvalidField, "beside");
    let lone = json!({"request": request_message()});
    refuses(consumption(&lone), "response", ReportCode::MissingField, "required");
    let typo = with(pair.clone(), "/response/usage/total", json!(1));
    refuses(consumption(&typo), "response.usage.total", ReportCode::UnknownField, "known");
    let wrong = with(pair.clone(), "/response/usage/promptTokens", json!(-1));
    refuses(
        consumption(&wrong),
        "response.usage.promptTokens",
        ReportCode::InvalidField,
        "negative",
    );
    let filled = with(pair, "/response/userId", json!(""));
    let report = consumption(&filled).expect("the request says who");
    assert_eq!(report.response.call.user.expect("a user").as_str(), "user-1");
}

#[test]
fn a_whole_call_says_who_used_what() {
    for field in ["requestId", "organizationId", "userId", "model", "timestamp"] {
        let body = with(response_message(), &format!("/{field}"), Value::Null);
        refuses(consumption(&body), field, ReportCode::MissingField, "required");
    }
    let body = with(response_message(), "/usage", Value::Null);
    let report = consumption(&body).expect("an estimate is enough");
    assert_eq!((report.response.usage, report.response.token_count), (None, 142));
    let body = with(body, "/tokenCount", Value::Null);
    refuses(consumption(&body), "usage", ReportCode::MissingField, "tokenCount");
    let body = with(body, "/responseTokenCount", json!(99));
    assert_eq!(consumption(&body).expect("the other name").response.token_count, 99);
    let body = with(body, "/tokenCount", json!(98));
    refuses(consumption(&body), "responseTokenCount", ReportCode::InvalidField, "98");
}

fn event(kind: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": "evt-1", "source": "/gateway/eu", "type": kind,
        "time": "2025-03-01T11:00:00Z", "subject": "user-9", "organizationid": "org-9",
        "datacontenttype": "application/json; charset=utf-8", "traceparent": "00-0-0-00",
        "data": data
    })
}

#[test]
fn an_event_carries_each_message() {
    let parse = |value: &Value| parse_event(&bytes(value), now()).expect("an event");
    let expected = request(&request_message()).expect("a request");
    assert_eq!(
        parse(&event("llm.request", &request_message())),
        Command::ReceiveRequest(Box::new(expected))
    );
    let expected = response(&response_message()).expect("a response");
    assert_eq!(
        parse(&event("llm.response", &response_message())),
        Command::ReceiveResponse(Box::new(expected))
    );
    let expected = consumption(&response_message()).expect("a call");
    assert_eq!(
        parse(&event("llm.consumption", &response_message())),
        Command::RecordConsumption(Box::new(expected))
    );
}

#[test]
fn the_event_says_what_its_data_leaves_out() {
    let data = json!({"model": "gpt-4", "usage": {"promptTokens": 3, "completionTokens": 4}});
    let body = bytes(&event("llm.consumption", &data));
    let Ok(Command::RecordConsumption(report)) = parse_event(&body, now()) else {
        panic!("a whole call");
    };
    let ResponseReport { call, timestamp, usage, .. } = report.response;
    assert_eq!(call.request_id.to_string(), "evt-1");
    assert_eq!(call.tenant.as_str(), "org-9");
    assert_eq!(call.user.expect("a user").as_str(), "user-9");
    assert_eq!(timestamp.to_string(), "2025-03-01T11:00:00Z");
    assert_eq!(usage.expect("usage").total, 7);
}

#[test]
fn a_faulty_event_is_refused_by_attribute_or_field() {
    let good = event("llm.response", &response_message());
    let parse = |value: &Value| parse_event(&bytes(value), now());
    for attribute in ["specversion", "id", "source", "type"] {
        let body = with(good.clone(), &format!("/{attribute}"), Value::Null);
        refuses(parse(&body), attribute, ReportCode::MissingField, "required");
    }
    for (attribute, value, words) in [
        ("specversion", json!("0.3"), "1.0"),
        ("type", json!("llm.other"), "llm.response"),
        ("datacontenttype", json!("text/xml"), "JSON"),
        ("id", json!(7), "a text"),
        ("data_base64", json!("e30="), "not supported"),
    ] {
        let body = with(good.clone(), &format!("/{attribute}"), value);
        refuses(parse(&body), attribute, ReportCode::InvalidField, words);
    }
    let body = with(good.clone(), "/data/usage/promptTokens", json!(-3));
    refuses(parse(&body), "data.usage.promptTokens", ReportCode::InvalidField, "negative");
    let body = with(good.clone(), "/data", Value::Null);
    refuses(parse(&body), "data.usage", ReportCode::MissingField, "tokenCount");
    let body = with(good, "/time", json!("noon"));
    let body = with(body, "/data/timestamp", Value::Null);
    refuses(parse(&body), "time", ReportCode::InvalidField, "RFC 3339");
}

#[test]
fn a_batch_answers_for_each_event() {
    let good = event("llm.response", &response_message());
    let bad = with(good.clone(), "/data/userId", json!(5));
    let odd = json!("not an event");
    let outcomes = parse_event_batch(&bytes(&json!([good, bad, odd])), now()).expect("a batch");
    let [first, second, third] = <[_; 3]>::try_from(outcomes).expect("one outcome an event");
    assert!(first.is_ok());
    refuses(second, "[1].data.userId", ReportCode::InvalidField, "a text");
    refuses(third, "[2]", ReportCode::InvalidField, "an object");
    refuses(parse_event_batch(b"{}", now()), "", ReportCode::InvalidField, "a sequence");
    refuses(parse_event_batch(b"[{]", now()), "", ReportCode::NotJson, "line 1");
}

#[test]
fn attributes_may_stand_beside_the_data() {
    let mut attributes = EventAttributes::default();
    for (name, value) in [
        ("specversion", "1.0"),
        ("id", "evt-1"),
        ("source", "/gateway"),
        ("type", "llm.request"),
        ("ignored", "x"),
    ] {
        attributes.set(name, value);
    }
    let parse = |data: &Value| parse_event_parts(attributes.clone(), &bytes(data), now());
    assert!(matches!(parse(&request_message()), Ok(Command::ReceiveRequest(_))));
    let data = with(request_message(), "/tokenCount", json!(-1));
    refuses(parse(&data), "tokenCount", ReportCode::InvalidField, "negative");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn garbage_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(parse_request(&body, now()));
        drop(parse_response(&body, now()));
        drop(parse_consumption(&body, now()));
        drop(parse_event(&body, now()));
        drop(parse_event_batch(&body, now()));
    }

    #[test]
    fn a_damaged_message_is_read_or_refused(
        place in 0_usize..700,
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut body = bytes(&response_message());
        let place = place % body.len();
        if cut {
            body.truncate(place);
        } else {
            body[place] = byte;
        }
        if let Err(error) = parse_consumption(&body, now()) {
            prop_assert!(!error.reason.is_empty());
            prop_assert!(error.reason.len() <= 1000);
        }
    }

    #[test]
    fn what_was_sent_is_what_is_read(
        request_id in "[a-zA-Z0-9-]{1,40}",
        user in "[^\\p{C}]{1,60}",
        prompt in 0..Usage::TOKENS_MAX / 2,
        completion in 0..Usage::TOKENS_MAX / 2,
        total in 0..Usage::TOKENS_MAX,
        micros in 946_684_800_000_000_i64..1_740_000_000_000_000,
    ) {
        let timestamp = Timestamp::from_micros(micros);
        let body = json!({
            "requestId": request_id, "userId": user, "organizationId": "org", "model": "m",
            "timestamp": timestamp,
            "usage": {
                "promptTokens": prompt, "completionTokens": completion, "totalTokens": total,
            },
        });
        let report = consumption(&body).expect("a call").response;
        prop_assert_eq!(report.call.request_id.to_string(), request_id);
        let read_user = report.call.user.expect("a user");
        prop_assert_eq!(read_user.as_str(), user);
        prop_assert_eq!(report.timestamp, timestamp);
        let total = if total == 0 { prompt + completion } else { total };
        let expected = Usage { prompt, completion, total, ..Usage::default() };
        prop_assert_eq!(report.usage, Some(expected));
    }
}
