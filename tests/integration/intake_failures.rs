//! The broker, the queue or the service goes away in the middle; every confirmed message still
//! counts once.

use lapin::options::QueueDeleteOptions;

use crate::support::broker::{Amqp, Names, OwnBroker, shared_url};
use crate::support::calls::{Call, NOON, settle};
use crate::support::service::{Service, Setup};
use crate::support::{eventually, unique};

fn calls(organization: &str, stem: &str, count: usize) -> Vec<Call> {
    (0..count).map(|number| Call::new(&format!("{stem}-{number}"), organization)).collect()
}

fn total(calls: &[Call]) -> u64 {
    calls.iter().map(Call::total).sum()
}

async fn publish(amqp: &Amqp, calls: &[Call]) {
    for call in calls {
        amqp.request(&call.request()).await;
        amqp.response(&call.response()).await;
    }
}

async fn recorded_once(service: &Service, calls: &[Call]) {
    let organization = calls.first().map(|call| call.organization.as_str()).expect("calls");
    service.history_of(organization, calls.len()).await;
    let user = calls.first().map(|call| call.user.as_str()).expect("calls");
    assert_eq!(service.used_quota(user).await, total(calls));
}

#[tokio::test]
async fn killed_in_the_middle_the_service_loses_and_repeats_nothing() {
    let names = Names::unique();
    let amqp = Amqp::connect(&shared_url(), &names).await;
    let mut service = Setup::new().manual_clock(NOON).broker(&shared_url(), &names).start().await;
    let calls = calls(&unique("org"), "call", 600);
    service.grant(&calls[0].user, 10_000_000).await;
    for part in calls.chunks(200) {
        let (publishing, ()) = tokio::join!(publish(&amqp, part), async {
            eventually("some of it is recorded", async || {
                let records = service.history(&calls[0].organization).await.len();
                if records > 0 { Ok(()) } else { Err("nothing".to_owned()) }
            })
            .await;
        });
        let () = publishing;
        service.kill();
        service.start_again().await;
    }
    recorded_once(&service, &calls).await;
}

#[tokio::test]
async fn own_broker_killed_and_started_again_every_confirmed_message_counts_once() {
    let mut broker = OwnBroker::start();
    let names = Names::unique();
    let amqp = Amqp::connect(&broker.url(), &names).await;
    let service = Setup::new().manual_clock(NOON).broker(&broker.url(), &names).start().await;
    let organization = unique("org");
    let mut all = calls(&organization, "before", 200);
    service.grant(&all[0].user, 10_000_000).await;
    publish(&amqp, &all).await;
    broker.kill();
    drop(amqp);
    broker.start_again();
    let amqp = Amqp::connect(&broker.url(), &names).await;
    let after = calls(&organization, "after", 50);
    publish(&amqp, &after).await;
    all.extend(after);
    recorded_once(&service, &all).await;
}

#[tokio::test]
async fn own_broker_that_comes_late_is_waited_for() {
    let mut broker = OwnBroker::start();
    broker.kill();
    let names = Names::unique();
    let mut service = Setup::new().manual_clock(NOON).broker(&broker.url(), &names).begin();
    // It serves what it can without the broker.
    eventually("the service lives", async || {
        let answer =
            reqwest::get(service.url("/health")).await.map_err(|error| error.to_string())?;
        if answer.status() == 200 { Ok(()) } else { Err(answer.status().to_string()) }
    })
    .await;
    broker.start_again();
    let amqp = Amqp::connect(&broker.url(), &names).await;
    service.wait_until_ready().await;
    settle(&amqp, &service).await;
}

#[tokio::test]
async fn a_queue_that_is_deleted_is_declared_again() {
    let names = Names::unique();
    let amqp = Amqp::connect(&shared_url(), &names).await;
    let service = Setup::new().manual_clock(NOON).broker(&shared_url(), &names).start().await;
    settle(&amqp, &service).await;
    for queue in [&names.request_queue, &names.response_queue] {
        let deleted =
            amqp.channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default());
        deleted.await.expect("deleted");
    }
    // Declares the queues too, unless the service was faster: both must accept what is there.
    let amqp = Amqp::connect(&shared_url(), &names).await;
    settle(&amqp, &service).await;
}
