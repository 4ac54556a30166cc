//! `tallybook replay at`: any projection as it was at a point, folded from the log alone.

use clap::{Args, ValueEnum};
use projections::Projections;
use projections::names::Names;
use schemas::{ActorId, AssistantId, FinishReasonId, ModelId, TenantId, UserId};
use schemas::{
    Credits, Money, Name, NameId, NameKind, Sequence, ServiceTier, TenantStatus, Timestamp,
    TokenClass, Zone,
};

use super::state::{self, Period, Whom, text};
use super::{Check, Common, OpenLog, recharges};
use crate::cli::output::{Document, rows};
use crate::views::{AsOf, percent, rule_name};

/// The flags of `replay at`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// After this event, or at this time.
    #[arg(long, value_name = "SEQUENCE|RFC3339")]
    as_of: AsOf,
    /// What to print.
    #[arg(long, value_enum, default_value = "all")]
    projection: Projection,
    /// Only of this tenant.
    #[arg(long, value_name = "TENANT", value_parser = name)]
    tenant: Option<Name>,
    /// Only of this user.
    #[arg(long, value_name = "USER", value_parser = name)]
    user: Option<Name>,
}

fn name(text: &str) -> Result<Name, schemas::NameError> {
    Name::try_from(text)
}

/// What can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Projection {
    /// Every name that was introduced, and its number.
    Names,
    /// Who is known.
    Tenants,
    /// What users may still use.
    Quota,
    /// By what strategies judge users.
    Attributes,
    /// What gives quota to whom.
    Strategies,
    /// Quota on its way from one user to another.
    Vouchers,
    /// What tenants have.
    Wallets,
    /// What is kept free for calls.
    Holds,
    /// What tenants were billed, and what they will be.
    Bills,
    /// What models cost.
    Prices,
    /// Usage in all.
    Usage,
    /// Usage by day.
    Daily,
    /// Usage by month.
    Monthly,
    /// Calls that are not settled: halves that wait, and usage without a price.
    Calls,
    /// All of these.
    All,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { common, as_of, projection, tenant, user } = arguments;
    let log = OpenLog::open(&common.data_dir, Check::Tail)?;
    let (sequence, moment) = log.point(*as_of)?;
    let state = log.fold(Projections::default(), sequence, common.json)?;
    let names = &state.books.names;
    let whom = Whom {
        tenant: tenant.as_ref().map(|name| find(names, name, "tenant")).transpose()?,
        user: user.as_ref().map(|name| find(names, name, "user")).transpose()?,
    };
    let mut document = Document::default();
    document.field("sequence", sequence)?;
    document.field("moment", moment)?;
    let mut print = |which: Projection| {
        let is_asked_for = *projection == which || *projection == Projection::All;
        if is_asked_for { which.print(&state, whom, moment, &mut document) } else { Ok(()) }
    };
    for which in Projection::value_variants() {
        if *which != Projection::All {
            print(*which)?;
        }
    }
    document.print(common.json)
}

fn find<Id: NameId>(names: &Names, name: &Name, kind: &str) -> anyhow::Result<Id> {
    let found = names.find(name.as_str());
    found.ok_or_else(|| anyhow::anyhow!("there was no {kind} `{name}` then"))
}

rows! {
    /// An introduced name.
    NameRow { kind: Kind, number: u32, name: String, }
    /// A tenant.
    TenantRow {
        organization_id: String,
        name: String,
        registered: bool,
        status: Lower<TenantStatus>,
        time_zone: Zone,
        markup_percent: Credits,
        draw_rule: &'static str,
        created_at: Timestamp,
    }
    /// A user.
    UserRow { user_id: String, organization_id: String, registered: bool, created_at: Timestamp, }
    /// A published price book.
    BookRow { version: u32, effective_at: Timestamp, models: u32, source: String, }
    /// One price of a model.
    PriceRow {
        model: String,
        version: u32,
        effective_at: Timestamp,
        class: Lower<TokenClass>,
        tier: Lower<ServiceTier>,
        above_tokens: u32,
        per_token: Money,
    }
    /// A half of a call that waits for the other one.
    WaitingRow {
        sequence: Sequence,
        organization_id: String,
        request_id: String,
        present: &'static str,
        since: Timestamp,
        timed_out: bool,
    }
    /// Usage that has no price yet.
    UnratedRow { sequence: Sequence, model: String, }
}

/// A kind of names.
type Kind = Lower<NameKind>;

/// A word of a closed list as JSON has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub(in crate::cli) struct Lower<T>(pub(super) T);

impl<T: serde::Serialize> std::fmt::Display for Lower<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let json = serde_json::to_string(&self.0).map_err(|_| std::fmt::Error)?;
        formatter.write_str(json.trim_matches('"'))
    }
}

impl Projection {
    fn print(
        self,
        state: &Projections,
        whom: Whom,
        moment: Timestamp,
        document: &mut Document,
    ) -> anyhow::Result<()> {
        match self {
            Self::Names => document.table("names", &names(&state.books.names)),
            Self::Tenants => {
                document.table("tenants", &tenants(state, whom))?;
                document.table("users", &users(state, whom))
            }
            Self::Quota => {
                document.table("quota", &state::quota(state, whom, moment))?;
                document.table("lots", &state::lots(state, whom, moment))
            }
            Self::Attributes => document.table("attributes", &recharges::attributes(state, whom)),
            Self::Strategies => document.table("strategies", &recharges::strategies(state)),
            Self::Vouchers => document.table("vouchers", &recharges::vouchers(state, whom)),
            Self::Wallets => document.table("wallets", &state::wallets(state, whom, moment)),
            Self::Holds => document.table("holds", &state::holds(state, whom, moment)),
            Self::Bills => {
                document.table("bills", &state::bills(state, whom))?;
                document.table("unbilled", &state::unbilled(state, whom))?;
                document.table("closed_periods", &state::closed(state, whom))
            }
            Self::Prices => {
                document.table("price_books", &price_books(state))?;
                document.table("prices", &prices(state))
            }
            Self::Usage => document.table("usage", &state::usage(state, whom, Period::Always)),
            Self::Daily => document.table("daily", &state::usage(state, whom, Period::Day)),
            Self::Monthly => document.table("monthly", &state::usage(state, whom, Period::Month)),
            Self::Calls => {
                document.table("waiting", &waiting(state, whom))?;
                document.table("unrated", &unrated(state))
            }
            Self::All => Ok(()),
        }
    }
}

fn names(names: &Names) -> Vec<NameRow> {
    fn of<Id: NameId>(names: &Names) -> impl Iterator<Item = NameRow> {
        names.all::<Id>().map(|(id, name)| NameRow {
            kind: Lower(Id::KIND),
            number: id.number(),
            name: name.to_string(),
        })
    }
    of::<TenantId>(names)
        .chain(of::<UserId>(names))
        .chain(of::<ModelId>(names))
        .chain(of::<AssistantId>(names))
        .chain(of::<ActorId>(names))
        .chain(of::<FinishReasonId>(names))
        .collect()
}

fn tenants(state: &Projections, whom: Whom) -> Vec<TenantRow> {
    let books = &state.books;
    let all = books.names.all().filter(|(tenant, _)| whom.is_tenant(*tenant));
    all.map(|(id, name)| {
        let (tenant, terms) = (books.directory.tenant(id), books.tenants.terms(id));
        TenantRow {
            organization_id: name.to_string(),
            name: tenant.display_name.clone().unwrap_or_else(|| name.to_string()),
            registered: tenant.display_name.is_some(),
            status: Lower(terms.status),
            time_zone: terms.zone.now(),
            markup_percent: percent(terms.markup_basis_points.now()),
            draw_rule: rule_name(books.draw_rules.rule(id).rule),
            created_at: tenant.first_seen,
        }
    })
    .collect()
}

fn users(state: &Projections, whom: Whom) -> Vec<UserRow> {
    let books = &state.books;
    let all = books.names.all().filter(|(user, _)| whom.is_user(&books.directory, *user));
    all.map(|(id, name)| {
        let user = books.directory.user(id);
        UserRow {
            user_id: name.to_string(),
            organization_id: user
                .tenant
                .map(|tenant| text(&books.names, tenant))
                .unwrap_or_default(),
            registered: user.registered,
            created_at: user.first_seen,
        }
    })
    .collect()
}

fn price_books(state: &Projections) -> Vec<BookRow> {
    let books = state.books.prices.books().iter();
    books
        .map(|book| BookRow {
            version: book.version.0,
            effective_at: book.effective_at,
            models: book.models,
            source: book.source.clone(),
        })
        .collect()
}

fn prices(state: &Projections) -> Vec<PriceRow> {
    let mut rows = Vec::new();
    for (model, name) in state.books.names.all::<ModelId>() {
        for priced in state.books.prices.history(model) {
            rows.extend(priced.sheet.rates().iter().map(|rate| PriceRow {
                model: name.to_string(),
                version: priced.version.0,
                effective_at: priced.effective_at,
                class: Lower(rate.class),
                tier: Lower(rate.tier),
                above_tokens: rate.above_tokens,
                per_token: rate.per_token,
            }));
        }
    }
    rows
}

fn waiting(state: &Projections, whom: Whom) -> Vec<WaitingRow> {
    let calls = state.calls.all_waiting().map(|(_, waiting)| waiting);
    let mut rows: Vec<WaitingRow> = calls
        .filter(|waiting| {
            let context = waiting.half.context();
            whom.is_tenant(context.tenant) && (whom.user.is_none() || whom.user == context.user)
        })
        .map(|waiting| WaitingRow {
            sequence: waiting.sequence,
            organization_id: text(&state.books.names, waiting.half.context().tenant),
            request_id: waiting.half.context().request_id.to_string(),
            present: match waiting.half.half() {
                schemas::Half::Request => "request",
                schemas::Half::Response => "response",
            },
            since: waiting.since,
            timed_out: waiting.timed_out,
        })
        .collect();
    rows.sort_by_key(|row| row.sequence);
    rows
}

fn unrated(state: &Projections) -> Vec<UnratedRow> {
    let all = state.books.unrated.all();
    let mut rows: Vec<UnratedRow> = all
        .map(|(sequence, model)| UnratedRow {
            sequence,
            model: model.map(|model| text(&state.books.names, model)).unwrap_or_default(),
        })
        .collect();
    rows.sort_by_key(|row| row.sequence);
    rows
}
