//! Starting, stopping, certificates, latency, many at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use redfish_simulator::{Model, Simulator};
use serde_json::json;

use super::client::{Plain, started};

#[tokio::test]
async fn a_stopped_bmc_is_unreachable_and_comes_back_with_its_state() {
    let (mut bmc, plain, _) = started(Model::generic()).await;
    plain.patch("/redfish/v1/Systems/437XR1138R2", json!({"AssetTag": "kept"})).await;
    bmc.stop();
    assert!(plain.send("GET", "/redfish", &[], None).await.is_err());
    bmc.start_again().unwrap();
    assert_eq!(plain.get("/redfish/v1/Systems/437XR1138R2").await.body["AssetTag"], "kept");
}

#[tokio::test]
async fn a_dropped_bmc_leaves_its_port() {
    let (bmc, plain, model) = started(Model::generic()).await;
    let address = bmc.address();
    drop(bmc);
    assert!(plain.send("GET", "/redfish", &[], None).await.is_err());
    Simulator::bind(address, model).await.unwrap();
}

/// A child process that is waited for must not starve the service.
#[tokio::test]
async fn a_blocked_test_is_answered() {
    let (_bmc, plain, _) = started(Model::generic()).await;
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { plain.get("/redfish").await.status })
    });
    assert_eq!(asked.join().unwrap(), 200);
}

#[tokio::test]
async fn a_new_certificate_is_another_one() {
    let (bmc, _plain, _) = started(Model::generic()).await;
    let before = bmc.certificate_sha256();
    let old = Plain::of(&bmc);
    bmc.new_certificate();
    assert_ne!(bmc.certificate_sha256(), before);
    assert!(old.send("GET", "/redfish", &[], None).await.is_err());
    assert_eq!(Plain::of(&bmc).get("/redfish").await.status, 200);
}

#[tokio::test]
async fn fifty_answer_at_their_own_addresses_at_the_same_time() {
    let mut all = Vec::new();
    for last in 1..=50 {
        let address = SocketAddr::from(([127, 0, 1, last], 0));
        let model = Model { latency: Duration::from_millis(100), ..Model::generic() };
        all.push(Simulator::bind(address, model).await.unwrap());
    }
    let begin = Instant::now();
    let tasks: Vec<_> = all
        .iter()
        .map(|bmc| {
            let plain = Plain::of(bmc);
            tokio::spawn(async move { plain.get("/redfish").await.status })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}
