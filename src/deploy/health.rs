//! Whether the appliance says that it runs a build.
