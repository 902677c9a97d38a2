//! The seed medium: what an appliance is told at its first boots, and its secrets.
