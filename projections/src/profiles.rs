//! Users' attributes: what strategies judge by, and, sealed, who the person is.

use bincode::{Decode, Encode};
use schemas::{
    Attributes, Event, NameId, Recorded, Sealed, SealedGiver, Timestamp, UserDescribed, UserId,
};

use crate::collections::Paged;
use crate::projection::Projection;

/// What is known of a user. All of it may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Profile {
    /// When somebody first described the user.
    pub created_at: Option<Timestamp>,
    /// When somebody last did.
    pub updated_at: Option<Timestamp>,
    /// What people call the user.
    pub name: Option<Sealed>,
    /// The e-mail address.
    pub email: Option<Sealed>,
    /// The phone number.
    pub phone: Option<Sealed>,
    /// The GitHub user name.
    pub github_username: Option<Sealed>,
    /// The projects that the user has starred.
    pub github_star: Vec<String>,
    /// The level of importance.
    pub vip: i64,
    /// The organization, as strategies know it; empty: none.
    pub org: String,
    /// When the user registered.
    pub register_time: Option<Timestamp>,
    /// When the user was last there.
    pub access_time: Option<Timestamp>,
    /// Every key that something about the user was sealed under and that was not erased.
    pub keys: Vec<u32>,
}

impl Profile {
    fn change(&mut self, attributes: &Attributes) {
        let Attributes {
            name,
            email,
            phone,
            github_username,
            github_star,
            vip,
            org,
            register_time,
            access_time,
        } = attributes.clone();
        name.apply_to(&mut self.name);
        email.apply_to(&mut self.email);
        phone.apply_to(&mut self.phone);
        github_username.apply_to(&mut self.github_username);
        github_star.apply_or_default(&mut self.github_star);
        vip.apply_or_default(&mut self.vip);
        org.apply_or_default(&mut self.org);
        register_time.apply_to(&mut self.register_time);
        access_time.apply_to(&mut self.access_time);
    }

    fn note_keys<'a>(&mut self, sealed: impl IntoIterator<Item = &'a Option<Sealed>>) {
        for sealed in sealed.into_iter().flatten() {
            if !self.keys.contains(&sealed.key) {
                self.keys.push(sealed.key);
            }
        }
    }
}

/// Everyone's attributes.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Profiles {
    profiles: Paged<Profile>,
}

impl Profiles {
    /// What is known of a user.
    #[must_use]
    pub fn profile(&self, user: UserId) -> &Profile {
        self.profiles.get(user.number())
    }

    /// The highest number of a key that is on record.
    #[must_use]
    pub fn last_key(&self) -> Option<u32> {
        self.profiles.iter().flat_map(|(_, profile)| &profile.keys).copied().max()
    }

    fn describe(&mut self, described: &UserDescribed, at: Timestamp) {
        let profile = self.profiles.get_mut(described.user.number());
        profile.created_at.get_or_insert(at);
        profile.updated_at = Some(at);
        profile.change(&described.attributes);
        let Profile { name, email, phone, github_username, .. } = profile.clone();
        profile.note_keys(&[name, email, phone, github_username]);
    }
}

impl Projection for Profiles {
    const NAME: &'static str = "profiles";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::UserDescribed(described) => self.describe(described, recorded.recorded_at),
            Event::VoucherIssued(voucher) => {
                let SealedGiver { name, phone, github } = &voucher.identity;
                if [name, phone, github].into_iter().any(Option::is_some) {
                    self.profiles.get_mut(voucher.giver.number()).note_keys([name, phone, github]);
                }
            }
            Event::PasswordSet(set) => {
                self.profiles.get_mut(set.user.number()).note_keys([&Some(set.hash.clone())]);
            }
            Event::UserErased(erased) => {
                *self.profiles.get_mut(erased.user.number()) = Profile::default();
            }
            _ => (),
        }
    }
}
