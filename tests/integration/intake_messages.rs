//! What cannot be understood is kept with its reason, and holds nobody else up.

use lapin::BasicProperties;
use lapin::types::ShortString;

use crate::support::broker::{Amqp, Names, header, shared_url};
use crate::support::calls::{Call, NOON, SECRET, settle};
use crate::support::service::{Service, Setup};
use crate::support::unique;

async fn start() -> (Amqp, Service) {
    let names = Names::unique();
    let amqp = Amqp::connect(&shared_url(), &names).await;
    let service = Setup::new().manual_clock(NOON).broker(&shared_url(), &names).start().await;
    (amqp, service)
}

#[tokio::test]
async fn a_message_that_cannot_be_understood_is_kept_with_its_reason() {
    let (amqp, service) = start().await;
    let call = Call::new("call", &unique("org"));
    amqp.request(&call.request()).await;
    let properties = BasicProperties::default()
        .with_message_id("m-1".into())
        .with_content_type("application/json".into())
        .with_correlation_id("c-1".into());
    amqp.publish("llm.request", b"{\"requestId\": ", properties).await;
    let mut negative = call.response();
    negative["usage"]["promptTokens"] = (-1).into();
    amqp.response(&negative).await;
    amqp.response(&call.response()).await;
    service.history_of(&call.organization, 1).await;

    let mut letters = amqp.dead_letters(2).await;
    letters.sort_by_key(|letter| letter.routing_key.to_string());
    let [request, response] = <[_; 2]>::try_from(letters).expect("two letters");

    assert_eq!(request.data, b"{\"requestId\": ");
    assert_eq!(request.routing_key.as_str(), "llm.request");
    assert_eq!(request.properties.message_id().as_ref().map(ShortString::as_str), Some("m-1"));
    assert_eq!(request.properties.correlation_id().as_ref().map(ShortString::as_str), Some("c-1"));
    assert!(header(&request, "x-tallybook-reason").contains("not JSON"));
    assert_eq!(header(&request, "x-tallybook-field"), "");
    assert_eq!(header(&request, "x-tallybook-queue"), amqp.names.request_queue);
    assert_eq!(header(&request, "x-original-routing-key"), "llm.request");

    assert_eq!(response.data, negative.to_string().as_bytes());
    assert_eq!(header(&response, "x-tallybook-field"), "usage.promptTokens");
    assert!(header(&response, "x-tallybook-reason").contains("negative"));
    assert_eq!(header(&response, "x-tallybook-queue"), amqp.names.response_queue);
    assert_eq!(header(&response, "x-original-routing-key"), "llm.response");
}

#[tokio::test]
async fn hostile_messages_do_not_stop_the_intake() {
    let (amqp, service) = start().await;
    let deep = format!("{{\"usage\": {}}}", "[".repeat(100_000));
    let hostile: [&[u8]; 5] = [
        b"",
        b"\xff\xfe\x00",
        b"{\"requestId\": \"a\", \"requestId\": \"a\"}",
        deep.as_bytes(),
        b"[[[[[[",
    ];
    for body in hostile {
        amqp.publish("llm.request", body, BasicProperties::default()).await;
        amqp.publish("llm.response", body, BasicProperties::default()).await;
    }
    settle(&amqp, &service).await;
    let letters = amqp.dead_letters(2 * hostile.len()).await;
    assert_eq!(letters.len(), 2 * hostile.len());
    for letter in letters {
        assert!(!header(&letter, "x-tallybook-reason").is_empty());
        assert!(hostile.contains(&letter.data.as_slice()), "the body as it came");
    }
}

#[tokio::test]
async fn prompts_and_answers_are_not_kept() {
    let (amqp, mut service) = start().await;
    let call = Call::new("call", &unique("org"));
    amqp.request(&call.request()).await;
    amqp.response(&call.response()).await;
    service.history_of(&call.organization, 1).await;
    service.stop().await;
    let mut directories = vec![service.data_dir()];
    let mut files = 0;
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).expect("a file");
            let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            assert!(!found, "a prompt is in {}", path.display());
        }
    }
    assert!(files > 0, "the log is somewhere");
}
