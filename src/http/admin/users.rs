//! Users' attributes: what strategies judge by, and who the person is. The latter goes into the log
//! sealed, under a key of the user's own, and is gone when the key is.

pub(in crate::http) mod attributes;

use axum::{extract::State, http::StatusCode};
use projections::profiles::Profile;
use schemas::{Command, DescribeUser, Name, NameId, NameKind, Sealed, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::Rejection,
    http::{
        AppState,
        auth::Caller,
        body,
        ledger::{AtLeast, IdempotencyKey, Reply, submit},
        params::{Path, Query, page},
        personal::{alone, in_vault, profile_of},
        problem::Problem,
    },
    personal::{EMAIL, GITHUB_USERNAME, NAME, PHONE, Vault},
    writer::Outcome,
};
use attributes::Description;

pub(in crate::http) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, describe)).routes(routes!(erase))
}

/// What is known of a user.
#[derive(Debug, Serialize, ToSchema)]
struct UserView {
    /// Its id.
    user_id: String,
    /// What people call the user.
    name: Option<String>,
    /// The e-mail address.
    email: Option<String>,
    /// The phone number.
    phone: Option<String>,
    /// The GitHub user name.
    github_username: Option<String>,
    /// The projects that the user has starred.
    github_star: Vec<String>,
    /// The level of importance; 0: none.
    vip: i64,
    /// The organization, as strategies know it; empty: none.
    org: String,
    /// When the user registered.
    #[schema(value_type = Option<String>, format = DateTime)]
    register_time: Option<Timestamp>,
    /// When the user was last there.
    #[schema(value_type = Option<String>, format = DateTime)]
    access_time: Option<Timestamp>,
    /// When somebody first described the user; `null`: nobody has.
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    /// When somebody last did.
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Timestamp>,
}

impl UserView {
    fn new(vault: &Vault, user_id: String, profile: &Profile) -> Self {
        let Profile {
            created_at,
            updated_at,
            name,
            email,
            phone,
            github_username,
            github_star,
            vip,
            org,
            register_time,
            access_time,
            keys: _,
        } = profile.clone();
        let unseal = |field, sealed: Option<Sealed>| vault.unseal(field, &sealed?);
        Self {
            user_id,
            name: unseal(NAME, name),
            email: unseal(EMAIL, email),
            phone: unseal(PHONE, phone),
            github_username: unseal(GITHUB_USERNAME, github_username),
            github_star,
            vip,
            org,
            register_time,
            access_time,
            created_at,
            updated_at,
        }
    }

    /// The attributes that there are.
    fn present(&self) -> Vec<&'static str> {
        let Self {
            user_id: _,
            name,
            email,
            phone,
            github_username,
            github_star,
            vip,
            org,
            register_time,
            access_time,
            created_at: _,
            updated_at: _,
        } = self;
        let is_there = [
            ("name", name.is_some()),
            ("email", email.is_some()),
            ("phone", phone.is_some()),
            ("github_username", github_username.is_some()),
            ("github_star", !github_star.is_empty()),
            ("vip", *vip != 0),
            ("org", !org.is_empty()),
            ("register_time", register_time.is_some()),
            ("access_time", access_time.is_some()),
        ];
        is_there.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
    }
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// From 1.
    page: Option<i64>,
    /// 10 when left out, never more than 1000.
    page_size: Option<i64>,
}

/// Users.
#[derive(Debug, Serialize, ToSchema)]
struct List {
    /// How many are known.
    total: u32,
    /// A page of them, in the order in which they became known.
    users: Vec<UserView>,
}

/// Everyone that the book has ever heard of, described or not.
#[utoipa::path(get, path = "/api/v1/admin/users", tag = "admin",
    params(ListQuery), responses((status = 200, body = List)))]
async fn list(
    State(state): State<AppState>,
    _: AtLeast,
    Query(query): Query<ListQuery>,
) -> Result<Reply<List>, Problem> {
    let (skip, size) = page(query.page, query.page_size);
    let number = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
    let (from, until) = (number(skip), number(skip.saturating_add(size)));
    let (sequence, (total, profiles)) = state.views().look_now(|reading| {
        let names = &reading.books.names;
        let total = names.next_number(NameKind::User);
        let page = (from..until.min(total)).map(UserId::from_number).map(|user| {
            (names.text(user).to_string(), reading.books.profiles.profile(user).clone())
        });
        (total, page.collect::<Vec<_>>())
    });
    let vault = state.vault();
    let users = profiles.into_iter().map(|(name, profile)| UserView::new(vault, name, &profile));
    Ok(Reply::read(sequence, List { total, users: users.collect() }))
}

/// What is known of a user.
#[utoipa::path(get, path = "/api/v1/admin/users/{user}", tag = "admin",
    params(("user" = String, Path, description = "Its id")),
    responses((status = 200, body = UserView)))]
async fn get(
    State(state): State<AppState>,
    _: AtLeast,
    Path(name): Path<Name>,
) -> Result<Reply<UserView>, Problem> {
    let (sequence, profile) = state.views().look_now(|reading| profile_of(reading, &name));
    let profile = profile.ok_or(Rejection::NoSuchUser)?;
    Ok(Reply::read(sequence, UserView::new(state.vault(), name.as_str().to_owned(), &profile)))
}

/// Describes a user: what is left out stays as it is, what is `null` is cleared.
///
/// `name`, `email`, `phone` and `github_username` are encrypted before they go into the log.
#[utoipa::path(put, path = "/api/v1/admin/users/{user}", tag = "admin",
    params(("user" = String, Path, description = "Its id")), request_body = Description,
    responses((status = 201, body = UserView), (status = 200, body = UserView)))]
async fn describe(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Path(name): Path<Name>,
    body::Json(description): body::Json<Description>,
) -> Result<Reply<UserView>, Problem> {
    description.check()?;
    alone(state.clone(), async move {
        let before = state.views().look(|reading| profile_of(reading, &name)).unwrap_or_default();
        let vault = state.vault().clone();
        let attributes =
            in_vault(move || description.seal(&vault, before.keys.first().copied())).await?;
        let command = DescribeUser { user: name.clone(), attributes };
        let command = Command::DescribeUser(Box::new(command));
        let receipt = submit(&state, &caller, key, command).await?;
        let profile = state.views().look(|reading| profile_of(reading, &name)).unwrap_or_default();
        let user = UserView::new(state.vault(), name.as_str().to_owned(), &profile);
        let is_new = before.created_at.is_none() && receipt.outcome == Outcome::Recorded;
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok(Reply::written(&receipt, user).with_status(status))
    })
    .await
}

/// What was erased.
#[derive(Debug, Serialize, ToSchema)]
struct Erasure {
    /// The user.
    user_id: String,
    /// The attributes that there were.
    erased: Vec<&'static str>,
    /// How many keys were destroyed.
    keys: usize,
}

/// Erases what is known of a user: the keys of what the log holds encrypted are destroyed, and
/// nothing is left to judge or to call the user by. Quota stays what it is.
#[utoipa::path(delete, path = "/api/v1/admin/users/{user}/personal-data", tag = "admin",
    params(("user" = String, Path, description = "Its id")),
    responses((status = 200, body = Erasure)))]
async fn erase(
    State(state): State<AppState>,
    caller: Caller,
    Path(name): Path<Name>,
) -> Result<Reply<Erasure>, Problem> {
    alone(state.clone(), async move {
        let profile = state.views().look(|reading| profile_of(reading, &name));
        let profile = profile.ok_or(Rejection::NoSuchUser)?;
        let user_id = name.as_str().to_owned();
        let erased = UserView::new(state.vault(), user_id.clone(), &profile).present();
        // The keys first: were it the other way round, what is cut off in between would leave keys
        // that nobody knows of any more.
        let vault = state.vault().clone();
        let mut destroyed = profile.keys;
        // With a key of which the log does not know yet.
        let new_key = state.new_keys().take(&name).await;
        destroyed.extend(new_key.filter(|key| !destroyed.contains(key)));
        let keys = destroyed.len();
        in_vault(move || destroyed.iter().try_for_each(|key| vault.erase(*key))).await?;
        let command = Command::EraseUser { user: name };
        let receipt = submit(&state, &caller, IdempotencyKey::NONE, command).await?;
        let reply = Reply::written(&receipt, Erasure { user_id, erased, keys });
        Ok(reply.with_status(StatusCode::OK))
    })
    .await
}
