//! Users' attributes, and their end.

use projections::books::Books;
use schemas::{Attributes, Change, DescribeUser, Event, Name, UserDescribed, UserErased, UserId};

use super::naming::Naming;
use super::rejection::{Rejection, check_text};

/// The longest list of starred projects, in bytes: with the other attributes it must fit into an
/// event.
const STARS_BYTES_MAX: usize = 4_000;

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
        let bytes = stars.iter().map(|star| star.len().saturating_add(2)).sum::<usize>();
        if bytes > STARS_BYTES_MAX {
            return Err(Rejection::TextTooLong { field: "github_star", max: STARS_BYTES_MAX });
        }
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
