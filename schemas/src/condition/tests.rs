//! The language by example: what is read, what it means, and where the rest is refused.

#![expect(clippy::arithmetic_side_effects, reason = "the numbers of a test are small")]

mod laws;

use super::*;

/// A user of whom everything can be said.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) registered: Option<Timestamp>,
    pub(super) accessed: Option<Timestamp>,
    pub(super) starred: Vec<String>,
    pub(super) remaining: Vec<(String, Credits)>,
    pub(super) vip: i64,
    pub(super) org: String,
}

impl Facts for Person {
    fn user_id(&self) -> &str {
        &self.id
    }
    fn register_time(&self) -> Option<Timestamp> {
        self.registered
    }
    fn access_time(&self) -> Option<Timestamp> {
        self.accessed
    }
    fn has_starred(&self, project: &str) -> bool {
        self.starred.iter().any(|starred| starred == project)
    }
    fn remaining(&self, model: &str) -> Credits {
        self.remaining
            .iter()
            .find_map(|(known, credits)| (known == model).then_some(*credits))
            .unwrap_or_default()
    }
    fn vip(&self) -> i64 {
        self.vip
    }
    fn org(&self) -> &str {
        &self.org
    }
}

fn moment(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("RFC 3339")
}

fn alice() -> Person {
    Person {
        id: "alice".to_owned(),
        registered: Some(moment("2023-01-01T00:00:00Z")),
        accessed: Some(moment("2024-05-01T00:00:00Z")),
        starred: vec!["zgsm".to_owned(), "a, (b)".to_owned()],
        remaining: vec![("m".to_owned(), Credits::from_units(10_500_000))],
        vip: 2,
        org: "acme".to_owned(),
    }
}

fn read(text: &str) -> Condition {
    Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn check(text: &str, holds: bool) {
    assert_eq!(read(text).holds(&alice()), holds, "{text}");
}

#[track_caller]
fn check_printed(text: &str, canonical: &str) {
    assert_eq!(read(text).to_string(), canonical);
    assert_eq!(read(canonical).to_string(), canonical);
    assert_eq!(read(canonical), read(text));
}

#[track_caller]
fn check_refused(text: &str, position: usize, message: &str) {
    let error = Condition::parse(text).expect_err(text);
    assert_eq!((error.position(), error.message().as_str()), (position, message), "{text}");
    assert_eq!(error.to_string(), format!("at character {}: {message}", position + 1));
}

#[test]
fn the_known_conditions_are_already_canonical() {
    for text in [
        "",
        r#"github-star("zgsm")"#,
        r#"and(is-vip(1), access-after("2024-05-01 00:00:00"))"#,
        r#"or(register-before("2023-01-01 00:00:00"), is-vip(2))"#,
        r#"quota-le("m", 10)"#,
        r#"not(match-user("alice", "bob"))"#,
        r#"belong-to("")"#,
        "or(true(), false(), and(true(), true()))",
        r#"register-before("0000-01-01 00:00:00")"#,
    ] {
        check_printed(text, text);
    }
}

#[test]
fn every_function_has_its_boundary() {
    check("", true);
    check("true()", true);
    check("false()", false);
    check("match-user(alice)", true);
    check("match-user(Alice)", false);
    check("match-user(bob, alice)", true);
    check(r#"match-user("")"#, false);
    check(r#"register-before("2022-12-31 23:59:59")"#, false);
    check(r#"register-before("2023-01-01 00:00:00")"#, true);
    check(r#"access-after("2024-04-30 23:59:59")"#, true);
    check(r#"access-after("2024-05-01 00:00:00")"#, false);
    check("github-star(zgsm)", true);
    check("github-star(ZGSM)", false);
    check(r#"github-star("a, (b)")"#, true);
    check("quota-le(m, 10.499999)", false);
    check("quota-le(m, 10.5)", true);
    check("quota-le(other, 0)", true);
    check("quota-le(other, -0.000001)", false);
    check("is-vip(2)", true);
    check("is-vip(3)", false);
    check("is-vip(-1)", true);
    check("belong-to(acme)", true);
    check("belong-to(globex, acme)", true);
    check("belong-to(Acme)", false);
    check(r#"belong-to("")"#, false);
    check("not(is-vip(3))", true);
    check("and(true(), true(), false())", false);
    check("or(false(), false(), true())", true);
}

#[test]
fn what_is_not_known_does_not_hold() {
    let stranger = Person { registered: None, accessed: None, org: String::new(), ..alice() };
    let holds = |text| read(text).holds(&stranger);
    assert!(!holds(r#"register-before("9999-12-31 23:59:59")"#));
    assert!(!holds(r#"access-after("0000-01-01 00:00:00")"#));
    assert!(holds(r#"belong-to("")"#));
    assert!(!holds("belong-to(acme)"));
}

#[test]
fn and_and_or_ask_no_further_than_they_must() {
    struct Unasked;
    impl Facts for Unasked {
        fn user_id(&self) -> &'static str {
            unreachable!("was asked")
        }
        fn register_time(&self) -> Option<Timestamp> {
            unreachable!("was asked")
        }
        fn access_time(&self) -> Option<Timestamp> {
            unreachable!("was asked")
        }
        fn has_starred(&self, _: &str) -> bool {
            unreachable!("was asked")
        }
        fn remaining(&self, _: &str) -> Credits {
            unreachable!("was asked")
        }
        fn vip(&self) -> i64 {
            unreachable!("was asked")
        }
        fn org(&self) -> &'static str {
            unreachable!("was asked")
        }
    }
    assert!(!read("and(true(), false(), is-vip(1))").holds(&Unasked));
    assert!(read("or(false(), true(), is-vip(1))").holds(&Unasked));
}

#[test]
fn and_binds_tighter_than_or() {
    check_printed("true() or false() and false()", "or(true(), and(false(), false()))");
    check_printed("true() and false() or false()", "or(and(true(), false()), false())");
    check_printed("(true() or false()) and false()", "and(or(true(), false()), false())");
    check_printed("true() and true() and true()", "and(true(), true(), true())");
    check_printed("not(true() or false())and(true())", "and(not(or(true(), false())), true())");
    check_printed("and(true() or false(), ((true())))", "and(or(true(), false()), true())");
}

#[test]
fn white_space_and_commas_are_free() {
    let canonical = r#"and(is-vip(1), quota-le("m", 10))"#;
    for text in [
        "and(is-vip(1),quota-le(m,10))",
        "\tand\n( is-vip (\r1 ) , quota-le ( m ,\u{3000}10 ) ) \n",
        "and(,is-vip(1),,quota-le(,m,,10,),)",
        "and(is-vip(1) quota-le(m, 10))",
        "and(is-vip(1)quota-le(m, 10))",
        "is-vip(1)and quota-le(m, 10)",
    ] {
        check_printed(text, canonical);
    }
}

#[test]
fn quotes_keep_all_that_is_inside() {
    check_printed("match-user( \" a,\t(b) and'\n\" )", "match-user(\" a,\t(b) and'\n\")");
    check_printed("match-user('bob')", r#"match-user("'bob'")"#);
    check_printed("belong-to(and, or)", r#"belong-to("and", "or")"#);
    check_printed("github-star(日本)", r#"github-star("日本")"#);
}

#[test]
fn numbers_are_printed_plainly() {
    check_printed("is-vip(-0)", "is-vip(0)");
    check_printed("is-vip(007)", "is-vip(7)");
    check_printed("is-vip(-9223372036854775808)", "is-vip(-9223372036854775808)");
    check_printed("quota-le(m, 010.50)", r#"quota-le("m", 10.5)"#);
    check_printed("quota-le(m, 2.5e3)", r#"quota-le("m", 2500)"#);
    check_printed("quota-le(m, -9223372036854.775808)", r#"quota-le("m", -9223372036854.775808)"#);
}

#[test]
fn what_does_not_fit_is_refused_where_it_stands() {
    let operand = "expected a function or `(`";
    let end = "expected `and`, `or` or the end";
    check_refused(" \t", 2, operand);
    check_refused(",is-vip(1)", 0, operand);
    check_refused("()", 1, operand);
    check_refused(r#"and("a", true())"#, 4, operand);
    check_refused("true() and", 10, operand);
    check_refused("true() or )", 10, operand);
    check_refused("is-vip(1)) garbage", 9, end);
    check_refused("is-vip(1) garbage", 10, end);
    check_refused("is-vip(1) AND is-vip(2)", 10, end);
    check_refused("is-vip(1), is-vip(2)", 9, end);
    check_refused("is-vip(1) andtrue()", 10, end);
    check_refused("(true() true())", 8, "expected `and`, `or` or `)`");
    check_refused("(true()", 7, "expected `and`, `or` or `)`");
    check_refused("and(true(), true()", 18, "expected a condition or `)`");
    check_refused("and(true() and(true(), true()))", 21, "expected `and`, `or` or `)`");
    check_refused("is-vip", 6, "expected `(` after `is-vip`");
    check_refused("not true()", 4, "expected `(` after `not`");
    check_refused("and(true, false())", 8, "expected `(` after `true`");
    check_refused("foo", 0, "unknown function `foo`");
    check_refused("and(true(), Is-Vip(1))", 12, "unknown function `Is-Vip`");
    check_refused("日本 (1)", 0, "unknown function `日本`");
    check_refused("match-user(日本 (1))", 14, "expected `,` or `)`");
    check_refused("is-vip(", 7, "expected an argument or `)`");
    check_refused("is-vip(1", 8, "expected `,` or `)`");
    check_refused("match-user(foo bar)", 15, "expected `,` or `)`");
    check_refused(r#"match-user("a" "b")"#, 15, "expected `,` or `)`");
    check_refused(r#"match-user(a"b")"#, 12, "expected `,` or `)`");
    check_refused(r#"quota-le("m" 10)"#, 13, "expected `,` or `)`");
    check_refused("is-vip(is-vip(1))", 13, "expected `,` or `)`");
    check_refused(r#"match-user(a, "b)"#, 14, "missing closing `\"`");
}

#[test]
fn a_wrong_number_of_arguments_is_refused() {
    check_refused("is-vip(1, 2)", 10, "is-vip expects 1 argument, got 2");
    check_refused("is-vip()", 7, "is-vip expects 1 argument, got 0");
    check_refused("match-user(,)", 12, "match-user expects 1 argument or more, got 0");
    check_refused("belong-to()", 10, "belong-to expects 1 argument or more, got 0");
    check_refused("github-star(a, b, c)", 15, "github-star expects 1 argument, got 3");
    check_refused("register-before()", 16, "register-before expects 1 argument, got 0");
    check_refused("access-after()", 13, "access-after expects 1 argument, got 0");
    check_refused("quota-le(m)", 10, "quota-le expects 2 arguments, got 1");
    check_refused("quota-le(m, 1, 2)", 15, "quota-le expects 2 arguments, got 3");
    check_refused("and(true())", 10, "and expects 2 arguments or more, got 1");
    check_refused("or()", 3, "or expects 2 arguments or more, got 0");
    check_refused("not(true() true())", 11, "not expects 1 argument, got 2");
    check_refused("not()", 4, "not expects 1 argument, got 0");
    check_refused("true(1)", 5, "true expects no arguments, got 1");
    check_refused("false(1)", 6, "false expects no arguments, got 1");
}

#[test]
fn a_wrong_number_is_refused() {
    check_refused(r#"is-vip("1")"#, 7, "expected a number without quotes, got `\"1\"`");
    check_refused(r#"quota-le(m, "10")"#, 12, "expected a number without quotes, got `\"10\"`");
    for number in ["1.0", "one", "+1", "1e2", "9223372036854775808", "-"] {
        let message = format!("expected a whole number of 64 bits, got `{number}`");
        check_refused(&format!("is-vip({number})"), 7, &message);
    }
    for (number, why) in [
        ("ten", "`ten` is not a decimal number"),
        ("+1", "`+1` is not a decimal number"),
        ("0.0000001", "`0.0000001` has more than 6 decimals"),
        ("9223372036854.775808", "`9223372036854.775808` is out of range"),
    ] {
        let message = format!("expected a number, but {why}");
        check_refused(&format!("quota-le(m, {number})"), 12, &message);
    }
}

#[test]
fn a_wrong_time_is_refused() {
    for time in [
        "",
        "2024-05-01",
        "2024-05-01T00:00:00",
        "2024-05-01T00:00:00Z",
        "2024-05-01 00:00:00Z",
        "2024-05-01 00:00:00.5",
        "2024-05-01 00:00:00.500",
        "2024-05-01 00:00:00+02:00",
        "2024-5-1 00:00:00",
        " 2024-05-01 00:00:00",
        "2024-05-01  00:00:00",
        "2023-02-29 00:00:00",
        "2024-05-01 24:00:00",
        "2016-12-31 23:59:60",
        "-001-05-01 00:00:00",
    ] {
        let message = format!("expected a time like `2024-05-01 00:00:00`, got `{time}`");
        check_refused(&format!("access-after(\"{time}\")"), 13, &message);
    }
    let message = "expected a time in quotes, got `2024-05-01`";
    check_refused("register-before(2024-05-01)", 16, message);
    check_refused("register-before(2024-05-01 00:00:00)", 27, "expected `,` or `)`");
}

#[test]
fn long_values_are_not_repeated_in_full() {
    let long = "x".repeat(100);
    check_refused(&long, 0, &format!("unknown function `{}`", "x".repeat(40)));
}

#[test]
fn a_text_is_at_most_4096_bytes_in_either_form() {
    let message = "a condition must not be longer than 4096 bytes, got";
    let of_bytes = |bytes: usize| format!("match-user(\"{}\")", "x".repeat(bytes - 14));
    check_printed(&of_bytes(4096), &of_bytes(4096));
    check_refused(&of_bytes(4097), 4096, &format!("{message} 4097"));
    check_refused(&"é".repeat(3000), 2048, &format!("{message} 6000"));
    check_refused(&format!("x{}", "é".repeat(3000)), 2048, &format!("{message} 6001"));

    // Each of these users takes two bytes here and five when printed.
    let of_users = |users: usize| format!("match-user({}a)", "a,".repeat(users - 1));
    assert_eq!(read(&of_users(817)).to_string().len(), 4095);
    let message =
        "a condition must not be longer than 4096 bytes, this one is 4100 once written in full";
    check_refused(&of_users(818), of_users(818).len(), message);
}

#[test]
fn at_most_64_parentheses_are_open_in_either_form() {
    let message = "more than 64 parentheses are open";
    let nots = |count| format!("{}true(){}", "not(".repeat(count), ")".repeat(count));
    check_printed(&nots(63), &nots(63));
    check_refused(&nots(64), 4 * 64 + 4, message);
    let plain = |count| format!("{}true(){}", "(".repeat(count), ")".repeat(count));
    check_printed(&plain(63), "true()");
    check_refused(&plain(64), 64 + 4, message);
    check_refused(&"(".repeat(4096), 64, message);
    check_refused(&"and(".repeat(1024), 4 * 64 + 3, message);

    // Printed, each of these parentheses becomes two.
    let step = "true() and (true() or ";
    let mixed = |count| format!("{}true(){}", step.repeat(count), ")".repeat(count));
    assert_eq!(read(&mixed(31)), read(&read(&mixed(31)).to_string()));
    check_refused(&mixed(32), 0, message);
}

#[test]
fn the_deepest_texts_need_little_stack() {
    let deepest = ["(", "not(", "and(true() or true() and "].map(|step| {
        move || {
            let error = Condition::parse(&step.repeat(63)).expect_err("unfinished");
            assert!(error.message().starts_with("expected"), "{error}");
        }
    });
    for parse in deepest {
        let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(parse);
        thread.expect("a thread").join().expect("enough stack");
    }
}

#[test]
fn the_log_holds_the_canonical_text() {
    let layout = bincode::config::standard();
    let bytes = |condition: &Condition| bincode::encode_to_vec(condition, layout).expect("encodes");
    assert_eq!(bytes(&read("is-vip( 1 )")), b"\x09is-vip(1)");
    assert_eq!(bytes(&read("")), b"\x00");
    let (back, _) =
        bincode::decode_from_slice::<Condition, _>(b"\x09is-vip(1)", layout).expect("a condition");
    assert_eq!(back, read("is-vip(1)"));
    let error =
        bincode::decode_from_slice::<Condition, _>(b"\x09is-vip(x)", layout).expect_err("none");
    assert!(error.to_string().contains("at character 8"), "{error}");
}
