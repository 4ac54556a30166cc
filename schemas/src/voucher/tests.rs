//! Vouchers against the vector of the first quota manager, and against whoever tampers with them.

use proptest::prelude::*;

use super::*;

const KEY: &str = "your-secret-signing-key-at-least-32-bytes-long-for-security";
const JSON: &str = concat!(
    r#"{"giver_id":"user123","giver_name":"John Doe","giver_phone":"13800138000","#,
    r#""giver_github":"johndoe","receiver_id":"user456","quota_list":["#,
    r#"{"amount":10,"expiry_date":"2025-06-30T23:59:59Z"},"#,
    r#"{"amount":20,"expiry_date":"2025-07-31T23:59:59Z"}],"timestamp":1747303200}"#,
);
const SIGNATURE: &str = "7b69629b86e5fd6181d0a420083a191758e37ec74f62ec32e2d5b272d926ffff";
const CODE: &str = concat!(
    "eyJnaXZlcl9pZCI6InVzZXIxMjMiLCJnaXZlcl9uYW1lIjoiSm9obiBEb2UiLCJnaXZlcl9waG9uZSI6IjEzODAwMTM4",
    "MDAwIiwiZ2l2ZXJfZ2l0aHViIjoiam9obmRvZSIsInJlY2VpdmVyX2lkIjoidXNlcjQ1NiIsInF1b3RhX2xpc3QiOlt7",
    "ImFtb3VudCI6MTAsImV4cGlyeV9kYXRlIjoiMjAyNS0wNi0zMFQyMzo1OTo1OVoifSx7ImFtb3VudCI6MjAsImV4cGly",
    "eV9kYXRlIjoiMjAyNS0wNy0zMVQyMzo1OTo1OVoifV0sInRpbWVzdGFtcCI6MTc0NzMwMzIwMH18N2I2OTYyOWI4NmU1",
    "ZmQ2MTgxZDBhNDIwMDgzYTE5MTc1OGUzN2VjNzRmNjJlYzMyZTJkNWIyNzJkOTI2ZmZmZg",
);

fn keys() -> SigningKeys {
    SigningKeys::new(vec![KEY.into()]).expect("long enough")
}

fn item(amount: &str, expires_at: &str) -> VoucherItem {
    VoucherItem {
        amount: Credits::parse(amount).expect("a number"),
        expires_at: ZonedTimestamp::parse(expires_at).expect("RFC 3339"),
    }
}

fn payload() -> VoucherPayload {
    VoucherPayload {
        giver_id: "user123".to_owned(),
        giver_name: "John Doe".to_owned(),
        giver_phone: "13800138000".to_owned(),
        giver_github: "johndoe".to_owned(),
        receiver_id: "user456".to_owned(),
        items: vec![item("10", "2025-06-30T23:59:59Z"), item("20", "2025-07-31T23:59:59Z")],
        timestamp: 1_747_303_200,
    }
}

fn signed(json: &str) -> String {
    SigningKeys::code(json, &keys().sign(json))
}

#[test]
fn the_golden_voucher_is_made_and_opened_byte_for_byte() {
    let json = payload().to_json();
    assert_eq!(json, JSON);
    let signature = keys().sign(&json);
    assert_eq!(hexadecimal(&signature), SIGNATURE);
    assert_eq!(SigningKeys::code(&json, &signature), CODE);
    let opened = keys().open(CODE).expect("genuine");
    assert_eq!(opened, OpenedVoucher { id: VoucherId::of(CODE), payload: payload(), signature });
}

#[test]
fn strings_are_escaped_as_go_escapes_them() {
    for (name, json) in [
        ("a|b", r"a|b"),
        ("<&>", r"\u003c\u0026\u003e"),
        ("<<x>>", r"\u003c\u003cx\u003e\u003e"),
        ("\u{2028}a\u{2029}", r"\u2028a\u2029"),
        ("\"q\" \\ /", r#"\"q\" \\ /"#),
        ("\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}", "\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f}"),
        ("名前 é 🎉", "名前 é 🎉"),
    ] {
        let payload = VoucherPayload { giver_name: name.to_owned(), ..payload() };
        let printed = payload.to_json();
        assert_eq!(printed, JSON.replace("John Doe", json));
        assert_eq!(keys().open(&signed(&printed)).expect("genuine").payload, payload);
    }
}

#[test]
fn amounts_and_expiries_keep_their_text() {
    for (amount, expires_at) in [
        ("10.5", "2025-06-30T23:59:59.5+08:00"),
        ("0.000001", "2025-06-30T23:59:59-03:30"),
        ("-3", "1969-12-31T23:59:59Z"),
    ] {
        let payload = VoucherPayload { items: vec![item(amount, expires_at)], ..payload() };
        let printed = payload.to_json();
        let list = format!(r#"[{{"amount":{amount},"expiry_date":"{expires_at}"}}]"#);
        assert!(printed.contains(&list), "{printed}");
        assert_eq!(keys().open(&signed(&printed)).expect("genuine").payload, payload);
    }
}

#[test]
fn what_another_producer_signed_is_read_as_it_is() {
    let spaced = r#" { "quota_list" : [ { "expiry_date" : "2025-06-30T23:59:59Z",
        "amount" : 1.0e1, "note" : [ {} ] } ], "timestamp" : 1, "receiver_id" : "\u0075ser456",
        "giver_github_star" : "a,b" } "#;
    let opened = keys().open(&signed(spaced)).expect("genuine");
    let empty = String::new;
    let want = VoucherPayload {
        giver_id: empty(),
        giver_name: empty(),
        giver_phone: empty(),
        giver_github: empty(),
        items: vec![item("10", "2025-06-30T23:59:59Z")],
        timestamp: 1,
        ..payload()
    };
    assert_eq!(opened.payload, want);
    let none = r#"{"receiver_id":"user456","quota_list":null,"timestamp":1}"#;
    assert_eq!(keys().open(&signed(none)).expect("genuine").payload.items, []);
}

#[test]
fn what_is_signed_and_no_payload_is_refused() {
    let longer = format!("{JSON}x");
    for json in [
        "",
        "null",
        &longer,
        r#"{"quota_list":[],"timestamp":1}"#,
        r#"{"receiver_id":"u","timestamp":1}"#,
        r#"{"receiver_id":"u","quota_list":[]}"#,
        r#"{"receiver_id":"u","quota_list":[],"timestamp":1.5}"#,
        r#"{"receiver_id":"u","quota_list":[{"amount":1}],"timestamp":1}"#,
        r#"{"receiver_id":"u","quota_list":[{"amount":1.0000001,"expiry_date":"2025-06-30T23:59:59Z"}],"timestamp":1}"#,
        r#"{"receiver_id":"u","quota_list":[{"amount":1,"expiry_date":"tomorrow"}],"timestamp":1}"#,
    ] {
        assert!(matches!(keys().open(&signed(json)), Err(VoucherError::Payload(_))), "{json}");
    }
}

#[test]
fn a_voucher_has_one_spelling() {
    let upper = URL_SAFE_NO_PAD.encode(format!("{JSON}|{}", SIGNATURE.to_uppercase()));
    let plus = URL_SAFE_NO_PAD.encode(format!("{JSON}|+{}", &SIGNATURE[1..]));
    let standard = format!("{CODE}==");
    // The last character carries two bits that mean nothing.
    let slack = format!("{}h", &CODE[..CODE.len() - 1]);
    for code in [&upper, &plus, &standard, &slack, &format!(" {CODE}"), &format!("{CODE}\n")] {
        assert!(matches!(keys().open(code), Err(VoucherError::Malformed)), "{code}");
    }
    for bytes in ["", "|", JSON, &format!("{JSON}{SIGNATURE}"), &format!("{JSON}|{SIGNATURE}0")] {
        let code = URL_SAFE_NO_PAD.encode(bytes);
        assert!(matches!(keys().open(&code), Err(VoucherError::Malformed)), "{bytes}");
    }
}

#[test]
fn retired_keys_verify_and_do_not_sign() {
    let new = "another-signing-key-of-at-least-32-bytes";
    let rotated = SigningKeys::new(vec![new.into(), KEY.into()]).expect("long enough");
    assert_eq!(rotated.open(CODE).expect("genuine").payload, payload());
    let code = SigningKeys::code(JSON, &rotated.sign(JSON));
    assert_ne!(code, CODE);
    assert!(matches!(keys().open(&code), Err(VoucherError::WrongSignature)));
    let only = SigningKeys::new(vec![new.into()]).expect("long enough");
    assert_eq!(only.open(&code).expect("genuine").payload, payload());
    assert!(matches!(only.open(CODE), Err(VoucherError::WrongSignature)));
}

#[test]
fn keys_are_long_and_secret() {
    assert_eq!(SigningKeys::new(vec![]).expect_err("none"), KeyError::Missing);
    let refusal = SigningKeys::new(vec![KEY.into(), vec![b'x'; 31]]).expect_err("short");
    assert_eq!(refusal, KeyError::TooShort { position: 2, bytes: 31 });
    assert_eq!(refusal.to_string(), "signing key 2 has 31 bytes, fewer than 32");
    let keys = SigningKeys::new(vec![KEY.into(), vec![b'x'; 32]]).expect("long enough");
    assert_eq!(format!("{keys:?}"), "SigningKeys([redacted]; 2)");
}

#[test]
fn a_voucher_may_be_long_but_not_endless() {
    let items = vec![item("10", "2025-06-30T23:59:59Z"); 1000];
    let payload = VoucherPayload { items, ..payload() };
    let code = signed(&payload.to_json());
    assert_eq!(keys().open(&code).expect("genuine").payload, payload);
    let endless = "A".repeat(VOUCHER_BYTES_MAX + 1);
    assert!(matches!(keys().open(&endless), Err(VoucherError::TooLong { bytes: 1_048_577 })));
    assert!(matches!(keys().open(&endless[1..]), Err(VoucherError::Malformed)));
}

#[test]
fn an_id_is_read_as_it_is_printed() {
    let id = VoucherId::of(CODE);
    let text = id.to_string();
    assert_eq!(text, blake3::hash(CODE.as_bytes()).to_hex()[..32]);
    assert_eq!(text.parse(), Ok(id));
    let json = serde_json::to_string(&id).expect("prints");
    assert_eq!(json, format!("\"{text}\""));
    assert_eq!(serde_json::from_str::<VoucherId>(&json).expect("reads"), id);
    let hyphenated = uuid::Uuid::from_bytes(id.0).to_string();
    for wrong in ["", &text[1..], &text.to_uppercase(), &hyphenated, &format!("{text}0")] {
        assert_eq!(wrong.parse::<VoucherId>(), Err(VoucherIdError), "{wrong}");
    }
    assert_eq!("0".repeat(32).parse(), Ok(VoucherId([0; 16])));
}

proptest! {
    #[test]
    fn a_changed_code_is_refused(position in 0..CODE.len(), byte in 0_u8..128) {
        let mut bytes = CODE.as_bytes().to_vec();
        prop_assume!(bytes[position] != byte);
        bytes[position] = byte;
        let code = String::from_utf8(bytes).expect("ASCII");
        prop_assert!(matches!(
            keys().open(&code),
            Err(VoucherError::Malformed | VoucherError::WrongSignature)
        ));
    }

    #[test]
    fn every_payload_comes_back(
        names in proptest::array::uniform5(any::<String>()),
        amounts in proptest::collection::vec((any::<i64>(), 0_i64..4_000_000_000_000_000), 0..4),
        offset in -1439_i32..=1439,
        timestamp in any::<i64>(),
    ) {
        let [giver_id, giver_name, giver_phone, giver_github, receiver_id] = names;
        let items = amounts.into_iter().map(|(units, micros)| VoucherItem {
            amount: Credits::from_units(units),
            expires_at: ZonedTimestamp::new(crate::Timestamp::from_micros(micros), offset.saturating_mul(60))
                .expect("printable"),
        });
        let payload = VoucherPayload {
            giver_id, giver_name, giver_phone, giver_github, receiver_id,
            items: items.collect(), timestamp,
        };
        let opened = keys().open(&signed(&payload.to_json())).expect("genuine");
        prop_assert_eq!(opened.payload, payload);
    }
}
