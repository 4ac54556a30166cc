//! Halves meet, in either order, once, across restarts and timeouts.

use crate::support::broker::{Amqp, Names, shared_url};
use crate::support::calls::{Call, NOON, record_of, settle};
use crate::support::service::{Service, Setup};
use crate::support::{eventually, unique};

async fn start() -> (Amqp, Service) {
    let names = Names::unique();
    let amqp = Amqp::connect(&shared_url(), &names).await;
    let service = Setup::new().manual_clock(NOON).broker(&shared_url(), &names).start().await;
    (amqp, service)
}

#[tokio::test]
async fn a_call_counts_once_whichever_half_comes_first() {
    let (amqp, service) = start().await;
    let organization = unique("org");
    let (one, other) = (Call::new("one", &organization), Call::new("other", &organization));
    service.grant(&one.user, 10_000).await;

    amqp.request(&one.request()).await;
    settle(&amqp, &service).await;
    amqp.response(&one.response()).await;
    amqp.response(&other.response()).await;
    settle(&amqp, &service).await;
    amqp.request(&other.request()).await;

    let records = service.history_of(&organization, 2).await;
    for call in [&one, &other] {
        let record = record_of(&records, call);
        assert_eq!(record["status"], "complete", "{record}");
        assert_eq!(record["userId"], call.user.as_str());
        assert_eq!(record["model"], "gpt-4");
        assert_eq!(record["promptTokens"], call.prompt);
        assert_eq!(record["completionTokens"], call.completion);
        assert_eq!(record["totalTokens"], call.total());
        assert_eq!(record["requestTokenCount"], 308);
        assert_eq!(record["responseTokenCount"], 142);
        assert_eq!(record["projectId"], "doc-1");
    }
    assert_eq!(service.used_quota(&one.user).await, one.total() + other.total());
}

#[tokio::test]
async fn a_message_counts_once_however_often_it_comes() {
    let (amqp, service) = start().await;
    let call = Call::new("call", &unique("org"));
    service.grant(&call.user, 10_000).await;
    for _ in 0..3 {
        amqp.request(&call.request()).await;
        amqp.response(&call.response()).await;
    }
    settle(&amqp, &service).await;
    amqp.response(&call.response()).await;
    amqp.request(&call.request()).await;
    settle(&amqp, &service).await;
    assert_eq!(service.history(&call.organization).await.len(), 1);
    assert_eq!(service.used_quota(&call.user).await, call.total());
}

#[tokio::test]
async fn the_first_of_two_contents_stands() {
    let (amqp, service) = start().await;
    let call = Call::new("call", &unique("org"));
    let other = Call { prompt: 9000, ..call.clone() };
    service.grant(&call.user, 10_000).await;
    amqp.request(&call.request()).await;
    amqp.response(&call.response()).await;
    service.history_of(&call.organization, 1).await;
    amqp.response(&other.response()).await;
    settle(&amqp, &service).await;
    assert_eq!(service.used_quota(&call.user).await, call.total());
}

#[tokio::test]
async fn two_organizations_may_use_the_same_request_id() {
    let (amqp, service) = start().await;
    let (one, other) = (Call::new("same", &unique("org")), Call::new("same", &unique("org")));
    for call in [&one, &other] {
        amqp.request(&call.request()).await;
    }
    for call in [&other, &one] {
        amqp.response(&call.response()).await;
    }
    for call in [&one, &other] {
        let records = service.history_of(&call.organization, 1).await;
        assert_eq!(record_of(&records, call)["userId"], call.user.as_str());
    }
}

#[tokio::test]
async fn halves_meet_across_restarts() {
    let (amqp, mut service) = start().await;
    let organization = unique("org");
    let (one, other) = (Call::new("one", &organization), Call::new("other", &organization));
    service.grant(&one.user, 10_000).await;

    amqp.request(&one.request()).await;
    amqp.response(&other.response()).await;
    service.stop().await;
    service.start_again().await;
    settle(&amqp, &service).await;
    service.kill();
    amqp.response(&one.response()).await;
    service.start_again().await;
    amqp.request(&other.request()).await;

    service.history_of(&organization, 2).await;
    assert_eq!(service.used_quota(&one.user).await, one.total() + other.total());
}

#[tokio::test]
async fn a_half_that_waits_too_long_is_seen_and_completed_when_the_other_comes() {
    let (amqp, service) = start().await;
    let organization = unique("org");
    let asked = Call::new("asked", &organization);
    let answered = Call::new("answered", &organization);
    service.grant(&asked.user, 10_000).await;
    amqp.request(&asked.request()).await;
    amqp.response(&answered.response()).await;
    settle(&amqp, &service).await;

    service.advance_clock_to("2025-03-01T14:00:00Z").await;
    let records = service.history_of(&organization, 2).await;
    assert_eq!(record_of(&records, &asked)["status"], "request-only");
    assert_eq!(record_of(&records, &answered)["status"], "response-only");
    assert_eq!(service.used_quota(&asked.user).await, 0, "a lone half is not billed");

    amqp.response(&asked.response()).await;
    amqp.request(&answered.request()).await;
    eventually("both calls are complete", async || {
        let records = service.history(&organization).await;
        let complete = records.iter().filter(|record| record["status"] == "complete").count();
        if complete == 2 { Ok(()) } else { Err(format!("{records:?}")) }
    })
    .await;
    assert_eq!(service.used_quota(&asked.user).await, asked.total() + answered.total());
}
