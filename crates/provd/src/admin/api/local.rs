//! Who may come in: links for people, tokens for programs. Answered on the local socket only.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::nodes::bad_body;
use crate::admin::Admin;
use crate::admin::access::{self, Holder};
use crate::admin::auth::Caller;
use crate::admin::failure::{ErrorBody, Failure, blocking};

/// Seconds that a token lasts at most: ten years.
const TOKEN_LIFE: u64 = 10 * 365 * 24 * 3600;

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::admin) struct LoginRequest {
    /// The session may not act.
    #[serde(default)]
    read_only: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Login {
    /// To be used once, at /login.
    code: String,
    #[schema(value_type = String, format = DateTime)]
    expires: Timestamp,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::admin) struct TokenRequest {
    /// Lowercase letters, digits, '-', '.' and '_', at most 40.
    #[schema(pattern = "^[a-z0-9._-]{1,40}$")]
    name: String,
    /// The token may not act.
    #[serde(default)]
    read_only: bool,
    /// Seconds until it ends; it lasts until it is revoked without this.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 315360000)]
    lasts: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::admin) struct TokenRow {
    name: String,
    may_act: bool,
    #[schema(value_type = String, format = DateTime)]
    made: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    expires: Option<Timestamp>,
}

/// A new token, shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct NewToken {
    name: String,
    token: String,
}

/// Makes a code for one login, in the name of the user who asks. Only on the local socket.
#[utoipa::path(post, path = "/api/v1/logins", tag = "local", request_body = LoginRequest, responses(
    (status = 201, body = Login), (status = 400, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(in crate::admin) async fn login(
    State(admin): State<Arc<Admin>>,
    caller: Caller,
    body: Result<Json<LoginRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<Login>), Failure> {
    let Json(LoginRequest { read_only }) = body.map_err(bad_body)?;
    blocking(move || {
        let now = Timestamp::now();
        let store = admin.app.registry.store();
        let code = access::make_code(store, &caller.actor.who, !read_only, now)?;
        tracing::info!(who = caller.actor.who, read_only, "a login link is made");
        Ok((StatusCode::CREATED, Json(Login { code: code.reveal(), expires: now + access::CODE })))
    })
    .await
}

/// The programs' tokens, without their secrets. Only on the local socket.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "local", responses((status = 200, body = Vec<TokenRow>)))]
pub(in crate::admin) async fn tokens(State(admin): State<Arc<Admin>>) -> Result<Json<Vec<TokenRow>>, Failure> {
    blocking(move || {
        let holders = access::tokens(admin.app.registry.store(), Timestamp::now())?;
        let row = |Holder { name, may_act, made, expires }| TokenRow { name, may_act, made, expires };
        Ok(Json(holders.into_iter().map(row).collect()))
    })
    .await
}

/// Makes a token for a program. Only on the local socket.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "local", request_body = TokenRequest, responses(
    (status = 201, body = NewToken), (status = 400, body = ErrorBody),
    (status = 409, description = "There is one of this name", body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(in crate::admin) async fn make_token(
    State(admin): State<Arc<Admin>>,
    caller: Caller,
    body: Result<Json<TokenRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<NewToken>), Failure> {
    let Json(TokenRequest { name, read_only, lasts }) = body.map_err(bad_body)?;
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
    if !(1..=40).contains(&name.len()) || !name.bytes().all(letter) {
        return Err(Failure::bad("a token's name has 1 to 40 lowercase letters, digits, '-', '.' and '_'"));
    }
    if lasts.is_some_and(|seconds| !(1..=TOKEN_LIFE).contains(&seconds)) {
        return Err(Failure::bad("a token lasts from a second to ten years"));
    }
    blocking(move || {
        let now = Timestamp::now();
        let expires = lasts.map(|seconds| now + SignedDuration::from_secs(seconds as i64));
        let token = access::make_token(admin.app.registry.store(), &name, !read_only, expires, now)?;
        tracing::info!(name, read_only, who = caller.actor.who, "a token is made");
        Ok((StatusCode::CREATED, Json(NewToken { name, token: token.reveal() })))
    })
    .await
}

/// Ends a program's token, and the sessions that were made with it. Only on the local socket.
#[utoipa::path(delete, path = "/api/v1/tokens/{name}", tag = "local", params(("name" = String, Path)), responses(
    (status = 204, description = "It is revoked"), (status = 404, body = ErrorBody)))]
pub(in crate::admin) async fn revoke_token(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<StatusCode, Failure> {
    blocking(move || match access::revoke(admin.app.registry.store(), &name)? {
        true => {
            tracing::info!(name, who = caller.actor.who, "a token is revoked");
            Ok(StatusCode::NO_CONTENT)
        }
        false => Err(Failure::not_found("there is no token of this name")),
    })
    .await
}
