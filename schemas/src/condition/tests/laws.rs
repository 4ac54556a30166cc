//! What holds for every condition and for every text.

use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec!["alice", "bob", "acme", "zgsm", "m", ""]).prop_map(str::to_owned),
        1 => "[^\"]{0,8}",
    ]
}

fn second() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        3 => 0_i64..4,
        1 => Timestamp::MIN.micros() / 1_000_000..=Timestamp::MAX.micros() / 1_000_000,
    ]
    .prop_map(|seconds| Timestamp::from_micros(seconds * 1_000_000))
}

fn credits() -> impl Strategy<Value = Credits> {
    prop_oneof![3 => -2_i64..3, 1 => any::<i64>()].prop_map(Credits::from_units)
}

fn level() -> impl Strategy<Value = i64> {
    prop_oneof![3 => -1_i64..4, 1 => any::<i64>()]
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        prop::collection::vec(text(), 1..3).prop_map(Node::MatchUser),
        second().prop_map(Node::RegisterBefore),
        second().prop_map(Node::AccessAfter),
        text().prop_map(Node::GithubStar),
        (text(), credits()).prop_map(|(model, limit)| Node::QuotaLe { model, limit }),
        level().prop_map(Node::IsVip),
        prop::collection::vec(text(), 1..3).prop_map(Node::BelongTo),
        Just(Node::True),
        Just(Node::False),
    ];
    leaf.prop_recursive(6, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::Or),
            inner.prop_map(|node| Node::Not(Box::new(node))),
        ]
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let fits = |condition: &Condition| condition.to_string().len() <= Condition::TEXT_BYTES_MAX;
    prop::option::weighted(0.95, node()).prop_map(Condition).prop_filter("too long", fits)
}

fn person() -> impl Strategy<Value = Person> {
    let times = (prop::option::of(second()), prop::option::of(second()));
    let starred = prop::collection::vec(text(), 0..3);
    let remaining = prop::collection::vec((text(), credits()), 0..3);
    (text(), times, starred, remaining, level(), text()).prop_map(
        |(id, (registered, accessed), starred, remaining, vip, org)| Person {
            id,
            registered,
            accessed,
            starred,
            remaining,
            vip,
            org,
        },
    )
}

/// What a condition means, said once more and differently.
fn naive(node: &Node, person: &Person) -> bool {
    let count = |nodes: &[Node]| nodes.iter().filter(|node| naive(node, person)).count();
    match node {
        Node::MatchUser(users) => users.contains(&person.id),
        Node::RegisterBefore(moment) => {
            person.registered.into_iter().any(|at| at.cmp(moment).is_le())
        }
        Node::AccessAfter(moment) => person.accessed > Some(*moment),
        Node::GithubStar(project) => person.starred.contains(project),
        Node::QuotaLe { model, limit } => person.remaining(model).cmp(limit).is_le(),
        Node::IsVip(level) => person.vip.cmp(level).is_ge(),
        Node::BelongTo(orgs) => orgs.contains(&person.org),
        Node::And(nodes) => count(nodes) == nodes.len(),
        Node::Or(nodes) => count(nodes) > 0,
        Node::Not(node) => count(std::slice::from_ref(node)) == 0,
        Node::True => true,
        Node::False => false,
    }
}

/// The same condition as a person may write it; `whims` decides how.
fn sloppy(node: &Node, whims: &mut impl Iterator<Item = usize>) -> String {
    let mut whim = |choices: &[&str]| {
        let index = whims.next().expect("endless") % choices.len();
        choices[index].to_owned()
    };
    let spaces = ["", " ", "\t", "\n  ", "\u{a0}"];
    let name = node.function().name();
    let (before, after) = (whim(&spaces), whim(&spaces));
    let comma = format!("{before}{}{after}", whim(&[",", ",,", ", ,"]));
    let bare = |text: &str| {
        !text.is_empty()
            && !text.contains(|sign: char| sign.is_whitespace() || "(),".contains(sign))
    };
    let mut given = |text: &String| match whim(&["quoted", "bare"]).as_str() {
        "bare" if bare(text) => text.clone(),
        _ => format!("\"{text}\""),
    };
    let arguments = match node {
        Node::MatchUser(texts) | Node::BelongTo(texts) => {
            texts.iter().map(given).collect::<Vec<_>>().join(&comma)
        }
        Node::GithubStar(project) => given(project),
        Node::QuotaLe { model, limit } => format!("{}{comma}{limit}", given(model)),
        Node::RegisterBefore(moment) | Node::AccessAfter(moment) => {
            format!("\"{}\"", plain(*moment))
        }
        Node::IsVip(level) => level.to_string(),
        Node::And(nodes) | Node::Or(nodes) => {
            let infix = whim(&["infix", "function"]) == "infix";
            // Without a comma, `and` and `or` would join and not start the next argument.
            let called = |node: &Node| matches!(node, Node::And(_) | Node::Or(_));
            let gap = if nodes.iter().any(called) { &comma } else { " " };
            let comma =
                if infix { format!("){before} {name}{after} (") } else { whim(&[&comma, gap]) };
            let inner =
                nodes.iter().map(|node| sloppy(node, whims)).collect::<Vec<_>>().join(&comma);
            if infix {
                return format!("{before}({before}({inner})){after}");
            }
            inner
        }
        Node::Not(node) => sloppy(node, whims),
        Node::True | Node::False => String::new(),
    };
    format!("{before}{name}{after}({before}{arguments}{after}){before}")
}

/// A text that parses gives a condition that prints and reads back; any other is refused within it.
fn check_any(text: &str) -> Result<(), TestCaseError> {
    match Condition::parse(text) {
        Ok(condition) => {
            let canonical = condition.to_string();
            prop_assert!(canonical.len() <= Condition::TEXT_BYTES_MAX);
            let again = Condition::parse(&canonical);
            prop_assert_eq!(again.as_ref().map(ToString::to_string), Ok(canonical));
            prop_assert_eq!(again, Ok(condition));
        }
        Err(error) => prop_assert!(error.position() <= text.chars().count(), "{}", error),
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(condition in condition()) {
        prop_assert_eq!(Condition::parse(&condition.to_string()), Ok(condition));
    }

    #[test]
    fn what_is_stored_is_read_back(condition in condition()) {
        let layout = bincode::config::standard();
        let bytes = bincode::encode_to_vec(&condition, layout).expect("encodes");
        let (back, length) = bincode::decode_from_slice(&bytes, layout).expect("decodes");
        prop_assert_eq!((condition, bytes.len()), (back, length));
    }

    #[test]
    fn the_way_of_writing_does_not_matter(
        node in node(),
        whims in prop::collection::vec(any::<usize>(), 64),
    ) {
        let text = sloppy(&node, &mut whims.into_iter().cycle());
        prop_assume!(text.len() <= Condition::TEXT_BYTES_MAX);
        prop_assert_eq!(Condition::parse(&text), Ok(Condition(Some(node))), "{}", text);
    }

    #[test]
    fn a_condition_means_what_it_says(condition in condition(), person in person()) {
        let meant = condition.0.as_ref().is_none_or(|node| naive(node, &person));
        prop_assert_eq!(condition.holds(&person), meant);
    }

    #[test]
    fn any_text_is_read_or_refused_within(text in "\\PC{0,80}|[ \t\n(),\"a-z0-9é-]{0,80}") {
        check_any(&text)?;
    }

    #[test]
    fn any_row_of_words_is_read_or_refused_within(words in prop::collection::vec(
        prop::sample::select(vec![
            "(", ")", ",", " ", "\"", "and", "or", "not", "true", "false", "is-vip", "match-user",
            "quota-le", "access-after", "1", "-0.5", "\"2024-05-01 00:00:00\"", "(true())", "é",
        ]),
        0..24,
    )) {
        check_any(&words.concat())?;
    }

    #[test]
    fn a_damaged_condition_is_read_or_refused_within(
        condition in condition(),
        place in any::<prop::sample::Index>(),
        cut in 0_usize..3,
        new in prop::option::of(prop::sample::select(vec!['(', ')', ',', '"', ' ', 'x', '0', 'é'])),
    ) {
        let signs = condition.to_string().chars().collect::<Vec<_>>();
        let place = place.index(signs.len() + 1);
        let (front, back) = signs.split_at(place);
        let damaged = front.iter().copied().chain(new).chain(back.iter().skip(cut).copied());
        check_any(&damaged.collect::<String>())?;
    }
}
