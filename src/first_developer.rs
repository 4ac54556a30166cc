//! The first developer, without whom nobody could make another: made at a start of a book that has
//! none, from the configuration. An account that is there already stays as it is.

use anyhow::Context;
use schemas::{Attributes, Change, Command, Envelope, Name, Role, SetAccount, UserId};

use crate::{
    config::Accounts,
    passwords,
    personal::{EMAIL, PASSWORD},
    service::Book,
    writer::SubmitError,
};

/// Makes the developer that `config` describes, if it does and the book has none.
///
/// # Errors
/// When the keys of personal data cannot be written, or the writer has stopped.
pub(crate) async fn make(book: &Book, config: &Accounts) -> anyhow::Result<()> {
    let (Some(email), Some(password)) = (&config.super_admin_email, &config.super_admin_password)
    else {
        return Ok(());
    };
    let name = &config.super_admin_user;
    let (has_developer, key) = book.views.look(|reading| {
        let user: Option<UserId> = reading.books.names.find(name.as_str());
        let key = user.and_then(|user| {
            let keys = &reading.books.profiles.profile(user).keys;
            keys.first().copied()
        });
        (reading.books.accounts.has_developer(), key)
    });
    if has_developer {
        return Ok(());
    }
    let vault = book.vault.clone();
    let (email, password) = (email.clone(), password.clone());
    let sealed = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let hash = passwords::hash(&password, None)?;
        let key = match key.filter(|key| vault.holds(*key)) {
            Some(key) => key,
            None => vault.new_key()?,
        };
        Ok((vault.seal(key, EMAIL, &email)?, vault.seal(key, PASSWORD, &hash)?))
    });
    let (email, password) = sealed.await.context("cannot make the first developer")??;
    let command = SetAccount {
        within: None,
        user: name.clone(),
        creates: true,
        tenant: None,
        role: Some(Role::Developer),
        active: Some(true),
        attributes: Attributes { email: Change::Set(email), ..Attributes::default() },
        password: Some(password),
        keeps_session: None,
    };
    let actor = Name::try_from("configuration").expect("invariant: a name");
    let envelope = Envelope::new(actor, Command::SetAccount(Box::new(command)));
    match book.writer.submit(envelope).await {
        Ok(_) => tracing::info!(user = %name, "made the first developer, who can sign in now"),
        Err(SubmitError::Rejected(reason)) => tracing::warn!(
            user = %name,
            %reason,
            "there is no developer who can sign in, and none was made"
        ),
        Err(error) => return Err(error).context("cannot make the first developer"),
    }
    Ok(())
}
