//! The functions of the language: the one list of what can be called, and by which name.

/// A function that a condition can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    /// The user is one of these, by id.
    MatchUser,
    /// Registered at this moment or earlier. Does not hold if nobody knows when.
    RegisterBefore,
    /// Last there later than at this moment. Does not hold if nobody knows when.
    AccessAfter,
    /// Has starred this project.
    GithubStar,
    /// Has this much quota left for this model, or less.
    QuotaLe,
    /// Has this VIP level, or a higher one.
    IsVip,
    /// The user's organization is one of these; the empty one is that of users without.
    BelongTo,
    /// All of these hold.
    And,
    /// One of these holds.
    Or,
    /// This does not hold.
    Not,
    /// Holds for everyone.
    True,
    /// Holds for nobody.
    False,
}

impl Function {
    const ALL: [Self; 12] = [
        Self::MatchUser,
        Self::RegisterBefore,
        Self::AccessAfter,
        Self::GithubStar,
        Self::QuotaLe,
        Self::IsVip,
        Self::BelongTo,
        Self::And,
        Self::Or,
        Self::Not,
        Self::True,
        Self::False,
    ];

    /// What the text calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::MatchUser => "match-user",
            Self::RegisterBefore => "register-before",
            Self::AccessAfter => "access-after",
            Self::GithubStar => "github-star",
            Self::QuotaLe => "quota-le",
            Self::IsVip => "is-vip",
            Self::BelongTo => "belong-to",
            Self::And => "and",
            Self::Or => "or",
            Self::Not => "not",
            Self::True => "true",
            Self::False => "false",
        }
    }

    /// The function of this exact name, if there is one.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }
}
