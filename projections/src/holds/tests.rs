use schemas::{ExternalId, HoldExpired};

use super::*;

const TENANT: TenantId = TenantId(3);

fn recorded(sequence: u64, recorded_at: Timestamp, event: Event) -> Recorded {
    let sequence = Sequence::new(sequence);
    Recorded { sequence, recorded_at, cause: sequence, command: None, event }
}

fn hold(sequence: u64, seconds: i64, units: i128) -> Recorded {
    let placed = HoldPlaced {
        tenant: TENANT,
        user: Some(UserId(1)),
        model: None,
        request_id: ExternalId::Text(format!("call {sequence}")),
        amount: Money::from_units(units),
        credits: Credits::from_units(2),
        tokens: 4,
        expires_at: Timestamp::from_micros(seconds.saturating_mul(1_000_000)),
    };
    recorded(sequence, Timestamp::EPOCH, Event::HoldPlaced(Box::new(placed)))
}

#[test]
fn what_is_kept_ends_with_the_very_second_and_is_the_sum_of_the_rest() {
    let seconds = [1, 59, 60, 61, 3599, 3600, 3601, 7199, 7200, 86_399, 86_400, 90_000];
    let mut holds = Holds::default();
    for (sequence, second) in (1_u64..).zip(seconds) {
        holds.apply(&hold(sequence, second, i128::from(second)));
    }
    for now in seconds.into_iter().flat_map(|second| [second.saturating_sub(1), second]) {
        for micros in [0, 999_999] {
            let moment =
                Timestamp::from_micros(now.saturating_mul(1_000_000).saturating_add(micros));
            let kept: i64 = seconds.into_iter().filter(|second| *second > now).sum();
            assert_eq!(holds.held_money(TENANT, moment).units(), i128::from(kept), "at {now}");
        }
    }
}

#[test]
fn nothing_is_left_of_holds_that_have_ended() {
    let mut holds = Holds::default();
    let empty = bincode::encode_to_vec(&holds, bincode::config::standard()).expect("encodes");
    for sequence in 1..=5 {
        holds.apply(&hold(sequence, 100, 7));
    }
    assert_eq!(holds.held_user_tokens(TENANT, UserId(1), Timestamp::EPOCH), 20);
    assert_eq!(holds.held_credits(UserId(1), Timestamp::EPOCH), Credits::from_units(10));
    for sequence in (1..=5).rev() {
        let expired = HoldExpired { tenant: TENANT, hold: Sequence::new(sequence) };
        holds.apply(&recorded(9, Timestamp::EPOCH, Event::HoldExpired(expired)));
        holds.apply(&recorded(9, Timestamp::EPOCH, Event::HoldExpired(expired)));
    }
    let bytes = bincode::encode_to_vec(&holds, bincode::config::standard()).expect("encodes");
    assert_eq!(bytes, empty);
}
