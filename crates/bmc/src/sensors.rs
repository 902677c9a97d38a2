//! What a machine measures about itself (DSP0268: Sensor, Thermal, Power, ThermalSubsystem, PowerSubsystem).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::gather::{Gather, noted, table};
use crate::machine::Talk;
use crate::service::link;
use crate::status::text;

/// Sensors of one machine that are shown.
const MOST: usize = 2000;

/// One reading.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sensor {
    pub name: String,
    /// As Redfish has it: "Temperature", "Rotational", "Voltage", "Power", "Current" ...
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `None` where there is none now, and for what has no number (a power supply).
    pub reading: Option<f64>,
    /// "°C", "rpm", "V", "W", "A", "%" ...
    pub unit: Option<String>,
    /// "OK", "Warning" or "Critical".
    pub health: Option<String>,
    /// Thresholds that the reading is at or beyond: "upper critical 95".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crossed: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sensors {
    pub sensors: Vec<Sensor>,
    /// What could not be had, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Reads the sensors of every chassis of the machine.
pub(crate) async fn read(talk: &Talk<'_>) -> Result<Sensors, Error> {
    const WHAT: &str = "read the sensors";
    let mut gather = Gather::new(talk);
    let mut found: Vec<Sensor> = Vec::new();
    for chassis in gather.all(&talk.service.chassis, WHAT).await? {
        let newer = gather.members(&chassis["Sensors"], WHAT).await?;
        let mut here: Vec<Sensor> = newer.iter().filter_map(sensor).collect();
        if here.is_empty() {
            here.extend(gather.one(&chassis["Thermal"], WHAT).await?.iter().flat_map(thermal));
            here.extend(gather.one(&chassis["Power"], WHAT).await?.iter().flat_map(power));
        }
        for (subsystem, parts) in [("ThermalSubsystem", "Fans"), ("PowerSubsystem", "PowerSupplies")] {
            let Some(subsystem) = gather.one(&chassis[subsystem], WHAT).await? else { continue };
            let parts = gather.members(&subsystem[parts], WHAT).await?;
            here.extend(parts.iter().filter_map(part));
        }
        found.extend(here);
    }
    let mut sensors: Vec<Sensor> = Vec::new();
    let mut known = BTreeSet::new();
    for sensor in found {
        // A fan is a sensor as well as a part of the thermal subsystem.
        if known.insert(sensor.name.clone()) {
            sensors.push(sensor);
        }
    }
    if sensors.len() > MOST {
        gather.notes.push(format!("{} sensors: those after the first {MOST} are left out", sensors.len()));
        sensors.truncate(MOST);
    }
    if sensors.is_empty() && gather.notes.is_empty() {
        return Err(Error::unsupported(WHAT, "no chassis of this machine shows any"));
    }
    Ok(Sensors { sensors, notes: gather.notes })
}

const LIMITS: [(&str, &str, bool); 6] = [
    ("UpperCaution", "UpperThresholdNonCritical", true),
    ("UpperCritical", "UpperThresholdCritical", true),
    ("UpperFatal", "UpperThresholdFatal", true),
    ("LowerCaution", "LowerThresholdNonCritical", false),
    ("LowerCritical", "LowerThresholdCritical", false),
    ("LowerFatal", "LowerThresholdFatal", false),
];

/// `limit` finds a threshold by its newer and its older name. 0 is what firmware gives where it has none.
fn crossed(reading: Option<f64>, limit: impl Fn(&str, &str) -> Option<f64>) -> Vec<String> {
    let Some(reading) = reading else { return Vec::new() };
    let beyond = LIMITS.iter().filter_map(|(newer, older, upper)| {
        let limit = limit(newer, older).filter(|limit| *limit != 0.0)?;
        let beyond = if *upper { reading >= limit } else { reading <= limit };
        let (side, degree) = newer.split_at(5);
        beyond.then(|| format!("{} {} {limit}", side.to_lowercase(), degree.to_lowercase()))
    });
    beyond.collect()
}

fn is_absent(body: &Value) -> bool {
    matches!(body["Status"]["State"].as_str(), Some("Absent" | "Disabled" | "UnavailableOffline"))
}

/// A resource of the type Sensor.
fn sensor(body: &Value) -> Option<Sensor> {
    let reading = body["Reading"].as_f64();
    if is_absent(body) && reading.is_none() {
        return None;
    }
    Some(Sensor {
        name: text(&body["Name"]).or_else(|| text(&body["Id"]))?,
        kind: text(&body["ReadingType"]),
        reading,
        unit: text(&body["ReadingUnits"]).map(unit),
        health: text(&body["Status"]["Health"]),
        crossed: crossed(reading, |newer, _| body["Thresholds"][newer]["Reading"].as_f64()),
    })
}

fn unit(ucum: String) -> String {
    match ucum.as_str() {
        "Cel" => "°C".to_owned(),
        "{rev}/min" | "RPM" => "rpm".to_owned(),
        "Percent" => "%".to_owned(),
        _ => ucum,
    }
}

/// One entry of the arrays that older firmware has.
fn entry(body: &Value, kind: &str, reading: &Value, unit: &str) -> Option<Sensor> {
    let reading = reading.as_f64();
    if is_absent(body) && reading.is_none() {
        return None;
    }
    Some(Sensor {
        name: text(&body["Name"]).or_else(|| text(&body["FanName"]))?,
        kind: Some(kind.to_owned()),
        unit: reading.map(|_| unit.to_owned()),
        health: text(&body["Status"]["Health"]),
        crossed: crossed(reading, |_, older| body[older].as_f64()),
        reading,
    })
}

fn entries<'a>(body: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    body[name].as_array().into_iter().flatten()
}

fn thermal(body: &Value) -> Vec<Sensor> {
    let temperatures =
        entries(body, "Temperatures").filter_map(|one| entry(one, "Temperature", &one["ReadingCelsius"], "°C"));
    let fans = entries(body, "Fans").filter_map(|one| {
        let unit = unit(text(&one["ReadingUnits"]).unwrap_or_else(|| "RPM".to_owned()));
        entry(one, if unit == "%" { "Percent" } else { "Rotational" }, &one["Reading"], &unit)
    });
    temperatures.chain(fans).collect()
}

fn power(body: &Value) -> Vec<Sensor> {
    let control = entries(body, "PowerControl").filter_map(|one| entry(one, "Power", &one["PowerConsumedWatts"], "W"));
    let voltages = entries(body, "Voltages").filter_map(|one| entry(one, "Voltage", &one["ReadingVolts"], "V"));
    let supplies = entries(body, "PowerSupplies").filter_map(|one| {
        let output = [&one["PowerInputWatts"], &one["PowerOutputWatts"], &one["LastPowerOutputWatts"]];
        entry(one, "Power", output.into_iter().find(|watts| watts.is_number()).unwrap_or(&Value::Null), "W")
    });
    control.chain(voltages).chain(supplies).collect()
}

/// A fan or a power supply as a resource of its own: its health, and its speed where it is told here.
fn part(body: &Value) -> Option<Sensor> {
    if is_absent(body) {
        return None;
    }
    let percent = &body["SpeedPercent"];
    let (reading, unit) = match (percent["SpeedRPM"].as_f64(), percent["Reading"].as_f64()) {
        (Some(rpm), _) => (Some(rpm), Some("rpm")),
        (None, Some(percent)) => (Some(percent), Some("%")),
        (None, None) => (None, None),
    };
    // With a link to the sensor that has it, it is listed already.
    if text(&percent["DataSourceUri"]).is_some() && link(percent).is_none() && reading.is_none() {
        return None;
    }
    Some(Sensor {
        name: text(&body["Name"]).or_else(|| text(&body["Id"]))?,
        kind: None,
        reading,
        unit: unit.map(str::to_owned),
        health: text(&body["Status"]["Health"]),
        crossed: Vec::new(),
    })
}

impl Sensor {
    fn is_well(&self) -> bool {
        self.crossed.is_empty() && self.health.as_deref().is_none_or(|health| health == "OK")
    }

    fn value(&self) -> String {
        let unit = self.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
        self.reading.map(|reading| format!("{reading}{unit}")).unwrap_or_default()
    }
}

impl Sensors {
    pub(crate) fn summary(&self) -> String {
        let ill: Vec<String> = self
            .sensors
            .iter()
            .filter(|sensor| !sensor.is_well())
            .map(|sensor| format!("{} {}", sensor.name, sensor.value()).trim_end().to_owned())
            .collect();
        match ill.is_empty() {
            true => format!("{} sensors, all well", self.sensors.len()),
            false => format!("{} sensors; look at {}", self.sensors.len(), ill.join(", ")),
        }
    }

    pub(crate) fn details(&self) -> String {
        let row = |sensor: &Sensor| {
            let mut about = sensor.health.clone().unwrap_or_default();
            for crossed in &sensor.crossed {
                about += &format!("  beyond {crossed}");
            }
            [sensor.name.clone(), sensor.value(), about]
        };
        table(&self.sensors.iter().map(row).collect::<Vec<_>>()) + &noted(&self.notes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reading_beyond_a_threshold_is_named() {
        let hot = json!({
            "Name": "CPU", "Reading": 96, "ReadingUnits": "Cel", "Status": {"Health": "Critical"},
            "Thresholds": {"UpperCaution": {"Reading": 80}, "UpperCritical": {"Reading": 95}, "UpperFatal": {"Reading": 0}},
        });
        assert_eq!(sensor(&hot).unwrap().crossed, ["upper caution 80", "upper critical 95"]);
        let older = json!({"Fans": [
            {"Name": "FAN1", "Reading": 300, "ReadingUnits": "RPM", "LowerThresholdCritical": 500},
            {"Name": "FAN2", "Reading": null, "Status": {"State": "Absent"}},
        ]});
        let fans = thermal(&older);
        assert_eq!(fans.len(), 1, "an absent fan is none");
        assert_eq!(fans[0].crossed, ["lower critical 500"]);
        let all = Sensors { sensors: fans, notes: Vec::new() };
        assert_eq!(all.summary(), "1 sensors; look at FAN1 300 rpm");
    }
}
