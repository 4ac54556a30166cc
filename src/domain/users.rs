//! Users' attributes, and their end.

use projections::books::Books;
use schemas::{Attributes, Change, DescribeUser, Event, Name, UserDescribed, UserErased, UserId};

use super::naming::Naming;
use super::rejection::{Rejection, check_text};

/// A user's attributes from now on.
pub(super) fn describe(
    command: &DescribeUser,
    naming: &mut Naming<'_>,
) -> Result<Event, Rejection> {
    let DescribeUser { user, attributes } = command;
    let Attributes { github_star, org, vip: _, register_time: _, access_time: _, .. } = attributes;
    if let Change::Set(org) = org {
        check_text("org", org)?;
    }
    if let Change::Set(stars) = github_star {
        stars.iter().try_for_each(|star| check_text("github_star", star))?;
    }
    let user: UserId = naming.id(user);
    Ok(Event::UserDescribed(Box::new(UserDescribed { user, attributes: attributes.clone() })))
}

/// That nothing is known of a user any more; nothing when that was so.
pub(super) fn erase(
    books: &Books,
    user: &Name,
    naming: &Naming<'_>,
) -> Result<Option<Event>, Rejection> {
    let user: UserId = naming.known(user).ok_or(Rejection::NoSuchUser)?;
    let profile = books.profiles.profile(user);
    let is_known = profile.created_at.is_some() || !profile.keys.is_empty();
    Ok(is_known.then_some(Event::UserErased(UserErased { user })))
}
