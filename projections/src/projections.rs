//! Every fold of the log at one position: what a rebuild makes, what a checkpoint keeps, and what
//! the service starts from.

use bincode::error::{DecodeError, EncodeError};
use schemas::{Recorded, Sequence, Timestamp};

use crate::Projection;
use crate::accounts::Accounts;
use crate::alerts::Alerts;
use crate::bills::Bills;
use crate::books::{Books, Deciding, Reading};
use crate::calls::Calls;
use crate::directory::Directory;
use crate::draw_rules::DrawRules;
use crate::histories::Histories;
use crate::holds::Holds;
use crate::ledger::Ledger;
use crate::limit_usage::LimitUsage;
use crate::names::Names;
use crate::prices::Prices;
use crate::profiles::Profiles;
use crate::quota::Quota;
use crate::strategies::Strategies;
use crate::tenants::Tenants;
use crate::top_ups::TopUps;
use crate::unbilled::Unbilled;
use crate::unrated::Unrated;
use crate::usage::UsageByDay;
use crate::vouchers::Vouchers;
use crate::wallets::Wallets;
use crate::webhooks::Webhooks;

/// The name and the version of every part of a checkpoint.
pub const PARTS: [(&str, u32); 23] = [
    version_of::<Names>(),
    version_of::<Directory>(),
    version_of::<Ledger>(),
    version_of::<Quota>(),
    version_of::<Wallets>(),
    version_of::<Prices>(),
    version_of::<DrawRules>(),
    version_of::<Unrated>(),
    version_of::<Profiles>(),
    version_of::<Strategies>(),
    version_of::<Vouchers>(),
    version_of::<Accounts>(),
    version_of::<Alerts>(),
    version_of::<Bills>(),
    version_of::<Holds>(),
    version_of::<LimitUsage>(),
    version_of::<Tenants>(),
    version_of::<TopUps>(),
    version_of::<Webhooks>(),
    version_of::<Calls>(),
    version_of::<Unbilled>(),
    version_of::<UsageByDay>(),
    version_of::<Histories>(),
];

const fn version_of<P: Projection>() -> (&'static str, u32) {
    (P::NAME, P::VERSION)
}

/// Every fold. Adding a projection is its file and its lines here: the compiler asks for them all.
#[derive(Debug, Clone, Default)]
pub struct Projections {
    /// What both the writer and the readers need.
    pub books: Books,
    /// What has been taken in.
    pub calls: Calls,
    /// What the next bills take.
    pub unbilled: Unbilled,
    /// Usage by day.
    pub usage: UsageByDay,
    /// Which events concern whom.
    pub histories: Histories,
}

/// One projection's part of a checkpoint.
pub struct Part<'a> {
    /// The projection.
    pub name: &'static str,
    /// The version of its state.
    pub version: u32,
    /// Writes the state's canonical bytes.
    pub save: Box<Save<'a>>,
}

/// Writes a state's canonical bytes.
pub type Save<'a> = dyn Fn(&mut dyn std::io::Write) -> Result<(), EncodeError> + Send + 'a;

impl Projections {
    /// Takes one event in.
    pub fn apply(&mut self, recorded: &Recorded) {
        let Self { books, calls, unbilled, usage, histories } = self;
        books.apply(recorded);
        calls.apply(recorded);
        unbilled.apply(recorded);
        usage.apply(recorded);
        histories.apply(recorded);
    }

    /// The last event taken in.
    #[must_use]
    pub const fn head(&self) -> Sequence {
        self.books.head
    }

    /// All parts, in order. The position itself is kept beside them.
    #[must_use]
    pub fn parts(&self) -> Vec<Part<'_>> {
        fn part<P: Projection + Sync>(projection: &P) -> Part<'_> {
            let save = Box::new(|writer: &mut dyn std::io::Write| projection.save(writer));
            Part { name: P::NAME, version: P::VERSION, save }
        }
        let Self { books, calls, unbilled, usage, histories } = self;
        let Books {
            head: _,
            recorded_at: _,
            names,
            directory,
            ledger,
            quota,
            wallets,
            prices,
            draw_rules,
            unrated,
            profiles,
            strategies,
            vouchers,
            accounts,
            alerts,
            bills,
            holds,
            limit_usage,
            tenants,
            top_ups,
            webhooks,
        } = books;
        vec![
            part(names),
            part(directory),
            part(ledger),
            part(quota),
            part(wallets),
            part(prices),
            part(draw_rules),
            part(unrated),
            part(profiles),
            part(strategies),
            part(vouchers),
            part(accounts),
            part(alerts),
            part(bills),
            part(holds),
            part(limit_usage),
            part(tenants),
            part(top_ups),
            part(webhooks),
            part(calls),
            part(unbilled),
            part(usage),
            part(histories),
        ]
    }

    /// Reads the parts back; `bytes` gives each by its name.
    ///
    /// # Errors
    /// When a part is missing or not of this version.
    pub fn load(
        head: Sequence,
        recorded_at: Timestamp,
        mut bytes: impl FnMut(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, DecodeError> {
        fn part<P: Projection>(bytes: Option<Vec<u8>>) -> Result<P, DecodeError> {
            P::load(&bytes.ok_or(DecodeError::Other("a part is missing"))?)
        }
        Ok(Self {
            books: Books {
                head,
                recorded_at,
                names: part(bytes(Names::NAME))?,
                directory: part(bytes(Directory::NAME))?,
                ledger: part(bytes(Ledger::NAME))?,
                quota: part(bytes(Quota::NAME))?,
                wallets: part(bytes(Wallets::NAME))?,
                prices: part(bytes(Prices::NAME))?,
                draw_rules: part(bytes(DrawRules::NAME))?,
                unrated: part(bytes(Unrated::NAME))?,
                profiles: part(bytes(Profiles::NAME))?,
                strategies: part(bytes(Strategies::NAME))?,
                vouchers: part(bytes(Vouchers::NAME))?,
                accounts: part(bytes(Accounts::NAME))?,
                alerts: part(bytes(Alerts::NAME))?,
                bills: part(bytes(Bills::NAME))?,
                holds: part(bytes(Holds::NAME))?,
                limit_usage: part(bytes(LimitUsage::NAME))?,
                tenants: part(bytes(Tenants::NAME))?,
                top_ups: part(bytes(TopUps::NAME))?,
                webhooks: part(bytes(Webhooks::NAME))?,
            },
            calls: part(bytes(Calls::NAME))?,
            unbilled: part(bytes(Unbilled::NAME))?,
            usage: part(bytes(UsageByDay::NAME))?,
            histories: part(bytes(Histories::NAME))?,
        })
    }

    /// What the writer decides by and what readers read, each on its own from here on.
    #[must_use]
    pub fn split(self) -> (Deciding, Reading) {
        let Self { books, calls, unbilled, usage, histories } = self;
        (Deciding { books: books.clone(), calls, unbilled }, Reading { books, usage, histories })
    }

    /// The whole again, from what the writer and the readers hold at the same position.
    #[must_use]
    pub fn join(deciding: Deciding, usage: UsageByDay, histories: Histories) -> Self {
        let Deciding { books, calls, unbilled } = deciding;
        Self { books, calls, unbilled, usage, histories }
    }
}
