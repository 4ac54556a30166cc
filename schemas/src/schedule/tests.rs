//! Schedules against their written meaning, and what must hold for all of them.

use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("RFC 3339")
}

fn schedule(text: &str) -> Schedule {
    Schedule::parse(text, Tz::UTC).expect(text)
}

/// The first `count` ticks after a moment.
fn ticks(text: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = schedule(text);
    schedule.ticks(at(after), Timestamp::MAX).take(count).map(|tick| tick.to_string()).collect()
}

fn refusal(text: &str) -> String {
    Schedule::parse(text, Tz::UTC).expect_err(text).to_string()
}

#[test]
fn five_fields_tick_as_robfig_has_them() {
    let after = "2025-01-30T23:59:59.5Z";
    let cases = [
        ("* * * * *", ["2025-01-31T00:00:00Z", "2025-01-31T00:01:00Z", "2025-01-31T00:02:00Z"]),
        ("? ? ? ? ?", ["2025-01-31T00:00:00Z", "2025-01-31T00:01:00Z", "2025-01-31T00:02:00Z"]),
        ("*/20 1 * * *", ["2025-01-31T01:00:00Z", "2025-01-31T01:20:00Z", "2025-01-31T01:40:00Z"]),
        ("5/25 * * * *", ["2025-01-31T00:05:00Z", "2025-01-31T00:30:00Z", "2025-01-31T00:55:00Z"]),
        (
            "1,3-9/4 0 * * *",
            ["2025-01-31T00:01:00Z", "2025-01-31T00:03:00Z", "2025-01-31T00:07:00Z"],
        ),
        ("0 0 31 * ?", ["2025-01-31T00:00:00Z", "2025-03-31T00:00:00Z", "2025-05-31T00:00:00Z"]),
        ("0 0 29 FEB *", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z", "2036-02-29T00:00:00Z"]),
        (
            "0 9 * jun-Aug mon",
            ["2025-06-02T09:00:00Z", "2025-06-09T09:00:00Z", "2025-06-16T09:00:00Z"],
        ),
        ("0 0 * * sun,6", ["2025-02-01T00:00:00Z", "2025-02-02T00:00:00Z", "2025-02-08T00:00:00Z"]),
        ("@hourly", ["2025-01-31T00:00:00Z", "2025-01-31T01:00:00Z", "2025-01-31T02:00:00Z"]),
        ("@daily", ["2025-01-31T00:00:00Z", "2025-02-01T00:00:00Z", "2025-02-02T00:00:00Z"]),
        ("@midnight", ["2025-01-31T00:00:00Z", "2025-02-01T00:00:00Z", "2025-02-02T00:00:00Z"]),
        ("@weekly", ["2025-02-02T00:00:00Z", "2025-02-09T00:00:00Z", "2025-02-16T00:00:00Z"]),
        ("@monthly", ["2025-02-01T00:00:00Z", "2025-03-01T00:00:00Z", "2025-04-01T00:00:00Z"]),
        ("@yearly", ["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
        ("@annually", ["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
    ];
    for (text, want) in cases {
        assert_eq!(ticks(text, after, 3), want, "{text}");
    }
}

#[test]
fn either_day_counts_when_both_are_restricted() {
    // 13 June 2025 is a Friday; so are the 6th and the 20th.
    let both = ticks("0 0 13 * fri", "2025-06-05T00:00:00Z", 3);
    assert_eq!(both, ["2025-06-06T00:00:00Z", "2025-06-13T00:00:00Z", "2025-06-20T00:00:00Z"]);
    let stepped = ticks("0 0 */15 * fri", "2025-06-05T00:00:00Z", 3);
    assert_eq!(stepped, ["2025-06-06T00:00:00Z", "2025-06-13T00:00:00Z", "2025-06-16T00:00:00Z"]);
    // A list with `*` in it, or a step of one, restricts nothing: both must hold.
    for open in ["0 0 *,13 * fri", "0 0 */1 * fri", "0 0 ? * fri"] {
        let fridays = ticks(open, "2025-06-07T00:00:00Z", 2);
        assert_eq!(fridays, ["2025-06-13T00:00:00Z", "2025-06-20T00:00:00Z"], "{open}");
    }
    // A range over all days is a restriction that every day meets.
    let all = ticks("0 0 1-31 * fri", "2025-06-07T00:00:00Z", 2);
    assert_eq!(all, ["2025-06-08T00:00:00Z", "2025-06-09T00:00:00Z"]);
}

#[test]
fn every_counts_from_the_epoch() {
    let after = "2025-01-01T00:00:00Z";
    for (text, want) in [
        ("@every 90m", "2025-01-01T01:30:00Z"),
        ("@every 1h30m", "2025-01-01T01:30:00Z"),
        ("@every 1.5h", "2025-01-01T01:30:00Z"),
        ("@every 1s", "2025-01-01T00:00:01Z"),
        ("@every 2.9s", "2025-01-01T00:00:02Z"),
        ("@every 7h", "2025-01-01T03:00:00Z"),
        ("TZ=Asia/Tokyo @every 24h", "2025-01-02T00:00:00Z"),
    ] {
        assert_eq!(ticks(text, after, 1), [want], "{text}");
    }
    let weekly = schedule("@every 168h");
    assert_eq!(weekly.last_until(Timestamp::from_micros(-1)), Some(at("1969-12-25T00:00:00Z")));
    assert_eq!(weekly.next_after(Timestamp::from_micros(-1)), Some(Timestamp::EPOCH));
    assert_eq!(weekly.next_after(Timestamp::MAX), None);
    assert_eq!(weekly.next_after(Timestamp::from_micros(i64::MAX)), None);
}

#[test]
fn a_prefix_sets_the_zone() {
    let after = "2025-05-01T00:00:00Z";
    assert_eq!(ticks("0 8 * * *", after, 1), ["2025-05-01T08:00:00Z"]);
    assert_eq!(ticks("TZ=Asia/Shanghai 0 8 * * *", after, 1), ["2025-05-02T00:00:00Z"]);
    assert_eq!(ticks("CRON_TZ=America/New_York  @daily", after, 1), ["2025-05-01T04:00:00Z"]);
    let by_default = Schedule::parse("0 8 * * *", Tz::Asia__Shanghai).expect("five fields");
    assert_eq!(by_default, schedule("TZ=Asia/Shanghai 0 8 * * *"));
}

#[test]
fn one_time_of_day_ticks_once_in_a_gap_and_in_a_fold() {
    // New York jumps from 02:00 to 03:00 on 9 March and repeats 01:00 to 02:00 on 2 November 2025.
    let gap = "TZ=America/New_York 30 2 * * *";
    assert_eq!(
        ticks(gap, "2025-03-08T12:00:00Z", 2),
        ["2025-03-09T07:00:00Z", "2025-03-10T06:30:00Z"]
    );
    assert_eq!(
        schedule(gap).last_until(at("2025-03-09T12:00:00Z")),
        Some(at("2025-03-09T07:00:00Z"))
    );
    let fold = "TZ=America/New_York 30 1 * * *";
    assert_eq!(
        ticks(fold, "2025-11-01T12:00:00Z", 2),
        ["2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"]
    );
    assert_eq!(
        schedule(fold).last_until(at("2025-11-02T06:45:00Z")),
        Some(at("2025-11-02T05:30:00Z"))
    );
}

#[test]
fn every_hour_ticks_through_a_gap_and_a_fold() {
    let hourly = "TZ=America/New_York @hourly";
    assert_eq!(
        ticks(hourly, "2025-03-09T05:30:00Z", 3),
        ["2025-03-09T06:00:00Z", "2025-03-09T07:00:00Z", "2025-03-09T08:00:00Z"]
    );
    assert_eq!(
        ticks(hourly, "2025-11-02T04:30:00Z", 3),
        ["2025-11-02T05:00:00Z", "2025-11-02T06:00:00Z", "2025-11-02T07:00:00Z"]
    );
    // Less than a second before Sao Paulo's clocks go back.
    let hourly = schedule("TZ=America/Sao_Paulo @hourly");
    let almost = at("2019-02-17T01:59:59.999999Z");
    assert_eq!(hourly.last_until(almost), Some(at("2019-02-17T01:00:00Z")));
}

#[test]
fn a_span_holds_its_end_and_not_its_beginning() {
    let hourly = schedule("@hourly");
    let (after, through) = (at("2025-01-01T00:00:00Z"), at("2025-01-01T02:00:00Z"));
    let ticks: Vec<_> = hourly.ticks(after, through).map(|tick| tick.to_string()).collect();
    assert_eq!(ticks, ["2025-01-01T01:00:00Z", "2025-01-01T02:00:00Z"]);
    assert_eq!(hourly.last_until(through), Some(through));
    assert_eq!(
        hourly.last_until(Timestamp::from_micros(through.micros() - 1)),
        Some(at("2025-01-01T01:00:00Z"))
    );
    assert!(hourly.is_tick(through));
    assert!(!hourly.is_tick(Timestamp::from_micros(through.micros() + 1)));
}

#[test]
fn a_day_that_never_comes_is_no_tick() {
    let never = schedule("0 0 30 2 *");
    assert_eq!(never.next_after(Timestamp::EPOCH), None);
    assert_eq!(never.last_until(Timestamp::EPOCH), None);
    assert_eq!(schedule("@daily").next_after(Timestamp::MAX), None);
    for beyond in [i64::MIN, i64::MAX] {
        let daily = schedule("TZ=Asia/Shanghai @daily");
        assert_eq!(daily.next_after(Timestamp::from_micros(beyond)), None);
        let daily = schedule("TZ=America/New_York @daily");
        assert_eq!(daily.last_until(Timestamp::from_micros(beyond)), None);
    }
}

#[test]
fn a_refusal_says_what_is_wrong_and_where() {
    for (text, want) in [
        (
            "0 0 * * * *",
            "a schedule has 5 fields (minute, hour, day of month, month, day of week), not 6; leave out the seconds",
        ),
        (
            "0 0 * *",
            "a schedule has 5 fields (minute, hour, day of month, month, day of week), not 4",
        ),
        ("", "a schedule has 5 fields (minute, hour, day of month, month, day of week), not 0"),
        ("60 * * * *", "field 1 (minute): `60` is not within 0 to 59"),
        ("* 1,24 * * *", "field 2 (hour): `24` is not within 0 to 23"),
        ("* * 0 * *", "field 3 (day of month): `0` is not within 1 to 31"),
        ("* * L * *", "field 3 (day of month): `L` is not `*`, a value, a range or a step"),
        ("* * * sun *", "field 4 (month): `sun` is not `*`, a value, a range or a step"),
        ("* * * * 7", "field 5 (day of week): `7` is not within 0 to 6"),
        ("* * * * fri-mon", "field 5 (day of week): `fri-mon` ends before it begins"),
        ("*/0 * * * *", "field 1 (minute): `*/0` must have a step of 1 or more"),
        ("+5 * * * *", "field 1 (minute): `+5` is not `*`, a value, a range or a step"),
        (
            "@fortnightly",
            "`@fortnightly` is none of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually and @every",
        ),
        (
            "@every",
            "`@every` is none of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually and @every",
        ),
        (
            "@every 5",
            "`@every` takes a time of at least 1s in h, m and s, such as `1h30m`, not `5`",
        ),
        ("TZ=Mars/Olympus * * * * *", "`Mars/Olympus` is not a time zone such as `Asia/Shanghai`"),
        ("TZ= * * * * *", "`` is not a time zone such as `Asia/Shanghai`"),
    ] {
        assert_eq!(refusal(text), want, "{text}");
    }
    for item in ["1,", ",", "1-", "-1", "1-2-3", "*/", "*/2/2", "*-5", "1/x", "5#2", "**", "é"] {
        let text = format!("{item} * * * *");
        assert!(refusal(&text).starts_with("field 1 (minute): `"), "{text}");
    }
    for duration in ["0s", "0.9s", "-1h", "1h-1m", "h", "5ms", "1d", "1e3s", "1..5h", "3000000h"] {
        let text = format!("@every {duration}");
        assert!(
            matches!(Schedule::parse(&text, Tz::UTC), Err(ScheduleError::NotADuration(_))),
            "{text}"
        );
    }
    assert!(refusal(&format!("TZ=Asia/Shanghai{} * * * * *", "x".repeat(1000))).len() < 200);
}

const TEXTS: [&str; 12] = [
    "* * * * *",
    "*/7 1-3 * * *",
    "30 2 * * *",
    "0 0 * * *",
    "15 1,2 * * *",
    "59 23 31 * *",
    "0 12 29 2 *",
    "0 6 13 * fri",
    "0 0 1 jan,jul mon",
    "@hourly",
    "@every 61s",
    "@every 25h",
];
const ZONES: [Tz; 6] = [
    Tz::UTC,
    Tz::Asia__Shanghai,
    Tz::America__New_York,
    Tz::Europe__London,
    Tz::Australia__Lord_Howe,
    Tz::America__Sao_Paulo,
];

/// Moments from 1970 to 2037, half of them within a day of a change of clocks.
fn moments() -> impl Strategy<Value = i64> {
    let changes = prop::sample::select(vec![
        1_741_503_600_i64, // New York, 2025-03-09, an hour is left out
        1_762_063_200,     // New York, 2025-11-02, an hour is repeated
        1_743_296_400,     // London, 2025-03-30
        1_761_440_400,     // London, 2025-10-26
        1_743_865_200,     // Lord Howe, 2025-04-05, half an hour is repeated
        1_759_591_800,     // Lord Howe, 2025-10-04, half an hour is left out
        1_541_300_400,     // Sao Paulo, 2018-11-04, midnight is left out
        1_550_368_800,     // Sao Paulo, 2019-02-16, the hour before midnight is repeated
    ]);
    prop_oneof![
        0_i64..2_140_000_000_000_000,
        (changes, -86_400_000_000_i64..86_400_000_000)
            .prop_map(|(at, near)| at.saturating_mul(1_000_000).saturating_add(near)),
    ]
}

proptest! {
    #[test]
    fn ticks_increase_and_are_found_from_both_sides(
        text in prop::sample::select(TEXTS.to_vec()),
        zone in prop::sample::select(ZONES.to_vec()),
        start in moments(),
    ) {
        let schedule = Schedule::parse(text, zone).expect("valid");
        let mut moment = Timestamp::from_micros(start);
        for _ in 0..6 {
            let next = schedule.next_after(moment).expect("it goes on");
            prop_assert!(next > moment);
            prop_assert!(schedule.is_tick(next));
            prop_assert_eq!(schedule.last_until(next), Some(next));
            let before = Timestamp::from_micros(next.micros().saturating_sub(1));
            let last = schedule.last_until(before).expect("it has gone on");
            prop_assert!(last <= moment, "{} between {} and {}", last, moment, next);
            prop_assert_eq!(schedule.next_after(last), Some(next));
            moment = next;
        }
    }

    #[test]
    fn garbage_never_panics(text in "(@every |TZ=[A-Z/]{0,4} )?[0-9*/,? a-fhms.-]{0,24}") {
        if let Ok(schedule) = Schedule::parse(&text, Tz::UTC) {
            let _next = schedule.next_after(Timestamp::EPOCH);
        }
    }
}
