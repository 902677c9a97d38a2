//! nginx and dnsmasq themselves, with the appliance's configuration, in a namespace of their own: what reaches provd, what
//! never does, and what their logs hold when things go wrong.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::checkers::materialise;
use super::*;

/// Stands for a node's secret.
const TOKEN: &str = "0123456789abcdef0123456789ABCDEF";
const SYSLOG: &str = "syslog:server=unix:/dev/log,nohostname";

/// Stands for provd behind one of its sockets: says who asks, and what nginx told it of the address.
fn upstream(directory: &Path, name: &'static str, heard: &Arc<Mutex<Vec<String>>>) {
    let listener = UnixListener::bind(directory.join(format!("{name}.sock"))).unwrap();
    // nginx's workers are another user.
    fs::set_permissions(directory.join(format!("{name}.sock")), fs::Permissions::from_mode(0o666)).unwrap();
    let heard = Arc::clone(heard);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let heard = Arc::clone(&heard);
            std::thread::spawn(move || answer(stream.unwrap(), name, &heard));
        }
    });
}

fn answer(mut stream: UnixStream, name: &str, heard: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap_or_default();
        line.trim_end().to_owned()
    };
    let request = line();
    let (mut address, mut length) = (Vec::new(), 0);
    loop {
        let header = line();
        let Some((key, value)) = header.split_once(": ") else { break };
        match key.to_ascii_lowercase().as_str() {
            "x-provbuild-address" => address.push(value.to_owned()),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let _ = reader.take(length).read_to_end(&mut Vec::new());
    heard.lock().unwrap().push(format!("{name}: {request} from {}", address.join(" and ")));
    // Whoever asked may have gone.
    let _ = if request.contains("garbage") {
        stream.write_all(b"nonsense\r\n\r\n")
    } else if request.contains("vanish") {
        Ok(())
    } else if request.contains("slow") {
        std::thread::sleep(Duration::from_secs(3));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    } else if request.contains("/events") {
        let sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\n");
        std::thread::sleep(Duration::from_secs(6));
        sent
    } else {
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()).as_bytes())
    };
}

/// A folder with the rendered configuration as far as a test must differ: logs in files, another place for the certificate.
struct Front {
    directory: tempfile::TempDir,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Front {
    fn new() -> Front {
        let base = TestBase::new();
        let rendered = base.render(&profile()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        // Other users' programs read in here.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        materialise(&rendered, &base.contents, &root.join("root"));
        fs::create_dir(root.join("sockets")).unwrap();
        let place = |path: &str, replace: &[(&str, String)]| {
            let path = root.join("root").join(path.trim_start_matches('/'));
            let mut text = fs::read_to_string(&path).unwrap();
            for (from, to) in replace {
                assert!(text.contains(from), "{}: no {from}", path.display());
                text = text.replace(from, to);
            }
            fs::write(path, text).unwrap();
        };
        let log = |name: &str| format!("{}/{name}", root.display());
        place(
            "/etc/nginx/nginx.conf",
            &[
                (&format!("error_log {SYSLOG}"), format!("error_log {}", log("error.log"))),
                (&format!("access_log {SYSLOG},severity=info"), format!("access_log {}", log("access.log"))),
            ],
        );
        place("/etc/provbuild/nginx-management.conf", &[("/var/lib/provbuild/tls", log("tls"))]);
        let heard = Arc::default();
        for name in ["nodes", "web"] {
            upstream(&root.join("sockets"), name, &heard);
        }
        Front { directory, heard }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs a script among the addresses of an appliance (10.10.1.1 to the nodes, 192.0.2.10 to the site), of a node and of
    /// somebody at the site; gives what it printed.
    fn run(&self, script: &str) -> String {
        let root = self.directory.path().display();
        let before = format!(
            "set -eu; ip link set lo up
             for address in 10.10.1.1 10.10.1.21 192.0.2.10 192.0.2.99; do ip addr add $address/24 dev lo; done
             mount -t tmpfs none /run; mkdir -p /run/provd /run/provbuild
             mount --bind {root}/sockets /run/provd
             mount --bind {root}/root/srv /srv
             node() {{ curl -s -o /dev/null -w '%{{http_code}} ' --interface 10.10.1.21 --path-as-is --max-time 20 \"$@\" || true; }}
             site() {{ curl -s -k -w ' %{{http_code}}\\n' --interface 192.0.2.99 --max-time 20 \"$@\" || true; }}
             serve() {{
                 nginx -e stderr -c {root}/root/etc/nginx/nginx.conf -g 'daemon off;' & nginx=$!
                 trap 'kill $nginx; wait $nginx' EXIT
                 for try in 1 2 3 4 5 6 7 8 9 10; do
                     ! curl -s -o /dev/null http://10.10.1.1/boot.ipxe || return 0
                     sleep 0.2
                 done
                 exit 1
             }}\n"
        );
        let output = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", &(before + script)])
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir(self.directory.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}\n{}", output.status, String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).unwrap()
    }

    fn certificate(&self) {
        fs::create_dir(self.path("tls")).unwrap();
        let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=mylab -days 1";
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .args(["-keyout", "tls/key.pem", "-out", "tls/certificate.pem"])
            .current_dir(self.directory.path())
            .output()
            .expect("openssl cannot be run: install openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

const WITH_PAGE: &str =
    "ln -s $PWD/root/etc/provbuild/nginx-management.conf /run/provbuild/nginx-management.conf; serve\n";

/// Everything that nginx complains about, made to happen where a secret stands in the request.
#[test]
#[ignore = "sandbox: needs network namespaces (root) and nginx, curl, openssl"]
fn sandbox_no_secret_of_a_request_reaches_nginx_logs() {
    let front = Front::new();
    front.certificate();
    let script = format!(
        "{WITH_PAGE} server=http://10.10.1.1 page=https://192.0.2.10
         head -c 3000000 /dev/zero > big; long=$(head -c 40000 /dev/zero | tr '\\0' x)
         echo well: $(node $server/seed/{TOKEN}/user-data) $(node -d x $server/report/{TOKEN}/failed)
         echo large: $(node --data-binary @big $server/report/{TOKEN}) $(node --data-binary @big $server/seed/{TOKEN}/user-data) \
             $(node --data-binary @big -H 'Transfer-Encoding: chunked' $server/report/{TOKEN})
         echo bad: $(node -H Host: $server/seed/{TOKEN}/x) $(node -H 'Host: a b/c' $server/seed/{TOKEN}/x) \
             $(node $server/seed/{TOKEN}/%zz) $(node $server/seed/{TOKEN}/$long) $(node $server/%73eed/{TOKEN}/x) \
             $(node $server//seed/./{TOKEN}/x) $(node $server/x/../../seed/{TOKEN}) $(node -X 'BAD METHOD' $server/seed/{TOKEN}) \
             $(node -H \"X: $long\" $server/report/{TOKEN}) $(node $server/{TOKEN}) $(node -H 'Content-Length: z' $server/report/{TOKEN})
         echo broken: $(node $server/seed/{TOKEN}/garbage) $(node $server/seed/{TOKEN}/vanish) $(node --max-time 1 $server/seed/{TOKEN}/slow)
         echo form: $(curl -s --interface 10.10.1.21 $server/seed/{TOKEN}/%zz)
         echo page: $(site -o /dev/null $page/login/{TOKEN}) $(site -o /dev/null \"$page/login?code={TOKEN}\" --data-binary @big)
         mv /run/provd/nodes.sock /run/provd/nodes.away; mv /run/provd/web.sock /run/provd/web.away
         echo down: $(node $server/seed/{TOKEN}/user-data) $(node -d x $server/report/{TOKEN}) $(node $server/nodes/52-54-00-aa-00-01.ipxe) \
             $(site \"$page/login?code={TOKEN}\" -o /dev/null)"
    );
    let said = front.run(&script);
    insta::assert_snapshot!(said, @r#"
    well: 200 200
    large: 413 413 413
    bad: 400 400 400 414 200 200 400 400 400 404 400
    broken: 000 502 000
    form: {"error":"this is no request"}
    page: 200 413
    down: 502 502 502 502
    "#);
    let (access, error) = (front.read("access.log"), front.read("error.log"));
    for (name, log) in [("access.log", &access), ("error.log", &error)] {
        assert!(!log.to_lowercase().contains(&TOKEN.to_lowercase()), "{name}:\n{log}");
    }
    // They are logs, and say what is no secret.
    assert!(access.contains("\"GET (not shown)\" 502") && access.contains("\"POST (not shown)\" 413"), "{access}");
    assert!(access.contains("\"GET /nodes/52-54-00-aa-00-01.ipxe HTTP/1.1\" 502"), "{access}");
    assert!(error.contains("GET /nodes/52-54-00-aa-00-01.ipxe HTTP/1.1"), "{error}");
}

#[test]
#[ignore = "sandbox: needs network namespaces (root) and nginx, curl, openssl"]
fn sandbox_nodes_reach_their_own_paths_and_the_site_reaches_the_page() {
    let front = Front::new();
    // Without a certificate the nodes are served all the same.
    let said = front.run("serve; node http://10.10.1.1/nodes/a.ipxe; site https://192.0.2.10/");
    assert_eq!(said, "200  000\n");
    front.heard.lock().unwrap().clear();

    front.certificate();
    let forged = "-H 'X-Provbuild-Address: 6.6.6.6' -H 'x-provbuild-address: 6.6.6.7'";
    let script = format!(
        "{WITH_PAGE} server=http://10.10.1.1
         echo their own: $(for path in nodes/a.ipxe grub/nodes/a.cfg seed/t/user-data report/t; do node {forged} $server/$path; done)
         echo files: $(node $server/boot.ipxe) $(node $server/grub/grub.cfg)
         echo the page by http: $(for path in '' api/v1/nodes login metrics healthz openapi.json; do node $server/$path; done)
         echo the page by tls: $(node -k https://10.10.1.1/) $(node -k https://192.0.2.10/) $(node -k https://192.0.2.10/api/v1/nodes)
         echo site: $(site {forged} https://192.0.2.10/api/v1/nodes) $(site https://192.0.2.10/login) $(site https://10.10.1.1/)
         echo events: $(timeout 2 curl -s -k -N --interface 192.0.2.99 https://192.0.2.10/api/v1/events)"
    );
    let said = front.run(&script);
    insta::assert_snapshot!(said, @r"
    their own: 200 200 200 200
    files: 200 200
    the page by http: 404 404 404 404 404 404
    the page by tls: 000 403 403
    site: web 200 web 200 000
    events: data: first
    ");
    // What a client says of its address is not passed on.
    insta::assert_snapshot!(front.heard.lock().unwrap().join("\n"), @r"
    nodes: GET /nodes/a.ipxe HTTP/1.1 from 10.10.1.21
    nodes: GET /grub/nodes/a.cfg HTTP/1.1 from 10.10.1.21
    nodes: GET /seed/t/user-data HTTP/1.1 from 10.10.1.21
    nodes: GET /report/t HTTP/1.1 from 10.10.1.21
    web: GET /api/v1/nodes HTTP/1.1 from 192.0.2.99
    web: GET /login HTTP/1.1 from 192.0.2.99
    web: GET /api/v1/events HTTP/1.1 from 192.0.2.99
    ");
}

/// TFTP follows the link to the daemon's scripts as the user that dnsmasq is, and the daemon's script is told, as that user.
#[test]
#[ignore = "sandbox: needs network namespaces (root) and dnsmasq, busybox"]
fn sandbox_dnsmasq_follows_the_link_to_the_daemons_scripts_and_tells_it() {
    let front = Front::new();
    let configuration = front.path("root/etc/dnsmasq.d/provbuild.conf");
    let text = fs::read_to_string(&configuration).unwrap();
    let script = front.path("dhcp-event");
    fs::write(&script, "#!/bin/sh\necho \"$(id -un) $*\" >> /run/told/told\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut changed = text;
    for (from, to) in [
        ("/usr/lib/provbuild/dhcp-event", script.to_str().unwrap()),
        ("/var/lib/provbuild/dnsmasq/leases", "/run/leases"),
    ] {
        assert!(changed.contains(from), "{changed}");
        changed = changed.replace(from, to);
    }
    fs::write(&configuration, changed).unwrap();
    let said = front.run(&format!(
        "ip addr flush dev lo; ip link add provisioning type veth peer name node
         mkdir -p /run/systemd/resolve /run/provbuild/grub-nodes /run/told; touch /run/systemd/resolve/resolv.conf
         chown dnsmasq /run/told; chown 880:880 /run/provbuild/grub-nodes
         echo 'set timeout=0' > /run/provbuild/grub-nodes/52-54-00-aa-00-01.cfg
         unshare --net sleep 60 & node=$!
         sleep 0.3; ip link set node netns $node
         nsenter -t $node -n sh -c 'ip link set node up; ip addr add 10.10.1.21/24 dev node'
         ip addr add 10.10.1.1/24 dev provisioning; ip link set provisioning up
         dnsmasq --conf-file={conf} --keep-in-foreground --log-facility=/run/dnsmasq.log --pid-file= & dnsmasq=$!
         sleep 1
         get() {{ nsenter -t $node -n timeout 20 busybox tftp -g -r $1 -l got 10.10.1.1 2>/dev/null && cat got || echo refused; rm -f got; }}
         get grub/nodes/52-54-00-aa-00-01.cfg; get grub/nodes/52-54-00-aa-00-02.cfg; get grub/grub.cfg | head -n 1; sleep 1
         kill $dnsmasq $node; cat /run/told/told",
        conf = configuration.display()
    ));
    insta::assert_snapshot!(said, @r"
    set timeout=0
    refused
    # Every machine that boots from this network by way of shim starts here. A node has a script of its own, named
    dnsmasq tftp 14 10.10.1.21 /srv/provbuild/tftp/grub/nodes/52-54-00-aa-00-01.cfg
    dnsmasq tftp 605 10.10.1.21 /srv/provbuild/tftp/grub/grub.cfg
    ");
}
