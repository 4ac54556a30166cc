//! Told to stop under load, the service answers what it has taken in, and no more is on record than
//! it has answered. Asked for more than it can take, it says so and takes nothing of it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Client, Method};
use serde_json::Value;

use super::crash_kill::verify;
use crate::support::calls::NOON;
use crate::support::eventually;
use crate::support::http::{Answer, call};
use crate::support::service::{API_KEY, Service, Setup};

const CONSUMPTION: &str = "/api/v1/consumption";

async fn post(client: &Client, service: &Service, body: &Value) -> Result<Answer, reqwest::Error> {
    let request = client.request(Method::POST, service.url(CONSUMPTION));
    Answer::try_to(request.header("X-API-Key", API_KEY).json(body)).await
}

/// Sends calls until there is no answer any more: the ids of those that were recorded.
async fn send_until_gone(service: &Service, sender: usize) -> Vec<String> {
    // A client that never hears of the end of its connection gives up all the same.
    let patience = Duration::from_secs(20);
    let client = Client::builder().timeout(patience).build().expect("a client");
    let mut recorded = Vec::new();
    loop {
        let id = format!("s{sender}-{}", recorded.len());
        match post(&client, service, &call(&id, 1, 1)).await {
            Ok(answer) if answer.status == 201 => recorded.push(id),
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{}", answer.text);
                assert_ne!(answer.header("retry-after"), "", "{}", answer.text);
                return recorded;
            }
            Err(_) => return recorded,
        }
    }
}

async fn on_record(service: &Service) -> BTreeSet<String> {
    let history = service.read("/api/v1/consumption/history?limit=10000").await.expect(200);
    let ids = history.json();
    let ids = ids.as_array().expect("records").iter().filter_map(|call| call["requestId"].as_str());
    ids.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_under_load_it_answers_what_it_records_and_leaves_a_checkpoint() {
    let mut service = Setup::new().manual_clock(NOON).start().await;
    for round in 0..3_usize {
        let senders = (0..16).map(|sender| send_until_gone(&service, round * 100 + sender));
        let before = service.head().await;
        let (answered, ()) = tokio::join!(join_all(senders), async {
            eventually("the load is on", async || match service.head_now().await {
                head if head > before + 100 => Ok(()),
                head => Err(head.to_string()),
            })
            .await;
            service.ask_to_stop();
        });
        service.has_stopped().await;
        let told = service.log().len();
        service.start_again().await;
        let head = service.head().await.to_string();
        let log = service.log().split_off(told);
        let opened = log.lines().find(|line| line.contains("the book is open")).expect("opened");
        let opened: Value = serde_json::from_str(opened).expect("JSON");
        assert_eq!((&opened["head"], &opened["checkpoint"]), (&head.clone().into(), &head.into()));
        let found: BTreeSet<String> = on_record(&service).await;
        let of_round = |id: &&String| {
            let sender = id[1..].split('-').next().and_then(|text| text.parse::<usize>().ok());
            sender.is_some_and(|sender| sender / 100 == round)
        };
        let found: BTreeSet<&String> = found.iter().filter(of_round).collect();
        let answered: BTreeSet<&String> = answered.iter().flatten().collect();
        assert!(answered.len() > 50, "{} answers", answered.len());
        assert_eq!(found, answered, "recorded and answered are the same");
    }
    service.stop().await;
    verify(&service);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_told_at_once_and_nothing_of_what_is_turned_away_is_recorded() {
    let setup = Setup::new().manual_clock(NOON);
    let service = setup.variable("TALLYBOOK__LIMITS__QUEUE_COMMANDS_MAX", "1").start().await;
    let client = Client::new();
    let ids: Vec<String> = (0..400).map(|number| format!("q{number}")).collect();
    let mut recorded = BTreeSet::new();
    let mut turned_away = 0;
    for some in ids.chunks(100) {
        let posts = some.iter().map(async |id| {
            let answer = post(&client, &service, &call(id, 1, 1)).await.expect("an answer");
            (id.clone(), answer)
        });
        for (id, answer) in join_all(posts).await {
            if answer.status == 201 {
                recorded.insert(id);
                continue;
            }
            assert_eq!(answer.status, 503, "{}", answer.text);
            assert_eq!(answer.json()["code"], "busy");
            assert_eq!(answer.header("retry-after"), "1");
            turned_away += 1;
        }
    }
    assert!(turned_away > 0, "the queue was never full");
    assert_eq!(on_record(&service).await, recorded);
    // Whoever comes back one by one is served.
    for id in &ids {
        // The jobs queue as well.
        let status = eventually("there is room", async || {
            match post(&client, &service, &call(id, 1, 1)).await.expect("an answer").status {
                503 => Err("busy".to_owned()),
                status => Ok(status),
            }
        })
        .await;
        assert_eq!(status, if recorded.contains(id) { 200 } else { 201 });
    }
    assert_eq!(on_record(&service).await.len(), ids.len());
}
