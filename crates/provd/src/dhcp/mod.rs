//! What dnsmasq tells: leases of machines, and files that TFTP has sent.
//!
//! ```text
//! dnsmasq ─ fork ─► /usr/lib/provbuild/dhcp-event ─ exec ─► provd dhcp-event ─ dhcp.sock ─► POST /event
//! ```
//! In: one small JSON for each call of dnsmasq's script (dnsmasq(8), `--dhcp-script`), whose texts come from machines on the
//! network. Out: sightings for the pen, and GRUB's scripts that were read. A lease of a node changes nothing: an installer that
//! hangs still renews its lease, so only the node's own words count as being heard.

mod event;

use std::net::IpAddr;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use netboot::MacAddr;

use crate::app::{App, Shared};
use crate::pen::{Sighting, printable};
use crate::registry::Change;
use crate::store::StoreError;

pub use event::Event;

/// Bytes of one event: every text in it is bounded below this.
const BODY: usize = 16 * 1024;

pub fn router(app: Shared) -> Router {
    Router::new().route("/event", post(take)).layer(DefaultBodyLimit::max(BODY)).with_state(app)
}

async fn take(State(app): State<Shared>, event: Result<Json<Event>, JsonRejection>) -> Response {
    let refuse = |status: StatusCode, error: String| {
        tracing::warn!("an event of dnsmasq: {error}");
        (status, Json(serde_json::json!({ "error": error }))).into_response()
    };
    let event = match event {
        Ok(Json(event)) => event,
        Err(rejection) => return refuse(rejection.status(), printable(&rejection.body_text(), 200)),
    };
    let taken = tokio::task::spawn_blocking(move || handle(&app, event, Timestamp::now())).await;
    match taken {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn handle(app: &App, event: Event, now: Timestamp) -> Result<(), StoreError> {
    match event {
        Event::Lease { mac, address, hostname, vendor, fingerprint } => {
            if app.registry.declared_node(mac).is_some() {
                return Ok(());
            }
            let sighting = Sighting { address: Some(address), fingerprint, vendor, hostname };
            if app.pen.note(mac, &sighting, now)? {
                app.registry.tell(Change::Pen { mac });
            }
            Ok(())
        }
        Event::Sent { path, address } => match node_script(&path) {
            Some(mac) => app.registry.script_was_read(mac, unmapped(address), now),
            None => Ok(()),
        },
    }
}

/// Whose GRUB script a path names: `.../grub/nodes/MAC.cfg`.
fn node_script(path: &str) -> Option<MacAddr> {
    let (directory, file) = path.rsplit_once('/')?;
    let name = file.strip_suffix(".cfg").filter(|_| directory.ends_with("/grub/nodes"))?;
    name.parse().ok()
}

/// dnsmasq names an IPv4 client of a socket for both families by its mapped address.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests;
