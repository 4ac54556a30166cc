//! A past for a service that is not running: events that nobody asked it for, appended to its log as
//! a writer would.

use replay::{BatchEncoder, Log, LogOptions};
use schemas::{ActorId, CommandHeader, CommandKey, Event, Fingerprint, Sequence, Timestamp};

use super::service::Service;

/// Appends one command's events, recorded at `moment`, and gives the position of the last one. The
/// service has stopped, and something was recorded before.
pub fn append(service: &Service, moment: &str, events: &[Event]) -> Sequence {
    let options = LogOptions::default();
    let (mut log, _) = Log::open(&service.data_dir(), options).expect("the log opens");
    let moment = Timestamp::parse(moment).expect("RFC 3339");
    let head = log.head();
    let recorded_at = moment.max(head.recorded_at);
    let mut batch = BatchEncoder::new(head.sequence.next(), recorded_at);
    let header = CommandHeader {
        actor: ActorId(0),
        key: CommandKey::None,
        fingerprint: Fingerprint::default(),
    };
    batch.push(header, events).expect("events that fit");
    let head = log.append(batch.finish()).expect("appended");
    log.close().expect("closed");
    head.sequence
}
