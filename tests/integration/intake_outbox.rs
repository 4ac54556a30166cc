//! Everything that the log records goes out to `ledger-events`: in order, at least once, across
//! restarts.

use std::collections::BTreeMap;

use lapin::message::Delivery;

use crate::support::broker::{Amqp, Names, shared_url};
use crate::support::calls::{Call, NOON};
use crate::support::service::Setup;
use crate::support::{eventually, unique};

/// What has come in.
#[derive(Default)]
struct Received {
    /// Type by sequence.
    types: BTreeMap<u64, String>,
    /// How often the log's first event came.
    firsts: u32,
}

impl Received {
    fn add(&mut self, delivery: &Delivery) {
        let id = delivery.properties.message_id().as_ref().expect("a message id");
        let sequence = id.as_str().parse().expect("the message id is a sequence");
        let body: serde_json::Value = serde_json::from_slice(&delivery.data).expect("JSON");
        assert_eq!(body["sequence"], sequence, "{body}");
        let name = delivery.routing_key.as_str().to_owned();
        self.firsts += u32::from(sequence == 1);
        if let Some(before) = self.types.insert(sequence, name.clone()) {
            assert_eq!(before, name, "an event does not change");
        }
    }

    fn count(&self, name: &str) -> usize {
        self.types.values().filter(|known| *known == name).count()
    }

    fn is_gapless(&self) -> bool {
        self.types.keys().zip(1..).all(|(sequence, expected)| *sequence == expected)
    }
}

#[tokio::test]
async fn every_event_goes_out_in_order_across_restarts() {
    let names = Names::unique();
    let amqp = Amqp::connect(&shared_url(), &names).await;
    let queue = unique("events");
    amqp.declare_queue(&queue, &names.events_exchange, "#").await;
    let mut service = Setup::new().manual_clock(NOON).broker(&shared_url(), &names).start().await;
    let organization = unique("org");
    let mut received = Received::default();

    for round in 1..=3 {
        let call = Call::new(&format!("call-{round}"), &organization);
        service.grant(&call.user, 1000).await;
        amqp.request(&call.request()).await;
        amqp.response(&call.response()).await;
        eventually("the consumption goes out", async || {
            while let Some(delivery) = amqp.take(&queue).await {
                received.add(&delivery);
            }
            if received.count("consumption_recorded") == round {
                Ok(())
            } else {
                Err(format!("{:?}", received.types))
            }
        })
        .await;
        if round == 1 {
            service.stop().await;
        } else {
            service.kill();
        }
        service.start_again().await;
    }
    assert!(received.is_gapless(), "{:?}", received.types);
    assert_eq!(received.count("quota_recharged"), 3);
    // Once more at most: when the first stop came before the cursor was on disk.
    assert!(received.firsts <= 2, "a restart goes on from the cursor, not from the beginning");
}
