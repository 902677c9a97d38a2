//! For tests only: a Redfish service.
