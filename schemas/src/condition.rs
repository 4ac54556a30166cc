//! Who a recharge strategy is for: a condition over what is known of one user, read from text,
//! printed in one canonical way and judged without errors. It knows the facts only as questions to
//! ask; where they come from is the caller's business.

mod function;
mod parse;
mod refusal;
#[cfg(test)]
mod tests;

use std::fmt;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::{Credits, Timestamp};

use function::Function;
pub use refusal::ConditionError;

/// What a condition may ask about one user.
pub trait Facts {
    /// The user's own id.
    fn user_id(&self) -> &str;
    /// When the user registered, if that is known.
    fn register_time(&self) -> Option<Timestamp>;
    /// When the user was last there, if that is known.
    fn access_time(&self) -> Option<Timestamp>;
    /// Whether the user has starred this project, by its exact name.
    fn has_starred(&self, project: &str) -> bool;
    /// The quota that the user has left for this model.
    fn remaining(&self, model: &str) -> Credits;
    /// The user's VIP level, 0 for none.
    fn vip(&self) -> i64;
    /// The user's organization, empty for none.
    fn org(&self) -> &str;
}

/// A condition that was read and understood. The empty text is one too: it holds for everyone.
///
/// Its canonical text, which [`Display`](fmt::Display) prints and [`Condition::parse`] reads back as
/// the same condition, writes every operator as a function, every text in quotes and every number
/// without: `and(is-vip(1), belong-to("acme", "globex"))`. It is also what stands in the log: so
/// whatever is read there has passed the parser and its limits, and an older text must stay
/// readable as long as there are logs that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition(Option<Node>);

impl Condition {
    /// The longest text that is read, and the longest canonical text of a condition, in bytes.
    pub const TEXT_BYTES_MAX: usize = 4096;
    /// How many parentheses may be open at once, in the text that is read and in the canonical one.
    pub const DEPTH_MAX: usize = 64;

    /// Reads the text of a condition.
    ///
    /// Functions are `match-user`, `register-before`, `access-after`, `github-star`, `quota-le`,
    /// `is-vip`, `belong-to`, `and`, `or`, `not`, `true` and `false`, in lower case. Conditions can
    /// also be joined by `and` and, less tightly, `or` between them, and put in parentheses. Times
    /// are quoted, `YYYY-MM-DD HH:MM:SS` in UTC; numbers are not quoted; other texts need quotes
    /// only around white space, commas and parentheses, and have no way to hold a quote. White
    /// space between words is free, and so are extra commas between arguments. Between two arguments
    /// that are conditions the comma can be left out, but not before `and` or `or`, which would then
    /// join them.
    ///
    /// # Errors
    /// At the first character that fits none of this, at the argument that a function cannot take,
    /// and where a limit is passed.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        let condition = Self(parse::condition(text)?);
        let bytes = condition.to_string().len();
        if bytes > Self::TEXT_BYTES_MAX {
            return Err(parse::longer_when_printed(text, bytes));
        }
        Ok(condition)
    }

    /// Whether the condition holds for the user of these facts. `and` and `or` ask no further than
    /// they must.
    pub fn holds(&self, facts: &impl Facts) -> bool {
        self.0.as_ref().is_none_or(|node| node.holds(facts))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |node| node.fmt(formatter))
    }
}

/// As the canonical text.
impl Encode for Condition {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.to_string().encode(encoder)
    }
}

/// From the canonical text.
impl<Context> Decode<Context> for Condition {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::parse(&String::decode(decoder)?)
            .map_err(|error| DecodeError::OtherString(error.to_string()))
    }
}

bincode::impl_borrow_decode!(Condition);

/// One function with its arguments, as [`Function`] describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    MatchUser(Vec<String>),
    RegisterBefore(Timestamp),
    AccessAfter(Timestamp),
    GithubStar(String),
    QuotaLe { model: String, limit: Credits },
    IsVip(i64),
    BelongTo(Vec<String>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    True,
    False,
}

impl Node {
    fn function(&self) -> Function {
        match self {
            Self::MatchUser(_) => Function::MatchUser,
            Self::RegisterBefore(_) => Function::RegisterBefore,
            Self::AccessAfter(_) => Function::AccessAfter,
            Self::GithubStar(_) => Function::GithubStar,
            Self::QuotaLe { .. } => Function::QuotaLe,
            Self::IsVip(_) => Function::IsVip,
            Self::BelongTo(_) => Function::BelongTo,
            Self::And(_) => Function::And,
            Self::Or(_) => Function::Or,
            Self::Not(_) => Function::Not,
            Self::True => Function::True,
            Self::False => Function::False,
        }
    }

    fn holds(&self, facts: &impl Facts) -> bool {
        match self {
            Self::MatchUser(users) => users.iter().any(|user| user == facts.user_id()),
            Self::RegisterBefore(moment) => {
                facts.register_time().is_some_and(|registered| registered <= *moment)
            }
            Self::AccessAfter(moment) => {
                facts.access_time().is_some_and(|accessed| accessed > *moment)
            }
            Self::GithubStar(project) => facts.has_starred(project),
            Self::QuotaLe { model, limit } => facts.remaining(model) <= *limit,
            Self::IsVip(level) => facts.vip() >= *level,
            Self::BelongTo(orgs) => orgs.iter().any(|org| org == facts.org()),
            Self::And(nodes) => nodes.iter().all(|node| node.holds(facts)),
            Self::Or(nodes) => nodes.iter().any(|node| node.holds(facts)),
            Self::Not(node) => !node.holds(facts),
            Self::True => true,
            Self::False => false,
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}(", self.function().name())?;
        match self {
            Self::MatchUser(texts) | Self::BelongTo(texts) => {
                list(formatter, texts.iter().map(|text| Quoted(text)))?;
            }
            Self::RegisterBefore(moment) | Self::AccessAfter(moment) => {
                Quoted(&plain(*moment)).fmt(formatter)?;
            }
            Self::GithubStar(project) => Quoted(project).fmt(formatter)?,
            Self::QuotaLe { model, limit } => write!(formatter, "{}, {limit}", Quoted(model))?,
            Self::IsVip(level) => level.fmt(formatter)?,
            Self::And(nodes) | Self::Or(nodes) => list(formatter, nodes.iter())?,
            Self::Not(node) => node.fmt(formatter)?,
            Self::True | Self::False => (),
        }
        formatter.write_str(")")
    }
}

struct Quoted<'text>(&'text str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.0)
    }
}

fn list(
    formatter: &mut fmt::Formatter<'_>,
    items: impl Iterator<Item = impl fmt::Display>,
) -> fmt::Result {
    for (index, item) in items.enumerate() {
        if index > 0 {
            formatter.write_str(", ")?;
        }
        item.fmt(formatter)?;
    }
    Ok(())
}

/// A whole second as conditions write it: `YYYY-MM-DD HH:MM:SS`, in UTC.
fn plain(moment: Timestamp) -> String {
    moment.to_string().replace('T', " ").replace('Z', "")
}
