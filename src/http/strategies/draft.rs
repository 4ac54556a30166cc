//! Bodies that make and change a strategy. What a strategy must satisfy beyond the kinds of its
//! fields is decided where it is recorded.

use schemas::{Command, Credits, Name, StrategyDraft, StrategyId, StrategyKind, UpdateStrategy};
use serde::{Deserialize, Deserializer, de};
use utoipa::ToSchema;

/// A strategy to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    /// Unique among the strategies there are.
    name: String,
    /// For people; the name when left out.
    title: Option<String>,
    /// `single` or `periodic`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: StrategyKind,
    /// What it gives each time, above zero, with at most 6 decimals.
    #[schema(value_type = f64)]
    amount: Credits,
    /// What its lots are labelled with.
    #[serde(default, deserialize_with = "label")]
    #[schema(value_type = Option<String>)]
    model: Option<Name>,
    /// When a periodic strategy gives: five fields of cron, `@daily` and its like, `@every 1h30m`;
    /// with `TZ=Area/City` before it in that zone.
    periodic_expr: Option<String>,
    /// To whom it gives, as in `and(is-vip(1), quota-le("gpt-4", 100))`; to everyone when left out.
    condition: Option<String>,
    /// Whether it gives at all; it does when left out.
    status: Option<bool>,
    /// How often a user gets it at most; 0: no cap.
    max_exec_per_user: Option<u32>,
}

impl From<Draft> for Box<StrategyDraft> {
    fn from(draft: Draft) -> Self {
        let Draft {
            name,
            title,
            kind,
            amount,
            model,
            periodic_expr,
            condition,
            status,
            max_exec_per_user,
        } = draft;
        Self::new(StrategyDraft {
            title: title.unwrap_or_else(|| name.clone()),
            name,
            kind,
            amount,
            model,
            periodic_expr: periodic_expr.unwrap_or_default(),
            condition: condition.unwrap_or_default(),
            enabled: status.unwrap_or(true),
            max_exec_per_user: max_exec_per_user.unwrap_or_default(),
        })
    }
}

/// What changes of a strategy. What is left out stays; nothing can be `null` but `model`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Amendment {
    /// Unique among the strategies there are.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    name: Option<String>,
    /// For people.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    title: Option<String>,
    /// `single` or `periodic`.
    #[serde(default, rename = "type", deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    kind: Option<StrategyKind>,
    /// What it gives each time, above zero, with at most 6 decimals.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f64>)]
    amount: Option<Credits>,
    /// What its lots are labelled with; `null` or empty: nothing any more.
    #[serde(default, deserialize_with = "given_label")]
    #[schema(value_type = Option<String>)]
    #[expect(clippy::option_option, reason = "changed or not, labelled or not")]
    model: Option<Option<Name>>,
    /// When a periodic strategy gives.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    periodic_expr: Option<String>,
    /// To whom it gives; empty: to everyone.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    condition: Option<String>,
    /// Whether it gives at all.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<bool>)]
    status: Option<bool>,
    /// How often a user gets it at most; 0: no cap.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    max_exec_per_user: Option<u32>,
    #[serde(default, rename = "id", deserialize_with = "fixed")]
    #[schema(ignore)]
    _id: (),
    #[serde(default, rename = "create_time", deserialize_with = "fixed")]
    #[schema(ignore)]
    _create_time: (),
    #[serde(default, rename = "update_time", deserialize_with = "fixed")]
    #[schema(ignore)]
    _update_time: (),
}

impl Amendment {
    /// The command that makes it to this strategy.
    pub(super) fn of(self, strategy: StrategyId) -> Command {
        let Self {
            name,
            title,
            kind,
            amount,
            model,
            periodic_expr,
            condition,
            status,
            max_exec_per_user,
            _id: (),
            _create_time: (),
            _update_time: (),
        } = self;
        Command::UpdateStrategy(Box::new(UpdateStrategy {
            strategy,
            name,
            title,
            kind,
            amount,
            model,
            periodic_expr,
            condition,
            enabled: status,
            max_exec_per_user,
        }))
    }
}

/// A model; none for `null` and for the empty text, which stood for none before.
fn label<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Name>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| Name::try_from(text).map_err(de::Error::custom)).transpose()
}

/// A value that is there, and must not be `null`.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[expect(clippy::option_option, reason = "changed or not, labelled or not")]
fn given_label<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Name>>, D::Error> {
    label(deserializer).map(Some)
}

/// A field that nobody sets.
fn fixed<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(de::Error::custom("cannot be changed"))
}
