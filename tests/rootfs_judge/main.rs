//! The judge of the rootfs stage: mmdebstrap's result for the same .debs, file for file.
//!
//! Both sides become lists of entries (type, mode, owner by name, content, link target, extended attributes); what differs
//! must be covered by a rule with a reason in `differences.txt`, and every rule there must be needed.

mod compare;
mod entries;
mod sources;

use std::path::Path;

use provbuild::tree::Pack;

#[test]
#[ignore = "runs mmdebstrap and the rootfs stage on real packages from the archive, for minutes"]
fn net_the_tree_equals_mmdebstraps_result_file_for_file() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rootfs-judge");
    std::fs::create_dir_all(&directory).unwrap();
    let debs = sources::debs(&directory);
    let (tar, ours) = (sources::reference_tar(&directory, &debs), sources::our_pack(&directory, &debs));

    let reference = entries::of_tar(&tar);
    let pack = Pack::open(&ours).unwrap();
    let ours = entries::of_pack(&pack);
    assert!(reference.len() > 5000 && ours.len() > 5000, "{} and {} entries", reference.len(), ours.len());

    let differences = compare::differences(&reference, &ours);
    let rules = compare::parse_rules(include_str!("differences.txt"));
    let verdict = compare::judge(&differences, &rules);
    std::fs::write(directory.join("differences"), &verdict.everything).unwrap();
    sources::keep_for_reading(&directory, &pack, &differences);
    eprintln!("{} entries, {} differences covered by {} rules", reference.len(), verdict.covered, rules.len());
    assert!(
        verdict.faults.is_empty(),
        "differences without a reason, or reasons without a difference (all of them: {0}/differences; both sides of \
         contents: diff -r {0}/theirs {0}/ours):\n{1}",
        directory.display(),
        verdict.faults
    );
}
