//! Secrets by reference: environment variables, files, files encrypted with age.
//!
//! In: a [`netboot::SecretRef`]. Out: the secret, in memory that is cleared. Invariant: no secret is in an error, a log or an argument.
