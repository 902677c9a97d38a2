//! The chassis with its sensors: as `Sensors` (newer) and as `Thermal` and `Power` (older).
//!
//! Input: the model; output: their resources. Supermicro's X11 has the older ones only.

use serde_json::{Value, json};

use super::{Tree, healthy, link};
use crate::model::{Model, Vendor};

/// Id, name, reading type, unit, value.
static SENSORS: [(&str, &str, &str, &str, f64); 5] = [
    ("CPU1Temp", "CPU1 Temp", "Temperature", "Cel", 41.0),
    ("InletTemp", "Inlet Temp", "Temperature", "Cel", 23.5),
    ("Fan1", "FAN1", "Rotational", "{rev}/min", 4200.0),
    ("P12V", "12V", "Voltage", "V", 12.1),
    ("TotalPower", "Total Power", "Power", "W", 143.0),
];

pub(super) fn grow(tree: &mut Tree, model: &Model) {
    let path = model.chassis_path();
    let newer = model.vendor != Vendor::Supermicro;
    tree.collect("/redfish/v1/Chassis", "Chassis", "Chassis", std::slice::from_ref(&model.chassis));
    let mut more = json!({
        "ChassisType": "RackMount",
        "Manufacturer": model.manufacturer,
        "Model": model.product,
        "SerialNumber": model.serial,
        "PowerState": "On",
        "Status": healthy(),
        "Thermal": link(&format!("{path}/Thermal")),
        "Power": link(&format!("{path}/Power")),
        "Links": {"ComputerSystems": [link(&model.system_path())], "ManagedBy": [link(&model.manager_path())]},
    });
    if newer {
        more["Sensors"] = link(&format!("{path}/Sensors"));
        sensors(tree, &path);
    }
    tree.put(&path, "Chassis.v1_15_0", &model.chassis, "Computer System Chassis", more);
    thermal(tree, &path);
    power(tree, &path);
}

fn sensors(tree: &mut Tree, chassis: &str) {
    let path = format!("{chassis}/Sensors");
    let ids: Vec<String> = SENSORS.iter().map(|(id, ..)| id.to_string()).collect();
    tree.collect(&path, "Sensor", "Sensors", &ids);
    for (id, name, kind, unit, value) in SENSORS {
        let mut more = json!({"ReadingType": kind, "ReadingUnits": unit, "Reading": value, "Status": healthy()});
        if kind == "Temperature" {
            more["Thresholds"] = json!({"UpperCaution": {"Reading": 80.0}, "UpperCritical": {"Reading": 95.0}});
        }
        tree.put(&format!("{path}/{id}"), "Sensor.v1_5_0", id, name, more);
    }
}

fn thermal(tree: &mut Tree, chassis: &str) {
    let path = format!("{chassis}/Thermal");
    let temperatures: Vec<Value> = of_kind("Temperature")
        .enumerate()
        .map(|(index, (_, name, _, _, value))| {
            json!({
                "@odata.id": format!("{path}#/Temperatures/{index}"),
                "MemberId": index.to_string(),
                "Name": name,
                "ReadingCelsius": value,
                "UpperThresholdCritical": 95,
                "Status": healthy(),
            })
        })
        .collect();
    let fans: Vec<Value> = of_kind("Rotational")
        .enumerate()
        .map(|(index, (_, name, _, _, value))| {
            json!({
                "@odata.id": format!("{path}#/Fans/{index}"),
                "MemberId": index.to_string(),
                "Name": name,
                "Reading": *value as i64,
                "ReadingUnits": "RPM",
                "Status": healthy(),
            })
        })
        .collect();
    tree.put(&path, "Thermal.v1_7_0", "Thermal", "Thermal", json!({"Temperatures": temperatures, "Fans": fans}));
}

fn power(tree: &mut Tree, chassis: &str) {
    let path = format!("{chassis}/Power");
    let control = json!({
        "@odata.id": format!("{path}#/PowerControl/0"),
        "MemberId": "0",
        "Name": "System Power Control",
        "PowerConsumedWatts": 143,
        "PowerCapacityWatts": 400,
        "Status": healthy(),
    });
    let voltage = json!({
        "@odata.id": format!("{path}#/Voltages/0"),
        "MemberId": "0",
        "Name": "12V",
        "ReadingVolts": 12.1,
        "Status": healthy(),
    });
    let supply = json!({
        "@odata.id": format!("{path}#/PowerSupplies/0"),
        "MemberId": "0",
        "Name": "PSU 1",
        "LineInputVoltage": 230,
        "PowerCapacityWatts": 400,
        "Model": "PWS-406P",
        "Status": healthy(),
    });
    let more = json!({"PowerControl": [control], "Voltages": [voltage], "PowerSupplies": [supply]});
    tree.put(&path, "Power.v1_7_1", "Power", "Power", more);
}

fn of_kind(
    kind: &'static str,
) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str, &'static str, f64)> {
    SENSORS.iter().filter(move |sensor| sensor.2 == kind)
}
