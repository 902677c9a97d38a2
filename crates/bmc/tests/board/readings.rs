//! `sensors` and `inventory`.

use bmc::{Hardware, Outcome, Sensors, Verb};
use redfish_simulator::{Cut, Fault};

use crate::common::Bench;

const SENSORS: Verb = Verb::Sensors {};
const INVENTORY: Verb = Verb::Inventory {};

async fn sensors(bench: &Bench) -> Sensors {
    match bench.outcome(&SENSORS).await {
        Outcome::Sensors(sensors) => sensors,
        other => panic!("{other:?}"),
    }
}

async fn hardware(bench: &Bench) -> Hardware {
    match bench.outcome(&INVENTORY).await {
        Outcome::Inventory(hardware) => hardware,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn newer_and_older_firmware_give_the_same_readings() {
    for bench in [Bench::generic().await, Bench::supermicro().await] {
        let all = sensors(&bench).await;
        let of = |name: &str| {
            let sensor = all.sensors.iter().find(|one| one.name == name).unwrap_or_else(|| panic!("{name}: {all:?}"));
            (sensor.reading.unwrap(), sensor.unit.clone().unwrap(), sensor.health.clone().unwrap())
        };
        assert_eq!(of("CPU1 Temp"), (41.0, "°C".to_owned(), "OK".to_owned()));
        assert_eq!(of("FAN1"), (4200.0, "rpm".to_owned(), "OK".to_owned()));
        assert_eq!(of("12V"), (12.1, "V".to_owned(), "OK".to_owned()));
        let line = bench.line(&SENSORS).await;
        assert!(line.ends_with("sensors, all well"), "{line}");
        assert!(bench.outcome(&SENSORS).await.details().contains("CPU1 Temp"));
    }
}

#[tokio::test]
async fn the_parts_of_a_machine_are_listed_with_what_nodes_toml_wants() {
    let bench = Bench::generic().await;
    let found = hardware(&bench).await;
    assert_eq!(found.processors[0].cores, Some(8));
    assert_eq!(found.memory_gib, Some(64.0));
    assert_eq!(found.memory.len(), 1, "an empty slot is no module");
    assert_eq!(found.drives[0].serial.as_deref(), Some("S3Z8NB0K123456"));
    assert_eq!(found.nics[0].mac.as_deref(), Some("ac:1f:6b:6c:5a:76"));
    assert!(found.nics[0].mac.as_ref().unwrap().parse::<netboot::MacAddr>().is_ok());
    assert_eq!(found.notes, Vec::<String>::new());
    let outcome = bench.outcome(&INVENTORY).await;
    assert_eq!(outcome.summary(), "1 processors (8 cores), memory 64 GiB, 2 drives, 2 network interfaces");
    let details = outcome.details();
    for part in
        ["disk.serial in nodes.toml", "S3Z8NB0K123456", "480 GB", "4.0 TB", "mac in nodes.toml", "ac:1f:6b:6c:5a:77"]
    {
        assert!(details.contains(part), "{part}: {details}");
    }
}

#[tokio::test]
async fn a_part_that_fails_is_a_note_and_not_the_end() {
    let bench = Bench::generic().await;
    bench.bmc.fault_at("GET", "Drives/Disk0", Fault::GarbageJson);
    bench.bmc.fault_at("GET", "EthernetInterfaces/NIC.2", Fault::Cut(Cut::InBody));
    let found = hardware(&bench).await;
    assert_eq!((found.drives.len(), found.nics.len()), (1, 1));
    assert_eq!(found.notes.len(), 2, "{:?}", found.notes);
    assert!(found.notes[0].contains("Disk0"), "{:?}", found.notes);
    assert!(bench.outcome(&INVENTORY).await.details().contains("note: "));
}

#[tokio::test]
async fn hostile_texts_reach_no_terminal() {
    let bench = Bench::generic().await;
    bench.bmc.fault(Fault::HostileText);
    for verb in [SENSORS, INVENTORY] {
        let outcome = bench.outcome(&verb).await;
        let text = outcome.summary() + &outcome.details();
        assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{verb:?}");
        assert!(!text.contains('\u{202e}'));
    }
}
