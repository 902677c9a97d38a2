//! nginx: the boot tree over HTTP on the provisioning address, in front of provd; and the management page by TLS.
//!
//! ```text
//! provisioning address, port 80    /                                       files of the boot tree
//!                                  /nodes/ /grub/nodes/ /seed/ /report/    provd, by nodes.sock
//! every other address, port 443    /                                       provd, by web.sock
//! ```
//! Invariant: what stands in a node's seed or report path is a secret, and so is a login's; neither the access log nor the
//! error log of any of these servers holds one. Nodes reach no path of web.sock, whatever name and address they ask for.

use super::canvas::Canvas;
use super::provd::CERTIFICATE_UNIT;
use super::{SERVED, STATE, units};
use crate::profile::Profile;
use crate::vocab::ImagePath;

/// The management page's server, included once it has a certificate.
pub(super) const MANAGEMENT: &str = "/etc/provbuild/nginx-management.conf";
/// By this name. Names that do not exist are no fault only where they hold a pattern.
pub(super) const MANAGEMENT_INCLUDED: &str = "/run/provbuild/nginx-management.conf";
const INCLUDE: &str = "/run/provbuild/nginx-*.conf";

pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile, daemon: bool) {
    if !canvas.has("/usr/sbin/nginx", "HTTP", "nginx") {
        return;
    }
    canvas.file("/etc/nginx/nginx.conf", main(profile, daemon));
    canvas.remove(&ImagePath::literal("/etc/nginx/sites-enabled/default"));
    if daemon {
        canvas.file(MANAGEMENT, management(profile));
        canvas.file("/etc/systemd/system/nginx.service.d/10-provbuild.conf", drop_in());
    }
    units::enable(canvas, "nginx.service");
}

fn drop_in() -> String {
    format!(
        "[Unit]\nWants={CERTIFICATE_UNIT}\nAfter={CERTIFICATE_UNIT}\n\n[Service]\nRestart=on-failure\nRestartSec=2\n"
    )
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("\t{line}").trim_end().to_owned() + "\n").collect()
}

/// The whole configuration. Everything goes to the journal, that limits its own size; no file under /var/log has to exist
/// or to be rotated.
///
/// A line of the access log shows a request as it came unless a secret could stand in it: requests that nginx refuses before
/// it knows their place are logged as well, and so a request is judged by its text.
fn main(profile: &Profile, daemon: bool) -> String {
    let (mut management, mut locations) = (String::new(), String::new());
    if daemon {
        management = format!("\n\t# The management page, as soon as it has a certificate.\n\tinclude {INCLUDE};\n");
        locations = proxied();
    }
    let server = indented(&server_with(profile, &locations));
    format!(
        "user www-data;
worker_processes auto;
pid /run/nginx.pid;
error_log syslog:server=unix:/dev/log,nohostname warn;

events {{
\tworker_connections 1024;
}}

http {{
\tserver_tokens off;
\tlog_not_found off;
\tmap $request $shown {{
\t\tdefault $request;
\t\t\"~*(seed|report|login|%|[0-9a-f]{{32}})\" \"$request_method (not shown)\";
\t}}
\tlog_format shown '$remote_addr - [$time_local] \"$shown\" $status $body_bytes_sent \"$http_user_agent\"';
\taccess_log syslog:server=unix:/dev/log,nohostname,severity=info shown;
\tclient_header_timeout 15s;
\tclient_body_timeout 15s;
\tlarge_client_header_buffers 4 8k;

{server}{management}}}
"
    )
}

/// The server alone, as it stands in a file of sites-enabled: everything is a file.
pub(super) fn server(profile: &Profile) -> String {
    let seeds = "
# cloud-init and installers read these as text.
location /seed/ {
\tdefault_type text/plain;
}
";
    server_with(profile, seeds)
}

fn server_with(profile: &Profile, locations: &str) -> String {
    let address = profile.network.provisioning.address.addr();
    let locations = indented(locations);
    format!(
        "server {{
\tlisten {address}:80;
\troot {SERVED}/http;
\tautoindex off;
\tsendfile on;
\ttcp_nopush on;
\tdefault_type application/octet-stream;
\ttypes {{
\t\tapplication/efi efi;
\t\tapplication/x-iso9660-image iso;
\t\ttext/plain ipxe txt cfg;
\t}}
{locations}}}
"
    )
}

/// Statuses that nginx gives where a request does not reach provd. Not 413: the rest of a body that is too long would be judged
/// once more at the other place.
const REFUSALS: [(u16, &str); 4] = [
    (400, "this is no request"),
    (414, "the path is too long"),
    (502, "provd does not answer: try again"),
    (504, "provd does not answer in time: try again"),
];

/// What provd answers. Kernels and media stay files.
///
/// A fault in a place with secrets is not logged here, since the line would show the request; provd logs what reaches it.
fn proxied() -> String {
    let place = |path: &str, body: &str, secret: bool| {
        let quiet = if secret { "\terror_log /dev/null crit;\n" } else { "" };
        format!(
            "
location {path} {{
{quiet}\tclient_max_body_size {body};
\tproxy_pass http://unix:/run/provd/nodes.sock;
\tproxy_http_version 1.1;
\tproxy_set_header Connection \"\";
\tproxy_set_header X-Provbuild-Address $remote_addr;
\tproxy_connect_timeout 5s;
\tproxy_send_timeout 15s;
\tproxy_read_timeout 30s;
}}
"
        )
    };
    // What nginx refuses by itself has provd's form. By a path: a request that has none cannot go to a named location. It may have come
    // from a place with secrets: what is wrong with its body is not logged here either.
    let refusals: String = REFUSALS
        .iter()
        .map(|(status, error)| {
            format!(
                "
error_page {status} /refused/{status};
location = /refused/{status} {{
\tinternal;
\terror_log /dev/null crit;
\tdefault_type application/json;
\treturn {status} '{{\"error\":\"{error}\"}}\\n';
}}
"
            )
        })
        .collect();
    // Whoever asks whether nginx lives asks for this: no fault to log.
    let root = "\nlocation = / {\n\treturn 404;\n}\n".to_owned();
    [
        refusals,
        root,
        place("/nodes/", "1k", false),
        place("/grub/nodes/", "1k", false),
        place("/seed/", "1k", true),
        // A failed installation sends its log.
        place("/report/", "1m", true),
    ]
    .concat()
}

/// The page and the API. They are for the site: the nodes' network is refused by its addresses, beside the packet filter.
///
/// The page's events are one answer without an end, so nothing is gathered before it is passed on; with HTTP/2 any number of
/// pages share one connection, of which a browser opens six. (Newer releases of nginx would rather read `http2 on`, that older
/// ones do not know.)
fn management(profile: &Profile) -> String {
    let provisioning = profile.network.provisioning.address;
    let (address, subnet) = (provisioning.addr(), provisioning.trunc());
    // A kernel without IPv6 would refuse the second line, and nginx would not start.
    let without = profile.appliance.kernel_parameters.iter().any(|parameter| parameter == "ipv6.disable=1");
    let ipv6 = if without { "" } else { "\tlisten [::]:443 ssl http2 default_server;\n" };
    let tls = format!(
        "\tssl_certificate {STATE}/tls/certificate.pem;
\tssl_certificate_key {STATE}/tls/key.pem;
\tssl_protocols TLSv1.2 TLSv1.3;
"
    );
    format!(
        "server {{
\tlisten 443 ssl http2 default_server;
{ipv6}{tls}\tssl_session_cache shared:management:1m;
\tssl_session_tickets off;
\tdeny {subnet};
\tallow all;
\tclient_max_body_size 64k;

\tlocation / {{
\t\tproxy_pass http://unix:/run/provd/web.sock;
\t\tproxy_http_version 1.1;
\t\tproxy_set_header Host $http_host;
\t\tproxy_set_header Connection \"\";
\t\tproxy_set_header X-Provbuild-Address $remote_addr;
\t\tproxy_buffering off;
\t\tproxy_connect_timeout 5s;
\t\tproxy_read_timeout 1h;
\t}}

\t# The link that logs in holds a secret.
\tlocation /login {{
\t\terror_log /dev/null crit;
\t\tproxy_pass http://unix:/run/provd/web.sock;
\t\tproxy_http_version 1.1;
\t\tproxy_set_header Host $http_host;
\t\tproxy_set_header Connection \"\";
\t\tproxy_set_header X-Provbuild-Address $remote_addr;
\t}}
}}

# The nodes' side of the appliance has no page.
server {{
\tlisten {address}:443 ssl;
{tls}\treturn 444;
}}
"
    )
}
