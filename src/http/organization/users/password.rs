//! Setting a password. Whoever sets their own says the present one as well; whoever has a say over
//! the user need not.

use axum::{Extension, extract::State, http::StatusCode};
use schemas::{Name, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Order, hashed, seen, set, within};
use crate::{
    config::Secret,
    domain::AccountRejection,
    http::{
        AppState,
        auth::{Caller, SessionDigest},
        body,
        ledger::{IdempotencyKey, Reply, fault},
        params::Path,
        problem::{Kind, ParameterSource, Problem},
        sign_in::{Client, Who, attempt},
    },
    passwords,
    personal::PASSWORD,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(put))
}

/// A password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewPassword {
    /// At least 12 characters.
    #[schema(value_type = String)]
    password: Secret,
    /// The present one, from whoever sets their own.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    current_password: Option<Secret>,
}

/// What was done, in words.
#[derive(Debug, Serialize, ToSchema)]
struct Message {
    /// In words.
    message: &'static str,
}

/// Sets a user's password, and ends the user's sessions but for the one that asks.
#[utoipa::path(put, path = "/api/v1/organization/users/{user}/password", tag = "organization",
    params(("user" = String, Path, description = "The user's id")), request_body = NewPassword,
    responses((status = 200, body = Message)))]
async fn put(
    State(state): State<AppState>,
    caller: Caller,
    session: Option<Extension<SessionDigest>>,
    client: Client,
    key: IdempotencyKey,
    Path(user): Path<Name>,
    body::Json(NewPassword { password, current_password }): body::Json<NewPassword>,
) -> Result<Reply<Message>, Problem> {
    if let Some(reason) = passwords::fault(&password) {
        return Err(fault("password", reason, ParameterSource::Body));
    }
    let mut order = Order::of(within(&caller)?);
    if caller.user.as_ref() == Some(&user) {
        let given = Given { new: password.clone(), current: current_password };
        given.check(&state, &caller, &user, client, key.as_str().is_some()).await?;
        order.keeps_session = session.map(|Extension(SessionDigest(digest))| digest);
    } else {
        if caller.role == Role::TenantUser {
            return Err(Problem::forbidden("this belongs to another user"));
        }
        state.views().look(|reading| seen(reading, order.within.as_ref(), &user).map(|_| ()))?;
    }
    order.password = Some(hashed(&state, &user, password, "password", &key).await?);
    let (receipt, _) = set(&state, &caller, key, user, order).await?;
    Ok(Reply::written(&receipt, Message { message: "Password set" }).with_status(StatusCode::OK))
}

/// What somebody gives to set their own.
struct Given {
    new: Secret,
    current: Option<Secret>,
}

impl Given {
    /// Refuses whoever does not know the present password. One who repeats a request that has
    /// succeeded knows it as the new one.
    async fn check(
        self,
        state: &AppState,
        caller: &Caller,
        user: &Name,
        client: Client,
        may_repeat: bool,
    ) -> Result<(), Problem> {
        let known = state
            .views()
            .look(|reading| seen(reading, within(caller)?.as_ref(), user).map_err(Problem::from))?;
        let Some(sealed) = known.account.password else {
            // Credentials that may less than the user must not lead to some that may as much.
            return if caller.role == Role::TenantUser {
                Err(Problem::forbidden("an administrator sets the first password"))
            } else if caller.role < known.account.role() {
                Err(AccountRejection::DevelopersOnly.into())
            } else {
                Ok(())
            };
        };
        let current = self.current.ok_or_else(|| {
            fault("currentPassword", "is needed to set one's own", ParameterSource::Body)
        })?;
        let whom = attempt(state, vec![Who::User(user.as_str().to_owned())], client)?;
        let hash = state.vault().unseal(PASSWORD, &sealed);
        let mut found = state.passwords().which(current, vec![hash.clone()]).await?;
        if found.is_none() && may_repeat {
            found = state.passwords().which(self.new, vec![hash]).await?;
        }
        if found.is_none() {
            let detail = "the present password is another one";
            return Err(Problem::new(Kind::Forbidden, "wrong_password", detail));
        }
        state.attempts().succeeded(&whom, user.as_str());
        Ok(())
    }
}
