//! Why a request is not served: a status, and one line that says what to do.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::access::AccessError;
use crate::app;
use crate::control::ControlError;
use crate::registry::{ArmError, CdError};
use crate::store::StoreError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

/// What every refusal and failure answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// One line: what was refused, and what to do.
    error: String,
}

impl Failure {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Failure { status, text: text.into() }
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Failure::new(StatusCode::NOT_FOUND, what)
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Failure::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn conflict(text: impl Into<String>) -> Self {
        Failure::new(StatusCode::CONFLICT, text)
    }

    pub(super) fn forbidden(text: impl Into<String>) -> Self {
        Failure::new(StatusCode::FORBIDDEN, text)
    }

    pub(super) fn unauthorized() -> Self {
        Failure::new(
            StatusCode::UNAUTHORIZED,
            "log in first: `provd login` on the appliance gives a link, `provd token create` a token",
        )
    }

    /// Counts and notes what was refused; to be called once for each request.
    pub(super) fn noted(self) -> Self {
        if self.status.is_client_error() {
            app::count_refusal();
        }
        self
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Failure { status, text } = self.noted();
        (status, Json(ErrorBody { error: text.replace(['\n', '\r'], " ") })).into_response()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!("{error}");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the database cannot be used now: see provd's journal")
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Store(error) => error.into(),
            AccessError::Taken => Failure::conflict(error.to_string()),
            AccessError::Full => Failure::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()),
        }
    }
}

impl From<ArmError> for Failure {
    fn from(error: ArmError) -> Self {
        match error {
            ArmError::Store(error) => error.into(),
            ArmError::NoSuchNode(_) => Failure::not_found(error.to_string()),
            ArmError::NoInstaller { .. }
            | ArmError::NoMediumDeclared { .. }
            | ArmError::NoMedium { .. }
            | ArmError::Busy { .. } => Failure::conflict(error.to_string()),
        }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Store(error) => error.into(),
            ControlError::Arm(error) => error.into(),
            ControlError::Cd(CdError::Store(error)) => error.into(),
            ControlError::Request(error) => match error.help() {
                Some(help) => Failure::bad(format!("{error}: {help}")),
                None => Failure::bad(error.to_string()),
            },
            ControlError::NoBmc(_)
            | ControlError::Cd(_)
            | ControlError::Busy { .. }
            | ControlError::Interrupts { .. }
            | ControlError::Installing { .. } => Failure::conflict(error.to_string()),
            ControlError::Stopping => Failure::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            ControlError::Readings(_) | ControlError::Full => {
                Failure::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
            }
        }
    }
}

/// Runs what may block for a flush of the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!("a request has failed: {error}");
            Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "this request has failed: see provd's journal"))
        }
    }
}
