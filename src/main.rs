//! provbuild's entry: parses, calls, exits.

use std::path::PathBuf;

fn main() {
    if std::env::args().nth(1).as_deref() == Some(provbuild::exec::sandbox::ENTRY) {
        std::process::exit(provbuild::rootfs::run_inside());
    }
    // scratch driver until `cli` stands
    let packages: Vec<_> = std::fs::read_dir(std::env::args().nth(1).unwrap())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "deb"))
        .collect();
    let mut packages: Vec<_> = packages
        .into_iter()
        .map(|path| provbuild::rootfs::PackageFile { name: path.display().to_string(), path })
        .collect();
    packages.sort_by(|a, b| a.path.cmp(&b.path));
    let out = PathBuf::from(std::env::args().nth(2).unwrap());
    std::fs::create_dir_all(&out).unwrap();
    struct P(std::time::Instant);
    impl provbuild::vocab::Progress for P {
        fn event(&self, e: provbuild::vocab::Event) {
            eprintln!("{:6.2} {e:?}", self.0.elapsed().as_secs_f64());
        }
    }
    let p = P(std::time::Instant::now());
    let r = provbuild::rootfs::build(
        &std::env::current_exe().unwrap(),
        &packages,
        provbuild::vocab::Epoch(1763700000),
        4 << 30,
        &out,
        &out.join("log"),
        &p,
    );
    eprintln!("{:6.2}", p.0.elapsed().as_secs_f64());
    if let Err(e) = r {
        use provbuild::vocab::Remedy;
        eprintln!("{e}\n{}", e.help().unwrap_or_default());
        std::process::exit(1);
    }
}
