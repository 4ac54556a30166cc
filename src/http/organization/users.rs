//! A tenant's users: who they are, and what they may do. An administrator has a say over the users of
//! their own tenant, but for developers; what is not theirs is not there for them.

mod password;
mod view;

use axum::{extract::State, http::StatusCode};
use projections::books::Reading;
use schemas::{Change, Command, Name, Role, SetAccount, TenantId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    config::{Secret, is_email},
    domain::AccountRejection,
    http::{
        AppState,
        admin::users::attributes::Description,
        auth::Caller,
        body,
        changes::text,
        ledger::{AtLeast, IdempotencyKey, Reply, fault, submit},
        params::{Path, Query},
        personal::{alone, in_vault, profile_of},
        problem::{ParameterSource, Problem},
        sign_in::with_email,
    },
    passwords,
    personal::PASSWORD,
    writer::Receipt,
};
use view::{Known, OrganizationUser};

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, register))
        .routes(routes!(get, update, deactivate))
        .merge(password::router())
}

/// Whose users.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct UsersQuery {
    /// Whose; the caller's own when left out.
    #[param(value_type = Option<String>)]
    organization_id: Option<Name>,
}

/// Whether anyone may act as a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// The user may sign in and call.
    Active,
    /// Nobody may, whatever the credentials.
    Inactive,
}

/// A tenant's users, in the order in which they became known.
#[utoipa::path(get, path = "/api/v1/organization/users", tag = "organization",
    params(UsersQuery), responses((status = 200, body = [OrganizationUser])))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Query(query): Query<UsersQuery>,
) -> Result<Reply<Vec<OrganizationUser>>, Problem> {
    let name =
        caller.one_tenant(query.organization_id, "organizationId", ParameterSource::Query)?;
    let (sequence, users) = state.views().look_now(|reading| {
        let tenant: TenantId = reading.books.names.find(name.as_str())?;
        let users = reading.books.directory.tenant(tenant).users.iter();
        Some(users.map(|user| Known::new(reading, *user)).collect::<Vec<_>>())
    });
    let users = users.ok_or_else(|| Problem::not_found("organization"))?;
    let users = users.into_iter().map(|known| known.shown(state.vault())).collect();
    Ok(Reply::read(sequence, users))
}

/// One user.
#[utoipa::path(get, path = "/api/v1/organization/users/{user}", tag = "organization",
    params(("user" = String, Path, description = "The user's id")),
    responses((status = 200, body = OrganizationUser)))]
async fn get(
    State(state): State<AppState>,
    caller: Caller,
    _: AtLeast,
    Path(name): Path<Name>,
) -> Result<Reply<OrganizationUser>, Problem> {
    let within = within(&caller)?;
    let (sequence, user) = state.views().look_now(|reading| seen(reading, within.as_ref(), &name));
    Ok(Reply::read(sequence, user?.shown(state.vault())))
}

/// The tenant whose users the caller has a say over; `None`: any.
fn within(caller: &Caller) -> Result<Option<Name>, Problem> {
    Ok(caller.tenant_scope(None)?.tenant)
}

/// A user whom somebody with a say over `within` sees.
fn seen(reading: &Reading, within: Option<&Name>, name: &Name) -> Result<Known, AccountRejection> {
    let names = &reading.books.names;
    let user: UserId = names.find(name.as_str()).ok_or(AccountRejection::NoSuchUser)?;
    let home = reading.books.directory.user(user).tenant;
    let is_seen = match within {
        None => true,
        Some(within) => home.is_some() && names.find(within.as_str()) == home,
    };
    if is_seen { Ok(Known::new(reading, user)) } else { Err(AccountRejection::NoSuchUser) }
}

/// A user to be known.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Registration {
    /// The user's id.
    #[schema(value_type = String)]
    user_id: Name,
    /// The tenant the user belongs to; an administrator's own when left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// The e-mail address.
    #[serde(default, deserialize_with = "text")]
    #[schema(value_type = Option<String>)]
    email: Change<Name>,
    /// What people call the user.
    #[serde(default, deserialize_with = "text")]
    #[schema(value_type = Option<String>)]
    name: Change<Name>,
    /// What the user may do; `tenant_user` when left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// `active` when left out.
    #[serde(default)]
    #[schema(inline)]
    status: Option<Status>,
    /// At least 12 characters; without one, nobody signs in as this user.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    password: Option<Secret>,
}

/// Makes a user known, with an account. `email` and `name` are encrypted before they go into the
/// log, and the hash of the password as well.
///
/// A user who has an account already is not changed by this.
#[utoipa::path(post, path = "/api/v1/organization/users", tag = "organization",
    request_body = Registration,
    responses((status = 201, body = OrganizationUser), (status = 200, body = OrganizationUser)))]
async fn register(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    body::Json(registration): body::Json<Registration>,
) -> Result<Reply<OrganizationUser>, Problem> {
    let Registration { user_id, organization_id, email, name, role, status, password } =
        registration;
    let tenant = match (organization_id, role) {
        // A developer need not belong anywhere.
        (None, Some(Role::Developer)) => caller.tenant.clone(),
        (asked, _) => Some(caller.one_tenant(asked, "organizationId", ParameterSource::Body)?),
    };
    let password = match password {
        Some(password) => Some(hashed(&state, &user_id, password, "password", &key).await?),
        None => None,
    };
    let order = Order {
        creates: true,
        tenant,
        role,
        status,
        email,
        name,
        password,
        ..Order::of(within(&caller)?)
    };
    let (receipt, user) = set(&state, &caller, key, user_id, order).await?;
    Ok(Reply::written(&receipt, user))
}

/// What changes of a user; what is left out stays.
#[derive(Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Changes {
    /// The tenant the user belongs to from now on: for developers.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    organization_id: Option<Name>,
    /// The e-mail address; `null` takes it away.
    #[serde(default, deserialize_with = "text")]
    #[schema(value_type = Option<String>)]
    email: Change<Name>,
    /// What people call the user; `null` takes it away.
    #[serde(default, deserialize_with = "text")]
    #[schema(value_type = Option<String>)]
    name: Change<Name>,
    /// What the user may do.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// Whether anyone may act as the user.
    #[serde(default)]
    #[schema(inline)]
    status: Option<Status>,
}

/// A user who was changed.
#[derive(Debug, Serialize, ToSchema)]
struct Changed {
    /// In words.
    message: &'static str,
    /// The user now.
    #[serde(flatten)]
    user: OrganizationUser,
}

/// Changes what is named of a user.
#[utoipa::path(put, path = "/api/v1/organization/users/{user}", tag = "organization",
    params(("user" = String, Path, description = "The user's id")), request_body = Changes,
    responses((status = 200, body = Changed)))]
async fn update(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(user): Path<Name>,
    body::Json(changes): body::Json<Changes>,
) -> Result<Reply<Changed>, Problem> {
    let Changes { organization_id: tenant, email, name, role, status } = changes;
    let names_nothing = tenant.is_none()
        && (&email, &name) == (&Change::Keep, &Change::Keep)
        && role.is_none()
        && status.is_none();
    if names_nothing {
        return Err(fault("body", "must name at least one field", ParameterSource::Body));
    }
    let order = Order { tenant, role, status, email, name, ..Order::of(within(&caller)?) };
    let (receipt, user) = set(&state, &caller, key, user, order).await?;
    let answer = Changed { message: "User updated", user };
    Ok(Reply::written(&receipt, answer).with_status(StatusCode::OK))
}

/// Deactivates a user: from now on nobody acts as them, whatever the credentials.
#[utoipa::path(delete, path = "/api/v1/organization/users/{user}", tag = "organization",
    params(("user" = String, Path, description = "The user's id")),
    responses((status = 200, body = Changed)))]
async fn deactivate(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(user): Path<Name>,
) -> Result<Reply<Changed>, Problem> {
    let order = Order { status: Some(Status::Inactive), ..Order::of(within(&caller)?) };
    let (receipt, user) = set(&state, &caller, key, user, order).await?;
    let answer = Changed { message: "User deactivated", user };
    Ok(Reply::written(&receipt, answer).with_status(StatusCode::OK))
}

/// What is to become of a user.
#[derive(Debug)]
struct Order {
    within: Option<Name>,
    creates: bool,
    tenant: Option<Name>,
    role: Option<Role>,
    status: Option<Status>,
    email: Change<Name>,
    name: Change<Name>,
    /// The hash of a password.
    password: Option<String>,
    keeps_session: Option<[u8; 32]>,
}

impl Order {
    /// Nothing yet, by somebody with a say over `within`.
    const fn of(within: Option<Name>) -> Self {
        Self {
            within,
            creates: false,
            tenant: None,
            role: None,
            status: None,
            email: Change::Keep,
            name: Change::Keep,
            password: None,
            keeps_session: None,
        }
    }
}

/// The hash of a password that `field` gives. It is the same when a request is repeated under its
/// key, so that another password is told apart.
async fn hashed(
    state: &AppState,
    user: &Name,
    password: Secret,
    field: &str,
    key: &IdempotencyKey,
) -> Result<String, Problem> {
    if let Some(reason) = passwords::fault(&password) {
        return Err(fault(field, reason, ParameterSource::Body));
    }
    let salted_by = key.as_str().map(|key| format!("{user}\u{1f}{key}"));
    Ok(state.passwords().hash(password, salted_by).await?)
}

/// Sees to it that a user is as ordered, and shows the user.
async fn set(
    state: &AppState,
    caller: &Caller,
    key: IdempotencyKey,
    user: Name,
    order: Order,
) -> Result<(Receipt, OrganizationUser), Problem> {
    if let Change::Set(email) = &order.email
        && !is_email(email.as_str())
    {
        return Err(fault("email", "must be a valid e-mail address", ParameterSource::Body));
    }
    let is_oneself = caller.user.as_ref() == Some(&user);
    if is_oneself && caller.role != Role::Developer && order.status == Some(Status::Inactive) {
        return Err(Problem::forbidden("nobody deactivates their own account"));
    }
    if order.within.is_some() && user == state.accounts().super_admin_user {
        let of_developers =
            if order.creates { AccountRejection::UserTaken } else { AccountRejection::NoSuchUser };
        return Err(of_developers.into());
    }
    let (state, caller) = (state.clone(), caller.clone());
    alone(state.clone(), async move {
        if let (Some(within), Change::Set(email)) = (&order.within, &order.email) {
            refuse_taken(&state, within.clone(), email).await?;
        }
        let profile = state.views().look(|reading| profile_of(reading, &user)).unwrap_or_default();
        let vault = state.vault().clone();
        let Order { within, creates, tenant, role, status, email, name, password, keeps_session } =
            order;
        let (attributes, password) = in_vault(move || {
            let mut key = profile.keys.first().copied().filter(|key| vault.holds(*key));
            if password.is_some() && key.is_none() {
                key = Some(vault.new_key()?);
            }
            let sealed = match (key, password) {
                (Some(key), Some(hash)) => Some(vault.seal(key, PASSWORD, &hash)?),
                _ => None,
            };
            Ok((Description::of_person(name, email).seal(&vault, key)?, sealed))
        })
        .await?;
        let active = status.map(|status| status == Status::Active);
        let command = SetAccount {
            within: within.clone(),
            user: user.clone(),
            creates,
            tenant,
            role,
            active,
            attributes,
            password,
            keeps_session,
        };
        let command = Command::SetAccount(Box::new(command));
        let receipt = submit(&state, &caller, key, command).await?;
        let known = state.views().look(|reading| seen(reading, within.as_ref(), &user))?;
        Ok((receipt, known.shown(state.vault())))
    })
    .await
}

/// Refuses an e-mail address with which somebody signs in who is not of `within`.
async fn refuse_taken(state: &AppState, within: Name, email: &Name) -> Result<(), Problem> {
    let (views, vault) = (state.views().clone(), state.vault().clone());
    let email = email.as_str().to_lowercase();
    let holders = state.passwords().work(move || with_email(&views, &vault, &email)).await?;
    let is_elsewhere = state.views().look(|reading| {
        let own: Option<TenantId> = reading.books.names.find(within.as_str());
        let home = |user| reading.books.directory.user(user).tenant;
        holders.iter().any(|holder| own.is_none() || home(holder.user) != own)
    });
    if is_elsewhere { Err(AccountRejection::EmailTaken.into()) } else { Ok(()) }
}

impl From<AccountRejection> for Problem {
    fn from(rejection: AccountRejection) -> Self {
        crate::domain::Rejection::from(rejection).into()
    }
}
