//! The login, the strangers, the audit log and the services.

use maud::{Markup, html};

use super::shell::{badge, time};
use crate::admin::api::model::{AuditEntry, StrangerRow, Verification};
use crate::admin::auth::Caller;
use crate::admin::health::{Medium, Service};

pub(super) fn login(fault: Option<&str>) -> Markup {
    html! {
        form.confirm.login method="post" action="/login" {
            h1 { "Log in" }
            p.fault role="alert" hidden[fault.is_none()] { (fault.unwrap_or_default()) }
            p { "On the appliance, " code { "provd login" } " gives a link that is good once, for ten minutes." }
            label for="secret" { "Code of the link, or an API token" }
            // Not a password that a browser should keep.
            input #secret type="password" name="secret" required autocomplete="off" spellcheck="false";
            div.buttons { button.primary type="submit" { "Log in" } }
        }
    }
}

pub(super) fn strangers(strangers: &[StrangerRow], caller: &Caller) -> Markup {
    html! {
        div.heading { h1 { "Strangers" } }
        p.lead { "Machines that asked for an address or a boot script and are in no inventory. They boot their own disk. To take one in, copy \
            its stanza into nodes.toml, complete it, and deploy the appliance again." }
        div #live {
            @if strangers.is_empty() { p.empty { "No stranger was seen." } }
            ul.cards {
                @for stranger in strangers {
                    li.card {
                        h2 { code { (stranger.mac) } }
                        dl {
                            dt { "Says it is" } dd { (said(stranger.hostname.as_deref())) }
                            dt { "Last address" } dd { (said(stranger.address.as_deref())) }
                            dt { "Vendor class" } dd { (said(stranger.vendor.as_deref())) }
                            dt { "Fingerprint" } dd { code.wrap { (stranger.fingerprint.as_deref().unwrap_or("none")) } }
                            dt { "First seen" } dd { (time(stranger.first_seen)) }
                            dt { "Last seen" } dd { (time(stranger.last_seen)) }
                        }
                        pre.copy tabindex="0" aria-label={ "Stanza for " (stranger.mac) } { (stranger.stanza) }
                        @if caller.may_act {
                            form method="post" action={ "/strangers/" (stranger.mac) "/forget" } {
                                input type="hidden" name="csrf" value=(caller.csrf());
                                button.plain type="submit" aria-label={ "Forget " (stranger.mac) } { "Forget" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn said(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { (text) } @else { span.quiet { "nothing" } } }
}

pub(super) fn audit(lines: &[AuditEntry], verification: Option<&Verification>, limit: usize) -> Markup {
    html! {
        div.heading {
            h1 { "Audit log" }
            a.button href="/audit?verify=1" { "Verify the chain" }
        }
        @if let Some(Verification { valid, lines, hash, fault }) = verification {
            @if *valid {
                p.done role="status" { "Valid: " (lines) " lines. The last hash is " code.wrap { (hash) } " — keep it elsewhere, to notice \
                    whether lines are cut off the end." }
            } @else {
                p.warning role="alert" { "Not valid: " (fault.as_deref().unwrap_or_default()) "." }
            }
        }
        div #live {
            @if lines.is_empty() { p.empty { "No lines." } }
            table.audit role="table" hidden[lines.is_empty()] {
                caption.hidden { "Lines of the audit log, newest first" }
                thead role="rowgroup" { tr role="row" {
                    @for name in ["Line", "When", "Node", "Change", "Who", "Why"] { th role="columnheader" scope="col" { (name) } }
                } }
                tbody role="rowgroup" {
                    @for line in lines {
                        tr role="row" {
                            td role="cell" data-name="Line" title=(line.hash) { (line.seq) }
                            td role="cell" data-name="When" { (time(line.at)) }
                            td role="cell" data-name="Node" { a href={ "/nodes/" (line.mac) } { (line.hostname) } }
                            td role="cell" data-name="Change" { (badge(&line.from)) " → " (badge(&line.to)) }
                            td role="cell" data-name="Who" { (line.who) span.sub { (line.origin) } }
                            td role="cell" data-name="Why" { (line.why) @if !line.detail.is_empty() && line.detail != line.why { span.sub { (line.detail) } } }
                        }
                    }
                }
            }
            @if let Some(last) = lines.last().filter(|last| lines.len() == limit && last.seq > 1) {
                p { a.button href={ "/audit?before=" (last.seq) } { "Older lines" } }
            }
        }
    }
}

pub(super) fn services(services: &[Service], media: &[Medium], version: &str, image: Option<&str>) -> Markup {
    html! {
        div.heading { h1 { "Services" } }
        div #live {
            table.services role="table" {
                caption.hidden { "Services of the appliance" }
                thead role="rowgroup" { tr role="row" {
                    @for name in ["Service", "Health", "What was seen"] { th role="columnheader" scope="col" { (name) } }
                } }
                tbody role="rowgroup" {
                    @for service in services {
                        tr role="row" {
                            th role="rowheader" scope="row" { (service.name) span.sub { (service.purpose) } }
                            td role="cell" data-name="Health" { (health(service.works, "works", "does not answer")) }
                            td role="cell" data-name="Seen" { (service.detail) }
                        }
                    }
                }
            }
            h2 { "Installers" }
            @if media.is_empty() { p.empty { "The profile declares no installer." } }
            table.services role="table" hidden[media.is_empty()] {
                caption.hidden { "Installers and their media" }
                thead role="rowgroup" { tr role="row" {
                    @for name in ["Installer", "Medium", "Nodes"] { th role="columnheader" scope="col" { (name) } }
                } }
                tbody role="rowgroup" {
                    @for medium in media {
                        tr role="row" {
                            th role="rowheader" scope="row" { (medium.installer) span.sub { (medium.release) } }
                            td role="cell" data-name="Medium" {
                                (health(medium.ready, "ready", if medium.declared { "not there yet" } else { "none declared" }))
                            }
                            td role="cell" data-name="Nodes" { (medium.nodes) }
                        }
                    }
                }
            }
            h2 { "Image" }
            dl.wide {
                dt { "provd" } dd { (version) }
                dt { "Image" } dd { code.wrap { (image.unwrap_or("not started from an image")) } }
            }
        }
    }
}

fn health(good: bool, yes: &str, no: &str) -> Markup {
    html! { span.badge data-state=(if good { "verified" } else { "failed" }) { (if good { yes } else { no }) } }
}
