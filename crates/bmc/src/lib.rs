//! Redfish and SUM.
