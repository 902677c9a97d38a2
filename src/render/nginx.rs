//! nginx: the boot tree over HTTP, on the provisioning address only.

use super::canvas::Canvas;
use super::{SERVED, units};
use crate::profile::Profile;
use crate::vocab::ImagePath;

pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile) {
    if !canvas.has("/usr/sbin/nginx", "HTTP", "nginx") {
        return;
    }
    canvas.file("/etc/nginx/nginx.conf", main(&server(profile)));
    canvas.remove(&ImagePath::literal("/etc/nginx/sites-enabled/default"));
    units::enable(canvas, "nginx.service");
}

/// The whole configuration. Everything goes to the journal, that limits its own size; no file under /var/log has to exist
/// or to be rotated.
fn main(server: &str) -> String {
    let server: String = server.lines().map(|line| format!("\t{line}").trim_end().to_owned() + "\n").collect();
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
\taccess_log syslog:server=unix:/dev/log,nohostname,severity=info combined;

{server}}}
"
    )
}

/// The server alone, as it stands in a file of sites-enabled.
pub(super) fn server(profile: &Profile) -> String {
    let address = profile.network.provisioning.address.addr();
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

\t# cloud-init and installers read these as text.
\tlocation /seed/ {{
\t\tdefault_type text/plain;
\t}}
}}
"
    )
}
